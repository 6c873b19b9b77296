"""The model: a CLIP image encoder whose attention pool has no positional embedding, and fixed prompts.

An image of any size is scored whole: not resized, normalised with CLIP's mean and standard deviation, encoded,
and compared with the positive and the negative prompt of each pair (arXiv 2403.11176, Sec. 3).
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from qualiclip.config import TRAIN_RECORD, WEIGHTS
from qualiclip.pretrained import DEFAULT, locate
from qualiclip.prompts import PROMPT_PAIRS, prompt_features
from qualiclip.resnet import ModifiedResNet

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's training images


class CheckpointError(ValueError):
    """A checkpoint that cannot be used. The message names the file and what is wrong with it."""


def _first_line(e: Exception) -> str:
    """The class of an error and the first line of its message."""
    return f"{type(e).__name__}: {e}".splitlines()[0]


def _encoder(config: dict[str, Any], state: dict[str, Tensor]) -> nn.Module:
    """The image encoder of an open_clip config, with these weights."""
    vision = config["vision_cfg"]
    if isinstance(vision.get("layers"), list):  # by this open_clip, too, knows a ModifiedResNet
        return ModifiedResNet.from_weights(state, vision["width"] * 32 // vision.get("head_width", 64))
    from qualiclip.clip import encoder_from_config

    return encoder_from_config(config, state)


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
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

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
        import open_clip  # here, since its imports take longer than a score

        from qualiclip.clip import any_size, create_clip, open_residual_branches

        clip = create_clip(encoder, pretrained, seed)
        if not pretrained:
            open_residual_branches(clip.visual)
        prompts = prompt_features(clip, open_clip.get_tokenizer(encoder), pairs)
        config = {
            "encoder": open_clip.get_model_config(encoder),
            "prompts": [list(p) for p in pairs],
            "logit_scale": logit_scale,
        }
        return cls(any_size(clip.visual.requires_grad_(True)), prompts, logit_scale, config).eval()

    @classmethod
    def from_pretrained(cls, name: str = DEFAULT, device: str | torch.device = "cpu") -> QualiCLIP:
        """The model of a name, in evaluation mode on `device`.

        name: one of `qualiclip.pretrained.names()`: a folder of qualiclip/weights, or "released", the authors' file,
        which is fetched once. Raises WeightsError for another name and where the file cannot be fetched.
        """
        return cls.from_checkpoint(locate(name), device)

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
        """A checkpoint folder of this suite; weights of half precision are read as float32. Raises CheckpointError."""
        try:
            config = json.loads((folder / TRAIN_RECORD).read_text(encoding="utf-8"))["model"]
            state = {k: v.float() if v.is_floating_point() else v for k, v in load_file(folder / WEIGHTS).items()}
            prompts = state.pop("prompts")
            encoder = _encoder(config["encoder"], {k.removeprefix("encoder."): v for k, v in state.items()})
            return cls(encoder, prompts, config["logit_scale"], config)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as e:
            raise CheckpointError(f"{folder}: not a checkpoint of this suite ({_first_line(e)})") from e

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
        try:
            encoder = ModifiedResNet.from_weights(visual)
        except (KeyError, RuntimeError) as e:
            raise CheckpointError(f"{file}: the weights do not fit a ModifiedResNet ({_first_line(e)})") from e
        # CLIP stores the logarithm of the factor
        logit_scale = float(names["logit_scale"].exp()) if "logit_scale" in names else 100.0
        return cls(encoder, names["prompts_features"].float().unflatten(0, (-1, 2)), logit_scale)

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
