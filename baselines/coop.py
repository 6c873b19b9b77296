"""CLIP-IQA+ and QualiCLIP+: prompts with a learned context, trained on labels, between frozen encoders.

Settings are those of the authors' configurations in pyiqa: 16 context tokens a prompt, Adam, learning rate
2e-3 along a cosine, 50 epochs, batches of 8, mean squared error plus PLCC loss. One thing differs: the image
features are those of the whole image, computed once, where the authors cut random crops of 384 px and flip
them at every step. The context of the last step is taken; the validation parts are not asked.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from qualiclip.bench.methods.contract import Split
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.config import TRAIN_RECORD
from qualiclip.losses import plcc
from qualiclip.model import create_clip
from qualiclip.prompts import PROMPT_PAIRS, LearnedPrompts
from qualiclip.tensors import pick_device

BATCH, LEARNING_RATE = 8, 2e-3


def quality(features: Tensor, prompts: Tensor, scale: float) -> Tensor:
    """Unit features (S, B, D), prompts (S, P, 2, D) -> (S, B): mean over the pairs of P(positive)."""
    return (scale * torch.einsum("sbd,spcd->sbpc", features, prompts)).softmax(-1)[..., 0].mean(-1)


def orders(sizes: list[int], steps: int, generator: torch.Generator) -> Tensor:
    """Rows of every step and split (steps, S, BATCH): one permutation of a split's images after the other."""
    needed = steps * BATCH
    drawn = [[torch.randperm(n, generator=generator) for _ in range(-(-needed // n))] for n in sizes]
    return torch.stack([torch.cat(epochs)[:needed] for epochs in drawn]).unflatten(1, (steps, BATCH)).transpose(0, 1)


class LearnedContext:
    """One context a split; all splits are trained side by side, as they do not touch each other."""

    def __init__(
        self,
        checkpoint: Path,
        mirror: Path | None,
        pairs: int = len(PROMPT_PAIRS),
        scale: float = 50.0,
        epochs: float = 50,
    ):
        """checkpoint: of the encoder, it names the text encoder. mirror: in place of the network.

        pairs: how many of the prompt pairs.
        scale: factor on cosine similarities before the softmax (CLIP's 100, which QualiCLIP+ divides by 2).
        epochs: passes over the largest train part.
        """
        self.checkpoint, self.mirror = checkpoint, mirror
        self.pairs, self.scale, self.epochs = PROMPT_PAIRS[:pairs], scale, epochs

    def _prompts(self, copies: int) -> LearnedPrompts:
        """Raises NotRun where the text encoder's weights cannot be had."""
        said = json.loads((self.checkpoint / TRAIN_RECORD).read_text(encoding="utf-8"))["train"]
        with weights_or_not_run(self.mirror):
            clip = create_clip(said["encoder"], said["pretrained"], said["seed"])
        clip.visual = None
        return LearnedPrompts(clip, open_clip.get_tokenizer(said["encoder"]), self.pairs, copies)

    def fit(self, splits: list[Split], device: str) -> None:
        device, sizes = pick_device(device), [len(split.train) for split in splits]
        prompts = self._prompts(len(splits)).to(device)
        prompts.clip[0].to(device)
        x = [torch.from_numpy(split.train.features).to(device) for split in splits]
        y = [torch.from_numpy(split.train.mos).float().to(device) for split in splits]
        steps = max(1, round(self.epochs * max(sizes) / BATCH))
        optimizer = torch.optim.Adam(prompts.parameters(), lr=LEARNING_RATE)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        self.losses = []
        for rows in tqdm(orders(sizes, steps, torch.Generator().manual_seed(0)), desc="prompts", unit="step"):
            features, mos = (
                torch.stack([v[r] for v, r in zip(values, rows.to(device), strict=True)]) for values in (x, y)
            )
            score = quality(features, prompts(), self.scale)
            loss = F.mse_loss(score, mos, reduction="none").mean(-1) + plcc(score, mos)
            loss.sum().backward()  # a sum: no split's gradient depends on how many there are
            optimizer.step()
            optimizer.zero_grad()
            cosine.step()
            self.losses.append(loss.detach())
        self.context = prompts.context.detach().cpu().numpy()
        with torch.inference_mode():
            self.prompts = prompts().cpu()

    def predict(self, split: int, features: np.ndarray) -> np.ndarray:
        images, prompts = torch.from_numpy(features).double()[None], self.prompts[split : split + 1].double()
        return quality(images, prompts, self.scale)[0].numpy()

    def learned(self) -> dict[str, np.ndarray]:
        return {"context": self.context, "loss": torch.stack(self.losses, 1).cpu().numpy()}
