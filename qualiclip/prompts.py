"""The antonym prompt pairs and their text features.

The seven pairs are those of the authors' released code. (Their hub file lacks a comma after
"Noisy image." and so builds 13 prompts; the features stored in their checkpoint mask it.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROMPT_PAIRS: tuple[tuple[str, str], ...] = (
    ("Good photo.", "Bad photo."),
    ("Sharp image.", "Blurry image."),
    ("Sharp edges.", "Blurry edges."),
    ("High-resolution image.", "Low-resolution image."),
    ("Noise-free image.", "Noisy image."),
    ("High-quality image.", "Low-quality image."),
    ("Good picture.", "Bad picture."),
)


@torch.no_grad()
def prompt_features(clip: nn.Module, tokenizer, pairs=PROMPT_PAIRS) -> Tensor:
    """Unit text features (P, 2, D) of P pairs, positive prompt first, by a frozen CLIP text encoder."""
    tokens = tokenizer([prompt for pair in pairs for prompt in pair])
    return F.normalize(clip.encode_text(tokens).float(), dim=-1).unflatten(0, (-1, 2))
