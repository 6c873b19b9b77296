"""CLIP-IQA+ and QualiCLIP+: prompts with a learned context, trained on labels; both encoders are frozen.

Settings are those of the authors' configurations in pyiqa: 16 context tokens per prompt, Adam, a cosine schedule from
a learning rate of 2e-3, 50 epochs, batches of 8, mean squared error plus PLCC loss. One thing differs: image features
are computed once, from the whole image, where the authors cut and flip random crops of 384 px at every step. The
context of the last step is used; the validation parts are not used.
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
from qualiclip.clip import create_clip
from qualiclip.config import TRAIN_RECORD
from qualiclip.losses import plcc
from qualiclip.prompts import PROMPT_PAIRS, LearnedPrompts
from qualiclip.tensors import pick_device

BATCH = 8  # images of a step
LEARNING_RATE = 2e-3


def quality(features: Tensor, prompts: Tensor, scale: float) -> Tensor:
    """Unit features (S, B, D) and prompts (S, P, 2, D) of S splits -> (S, B) mean over the pairs of P(positive).

    scale: factor on cosine similarities before the softmax.
    """
    return (scale * torch.einsum("sbd,spcd->sbpc", features, prompts)).softmax(-1)[..., 0].mean(-1)


def batches(sizes: list[int], steps: int, generator: torch.Generator) -> Tensor:
    """Rows (steps, S, BATCH) of the train part that each step uses in each split.

    sizes: images of the train part of each split. Every epoch is a random permutation of them.
    """
    n_rows = steps * BATCH
    orders = [[torch.randperm(n, generator=generator) for _ in range(-(-n_rows // n))] for n in sizes]
    return torch.stack([torch.cat(epochs)[:n_rows] for epochs in orders]).unflatten(1, (steps, BATCH)).transpose(0, 1)


class LearnedContext:
    """One learned context per split. All splits are trained at once, independently of each other."""

    def __init__(
        self,
        checkpoint: Path,
        mirror: Path | None,
        pairs: int = len(PROMPT_PAIRS),
        scale: float = 50.0,
        epochs: float = 50,
    ):
        """checkpoint: folder of the image encoder; its record names the text encoder.

        mirror: folder of local files used in place of the network. pairs: use so many of the prompt pairs.
        scale: factor on cosine similarities before the softmax (100 in CLIP, which QualiCLIP+ divides by 2).
        epochs: passes over the largest train part.
        """
        self.checkpoint, self.mirror = checkpoint, mirror
        self.pairs, self.scale, self.epochs = PROMPT_PAIRS[:pairs], scale, epochs

    def _prompts(self, copies: int) -> LearnedPrompts:
        """Prompts of the text encoder that belongs to the checkpoint. Raises NotRun without its weights."""
        config = json.loads((self.checkpoint / TRAIN_RECORD).read_text(encoding="utf-8"))["train"]
        with weights_or_not_run(self.mirror):
            clip = create_clip(config["encoder"], config["pretrained"], config["seed"])
        clip.visual = None
        return LearnedPrompts(clip, open_clip.get_tokenizer(config["encoder"]), self.pairs, copies)

    def fit(self, splits: list[Split], device: str) -> None:
        """Learn one context per split from the train parts. Raises NotRun without the weights of the text encoder."""
        # prompts, features and labels on the device
        device, sizes = pick_device(device), [len(split.train) for split in splits]
        prompts = self._prompts(len(splits)).to(device)
        prompts.clip[0].to(device)
        x = [torch.from_numpy(split.train.features).to(device) for split in splits]
        y = [torch.from_numpy(split.train.mos).float().to(device) for split in splits]
        # the same number of steps in all splits
        steps = max(1, round(self.epochs * max(sizes) / BATCH))
        optimizer = torch.optim.Adam(prompts.parameters(), lr=LEARNING_RATE)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        self.losses = []
        for rows in tqdm(batches(sizes, steps, torch.Generator().manual_seed(0)), desc="prompts", unit="step"):
            features, mos = (
                torch.stack([v[r] for v, r in zip(values, rows.to(device), strict=True)]) for values in (x, y)
            )
            score = quality(features, prompts(), self.scale)
            loss = F.mse_loss(score, mos, reduction="none").mean(-1) + plcc(score, mos)
            loss.sum().backward()  # not the mean: the gradient of a split must not depend on their number
            optimizer.step()
            optimizer.zero_grad()
            cosine.step()
            self.losses.append(loss.detach())
        # what is kept
        self.context = prompts.context.detach().cpu().numpy()
        with torch.inference_mode():
            self.prompts = prompts().cpu()

    def predict(self, split: int, features: np.ndarray) -> np.ndarray:
        """Unit features (n, D) -> quality (n,) in [0, 1] by the prompts of a split."""
        images, prompts = torch.from_numpy(features).double()[None], self.prompts[split : split + 1].double()
        return quality(images, prompts, self.scale)[0].numpy()

    def learned(self) -> dict[str, np.ndarray]:
        """context (S, P, 2, N, W), as in `LearnedPrompts`, and the loss (S, steps)."""
        return {"context": self.context, "loss": torch.stack(self.losses, 1).cpu().numpy()}
