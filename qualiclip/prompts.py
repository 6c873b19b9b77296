"""The antonym prompt pairs, their text features, and prompts with a learned context.

The seven pairs are those of the authors' released code. (Their hub file lacks a comma after "Noisy image." and so
builds 13 prompts; this has no effect there, as the features stored in their checkpoint are used.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qualiclip.config import PROMPT_PAIRS


@torch.no_grad()
def prompt_features(clip: nn.Module, tokenizer, pairs=PROMPT_PAIRS) -> Tensor:
    """Unit text features (P, 2, D) float32 of P pairs, positive prompt first, by a frozen CLIP text encoder."""
    tokens = tokenizer([prompt for pair in pairs for prompt in pair])
    return F.normalize(clip.encode_text(tokens).float(), dim=-1).unflatten(0, (-1, 2))


class LearnedPrompts(nn.Module):
    """Prompt pairs with learned context tokens around their words (CoOp, Zhou et al., IJCV 2022), in S copies.

    The tokens of a prompt are: start, half of its context, its words, the other half, end (as in CLIP-IQA+ and
    QualiCLIP+). `context` (S, P, 2, N, W), N tokens of width W, is the only parameter: the text encoder is frozen.
    The copies are independent of each other. Tokens after the end token are left out: attention is causal, so that
    they cannot change its features.
    """

    def __init__(self, clip: nn.Module, tokenizer, pairs=PROMPT_PAIRS, copies: int = 1, tokens: int = 16):
        """clip: an open_clip CLIP with frozen weights. copies: S. tokens: N, context tokens of a prompt.

        The context starts as noise of standard deviation 0.02, from a fixed seed.
        """
        super().__init__()
        self.clip = [clip]  # in a list: its weights do not belong to this module
        # token ids of each prompt, with end tokens in the places of its context, and those places
        rows = [ids[1 : ids.argmax()] for ids in tokenizer([prompt for pair in pairs for prompt in pair])]
        start, end = tokenizer(["."])[0][[0, 2]]
        half, length = tokens // 2, 2 + tokens + max(map(len, rows))
        ids = torch.full((len(rows), length), int(end))
        places = torch.empty(len(rows), tokens, dtype=torch.long)
        for i, words in enumerate(rows):
            after = 1 + half + len(words)
            ids[i, 0], ids[i, 1 + half : after] = start, words
            places[i] = torch.cat([torch.arange(1, 1 + half), torch.arange(after, after + tokens - half)])
        ends = torch.tensor([1 + tokens + len(words) for words in rows])
        # embeddings of the ids, into whose places the context is written at every call
        for name, value in (("words", clip.token_embedding(ids).detach()), ("places", places), ("ends", ends)):
            self.register_buffer(name, value, persistent=False)
        shape = copies, len(pairs), 2, tokens, self.words.shape[-1]
        self.context = nn.Parameter(0.02 * torch.randn(shape, generator=torch.Generator().manual_seed(0)))

    def forward(self) -> Tensor:
        """Unit text features (S, P, 2, D), positive prompt first."""
        clip, (copies, pairs) = self.clip[0], self.context.shape[:2]
        # embeddings of all prompts (S, 2 P, length, W), context included
        row = torch.arange(len(self.words), device=self.words.device)
        x = self.words.repeat(copies, 1, 1, 1)
        x[:, row[:, None], self.places] = self.context.flatten(1, 2)
        # CLIP's text encoder
        length = x.shape[-2]
        x = x.flatten(0, 1) + clip.positional_embedding[:length]
        x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
        x = clip.ln_final(x[torch.arange(len(x), device=x.device), self.ends.repeat(copies)]) @ clip.text_projection
        return F.normalize(x.float(), dim=-1).unflatten(0, (copies, pairs, 2))
