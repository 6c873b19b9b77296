"""The model: a CLIP image encoder whose attention pool has no positional embedding, and fixed prompts.

An image of any size is scored whole: not resized, normalised with CLIP's mean and standard deviation, encoded,
and compared with the positive and the negative prompt of each pair (arXiv 2403.11176, Sec. 3).
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from qualiclip.config import TRAIN_RECORD, WEIGHTS
from qualiclip.prompts import PROMPT_PAIRS, prompt_features

open_clip.add_model_config(Path(__file__).parent / "encoders")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used. The message names the file and what is wrong with it."""


def _first_line(e: Exception) -> str:
    """The class of an error and the first line of its message."""
    return f"{type(e).__name__}: {e}".splitlines()[0]


class AnySizePool(nn.Module):
    """CLIP's attention pool without positional embedding: the mean position attends to all positions.

    Equal to open_clip's `AttentionPool2d` with a positional embedding of zeros, at any size. Of all queries only
    that of the mean position is computed, the others do not reach the output.
    """

    def __init__(self, pool: AttentionPool2d):
        """pool: its projections are used, not copied."""
        super().__init__()
        self.heads = pool.num_heads
        self.q_proj, self.k_proj, self.v_proj, self.c_proj = pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) feature map -> (B, D) features."""
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1)
        q, k, v = (
            t.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for t in (self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x))
        )
        return self.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1))


def _any_size(visual: nn.Module) -> nn.Module:
    """Let an image encoder take images of any size, in place. One that is no ModifiedResNet stays as it is."""
    if isinstance(visual, ModifiedResNet):
        visual.attnpool = AnySizePool(visual.attnpool)
    return visual


def _open_residual_branches(visual: nn.Module, gain: float = 0.5) -> None:
    """Let the residual branches of a randomly initialised encoder contribute from the first step, in place.

    open_clip initialises the last batch norm of each branch to zero, which suits long schedules. A short schedule
    spends its first hundreds of steps on raising it (at scale mini: 400 steps from `gain` reach the SRCC that 700
    steps from zero do).
    """
    for name, parameter in visual.named_parameters():
        if name.startswith("layer") and name.endswith("bn3.weight"):
            nn.init.constant_(parameter, gain)


def create_clip(encoder: str, pretrained: str | None, seed: int) -> CLIP:
    """A frozen open_clip model in evaluation mode.

    pretrained: an open_clip tag or a file of weights; None draws random weights from `seed`. Seeds torch's global
    generator.
    """
    torch.manual_seed(seed)
    return open_clip.create_model(encoder, pretrained=pretrained).eval().requires_grad_(False)


class QualiCLIP(nn.Module):
    """Scores images by their similarity to antonym prompts; higher is better."""

    def __init__(self, encoder: nn.Module, prompts: Tensor, logit_scale: float = 100.0, config: dict | None = None):
        """encoder: (B, 3, H, W) normalised -> (B, D). prompts: (P, 2, D) unit features, positive prompt first.

        logit_scale: factor on the cosine similarities before the softmax. The authors' hub code uses 100; pyiqa
        divides it by a temperature of 2, which is not rank-equivalent.
        config: what `from_checkpoint` needs to build the model again; it is stored in checkpoints.
        """
        super().__init__()
        self.encoder = encoder
        self.logit_scale = logit_scale
        self.config = config or {}
        # bytes of memory that scoring takes per pixel of an image, measured with the encoders of this suite: the image
        # and its normalised copy, and the widest activations, which are those of the stem
        width = encoder.conv3.out_channels if isinstance(encoder, ModifiedResNet) else 0
        self.bytes_per_pixel = 48 + 2 * width
        self.register_buffer("prompts", prompts)
        self.register_buffer("mean", torch.tensor(OPENAI_DATASET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(OPENAI_DATASET_STD).view(3, 1, 1), persistent=False)

    @classmethod
    def create(
        cls,
        encoder: str = "RN50-quickgelu",
        pretrained: str | None = "openai",
        pairs=PROMPT_PAIRS,
        logit_scale: float = 100.0,
        seed: int = 0,
    ) -> QualiCLIP:
        """A model to train: the image encoder of an open_clip model, and prompt features by its text encoder.

        encoder: an open_clip model name, or one of qualiclip/encoders. pretrained: an open_clip tag or a file of
        weights; None draws random weights from `seed`. pairs: (positive, negative) prompts.
        logit_scale: as in the constructor. Returned in evaluation mode, with gradients for the image encoder.
        """
        clip = create_clip(encoder, pretrained, seed)
        if not pretrained:
            _open_residual_branches(clip.visual)
        prompts = prompt_features(clip, open_clip.get_tokenizer(encoder), pairs)
        config = {
            "encoder": open_clip.get_model_config(encoder),
            "prompts": [list(p) for p in pairs],
            "logit_scale": logit_scale,
        }
        return cls(_any_size(clip.visual.requires_grad_(True)), prompts, logit_scale, config).eval()

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str | torch.device = "cpu") -> QualiCLIP:
        """A trained model, in evaluation mode on `device`.

        path: a checkpoint folder of this suite, which holds weights.safetensors and train.json, or a .pth file in
        the layout of the authors or of pyiqa, which is read without running any code from it (`weights_only`).
        Raises CheckpointError for anything else.
        """
        path = Path(path)
        if not path.exists():
            raise CheckpointError(f"{path}: no such checkpoint")
        model = cls._from_folder(path) if path.is_dir() else cls._from_released(path)
        return model.eval().to(device)

    @classmethod
    def _from_folder(cls, folder: Path) -> QualiCLIP:
        """A checkpoint folder of this suite. Raises CheckpointError."""
        try:
            config = json.loads((folder / TRAIN_RECORD).read_text(encoding="utf-8"))["model"]
            state = load_file(folder / WEIGHTS)
            visual = CLIP(**{k: v for k, v in config["encoder"].items() if k != "custom_text"}).visual
            model = cls(_any_size(visual), state["prompts"], config["logit_scale"], config)
            model.load_state_dict(state)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as e:
            raise CheckpointError(f"{folder}: not a checkpoint of this suite ({_first_line(e)})") from e
        return model

    @classmethod
    def _from_released(cls, file: Path) -> QualiCLIP:
        """A file with clip_model.visual.*, prompts_features (2P, D), positive prompt first, and perhaps logit_scale.

        Raises CheckpointError.
        """
        # weights by their names in OpenAI's CLIP
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as e:  # whose message advises to run code from the file
            raise CheckpointError(f"{file}: not a weights file (damaged, or it holds more than tensors)") from e
        except (OSError, EOFError, RuntimeError) as e:
            raise CheckpointError(f"{file}: not a weights file ({_first_line(e)})") from e
        state = state.get("params", state) if isinstance(state, dict) else {}
        names = {str(k).removeprefix("clip_model."): v for k, v in state.items()}
        visual = {k.removeprefix("visual."): v.float() for k, v in names.items() if k.startswith("visual.")}
        if "prompts_features" not in names or "attnpool.c_proj.weight" not in visual:
            raise CheckpointError(
                f"{file}: neither a QualiCLIP checkpoint of the authors nor of pyiqa: it needs "
                "clip_model.visual.* of a ModifiedResNet and prompts_features"
            )
        # the size of the encoder, from the shapes of its weights
        width, output_dim = len(visual["layer1.0.conv1.weight"]), len(visual["attnpool.c_proj.weight"])
        blocks = [len({k.split(".")[1] for k in visual if k.startswith(f"layer{i}.")}) for i in range(1, 5)]
        tokens = len(visual["attnpool.positional_embedding"]) - 1
        encoder = ModifiedResNet(blocks, output_dim, width * 32 // 64, round(tokens**0.5) * 32, width)
        try:
            encoder.load_state_dict(visual)
        except RuntimeError as e:
            raise CheckpointError(f"{file}: the weights do not fit a ModifiedResNet ({_first_line(e)})") from e
        # CLIP stores the logarithm of the factor
        logit_scale = float(names["logit_scale"].exp()) if "logit_scale" in names else 100.0
        return cls(_any_size(encoder), names["prompts_features"].float().unflatten(0, (-1, 2)), logit_scale)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D) unit features, float32 also under autocast."""
        return F.normalize(self.encoder((images - self.mean) / self.std).float(), dim=-1)

    def compare(self, features: Tensor) -> Tensor:
        """(B, D) unit features -> (B, P, 2) cosine similarities to the positive and negative prompts."""
        return torch.einsum("bd,pcd->bpc", features, self.prompts)

    def similarities(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, P, 2) cosine similarities to the positive and negative prompts."""
        return self.compare(self.encode(images))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B,) quality in [0, 1], float64: the mean over pairs of P(positive)."""
        s = self.similarities(images).double() * self.logit_scale  # double: no ties where the softmax saturates
        return s.softmax(-1)[..., 0].mean(-1)

    @torch.inference_mode()
    def score(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B,) quality in [0, 1], float64, without gradients; higher is better."""
        return self(images)
