"""The model: a CLIP image encoder without positional embedding in its pool, and fixed prompts.

An image of any size is scored whole: unresized, normalised with CLIP's mean and deviation, encoded,
and compared with the positive and the negative prompt of each pair (arXiv 2403.11176, Sec. 3).
"""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from safetensors.torch import load_file
from torch import Tensor, nn

from qualiclip.prompts import PROMPT_PAIRS, prompt_features

open_clip.add_model_config(Path(__file__).parent / "encoders")

WEIGHTS = "weights.safetensors"
TRAIN_RECORD = "train.json"


def pick_device(wish: str) -> str:
    """auto -> cuda where there is one, else cpu."""
    if wish == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wish


class AnySizePool(nn.Module):
    """CLIP's attention pool without positional embedding: the mean position attends to all positions.

    Equal to open_clip's `AttentionPool2d` with the embedding zeroed, at any size; only the query that
    is kept is computed. Takes over the projections of `pool`.
    """

    def __init__(self, pool: AttentionPool2d):
        super().__init__()
        self.heads = pool.num_heads
        self.q_proj, self.k_proj, self.v_proj, self.c_proj = pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) feature map -> (B, D)."""
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1)
        q, k, v = (
            t.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for t in (self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x))
        )
        return self.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1))


def _any_size(visual: nn.Module) -> nn.Module:
    if isinstance(visual, ModifiedResNet):
        visual.attnpool = AnySizePool(visual.attnpool)
    return visual


def _open_residual_branches(visual: nn.Module, gain: float = 0.5) -> None:
    """Let the residual branches of a random encoder speak from the first step on.

    open_clip starts their last batch norm at zero, for long schedules; a short one spends its first
    hundreds of steps on opening them (mini: the same SRCC after 400 steps as after 700).
    """
    for name, parameter in visual.named_parameters():
        if name.startswith("layer") and name.endswith("bn3.weight"):
            nn.init.constant_(parameter, gain)


class QualiCLIP(nn.Module):
    """Scores images by their similarity to antonym prompts; higher is better."""

    def __init__(self, encoder: nn.Module, prompts: Tensor, scale: float = 100.0, config: dict | None = None):
        """encoder: (B, 3, H, W) normalised -> (B, D). prompts: (P, 2, D) unit features.

        scale: factor on the cosine similarities before the softmax. 100 is the authors' hub code;
        pyiqa divides it by a temperature of 2, which is not rank-equivalent.
        config: what rebuilds the encoder, stored in checkpoints.
        """
        super().__init__()
        self.encoder = encoder
        self.scale = scale
        self.config = config or {}
        self.register_buffer("prompts", prompts)
        self.register_buffer("mean", torch.tensor(OPENAI_DATASET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(OPENAI_DATASET_STD).view(3, 1, 1), persistent=False)

    @classmethod
    def create(
        cls,
        encoder: str = "RN50-quickgelu",
        pretrained: str | None = "openai",
        pairs=PROMPT_PAIRS,
        scale: float = 100.0,
        seed: int = 0,
    ) -> QualiCLIP:
        """From an open_clip model name: its image encoder, and prompt features by its text encoder.

        pretrained: an open_clip tag or file; None draws random weights from `seed`.
        """
        torch.manual_seed(seed)
        clip: CLIP = open_clip.create_model(encoder, pretrained=pretrained)
        clip.eval().requires_grad_(False)
        if not pretrained:
            _open_residual_branches(clip.visual)
        prompts = prompt_features(clip, open_clip.get_tokenizer(encoder), pairs)
        config = {"encoder": open_clip.get_model_config(encoder), "prompts": [list(p) for p in pairs], "scale": scale}
        return cls(_any_size(clip.visual.requires_grad_(True)), prompts, scale, config).eval()

    @classmethod
    def from_checkpoint(cls, folder: str | Path, device: str | torch.device = "cpu") -> QualiCLIP:
        """From a checkpoint folder of this suite (weights.safetensors, train.json), on `device`."""
        folder = Path(folder)
        config = json.loads((folder / TRAIN_RECORD).read_text())["model"]
        state = load_file(folder / WEIGHTS)
        arch = {k: v for k, v in config["encoder"].items() if k not in ("custom_text",)}
        visual = CLIP(**arch).visual
        model = cls(_any_size(visual), state["prompts"], config["scale"], config)
        model.load_state_dict(state)
        return model.eval().to(device)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D) unit features."""
        return F.normalize(self.encoder((images - self.mean) / self.std), dim=-1)

    def similarities(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, P, 2) cosine similarities to the positive and negative prompts."""
        return torch.einsum("bd,pcd->bpc", self.encode(images), self.prompts)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B,) quality in [0, 1]: mean over pairs of P(positive)."""
        s = self.similarities(images).double() * self.scale  # double: no ties where the softmax saturates
        return s.softmax(-1)[..., 0].mean(-1)

    score = torch.inference_mode()(forward)
