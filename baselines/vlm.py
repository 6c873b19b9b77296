"""A vision-language model of Hugging Face, as it is, asked for the quality of an image.

The recipe of Q-Align (Wu et al., ICML 2024) without its training: of the word that would come next in the answer, only
the probabilities of five levels are read.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qualiclip.bench.methods.contract import Batch, NotRun
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.tensors import to_image

QUESTION, ANSWER = "How would you rate the quality of this image?", "The quality of the image is"
LEVELS = {"excellent": 1.0, "good": 0.75, "fair": 0.5, "poor": 0.25, "bad": 0.0}  # word -> what it counts


def level_ids(tokenizer) -> list[int]:
    """The first token of each level, as it follows the answer. Raises NotRun where two levels begin alike."""
    ids = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in LEVELS]
    if len(set(ids)) < len(ids):
        raise NotRun(f"its tokenizer begins several of the words {', '.join(LEVELS)} with one token")
    return ids


class LevelTokens:
    """Score in [0, 1], higher is better: the mean of the levels under their probabilities."""

    def __init__(self, model: str):
        """model: an image-text-to-text model of Hugging Face, owner/name; or a folder that holds one."""
        self.name = model

    def load(self, device: str) -> None:
        """Get the model, from the cache of Hugging Face where it is there. Raises NotRun where it cannot be had."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        with weights_or_not_run(None):
            self.processor = AutoProcessor.from_pretrained(self.name)
            dtype = "auto" if device == "cuda" else torch.float32  # the precision that it was released in
            model: nn.Module = AutoModelForImageTextToText.from_pretrained(self.name, dtype=dtype)
        self.model = model.to(device).eval()
        self.levels = level_ids(self.processor.tokenizer)
        self.processor.tokenizer.padding_side = "left"  # so that the last token of each answer is the last of all
        content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
        chat = [{"role": "user", "content": content}]
        self.prompt = self.processor.apply_chat_template(chat, add_generation_prompt=True) + ANSWER

    @torch.inference_mode()
    def score(self, batch: Batch) -> Tensor:
        """(B,) in [0, 1]. The model's own processor resizes the images."""
        images = [to_image(x) for x in batch.images]
        inputs = self.processor(text=[self.prompt] * len(images), images=images, padding=True, return_tensors="pt")
        logits = self.model(**inputs.to(batch.images.device), logits_to_keep=1).logits[:, -1, self.levels]
        return logits.double().softmax(-1) @ torch.tensor(list(LEVELS.values())).to(logits).double()
