"""CLIP models by open_clip: what training begins with. Scoring does without them, and without open_clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP
from open_clip.modified_resnet import ModifiedResNet as OpenClipResNet
from torch import Tensor, nn

from qualiclip.resnet import ModifiedResNet

open_clip.add_model_config(Path(__file__).parent / "encoders")


def create_clip(encoder: str, pretrained: str | None, seed: int) -> CLIP:
    """A frozen open_clip model in evaluation mode.

    encoder: an open_clip model name, or one of qualiclip/encoders. pretrained: an open_clip tag or a file of weights;
    None draws random weights from `seed`. Seeds torch's global generator.
    """
    torch.manual_seed(seed)
    return open_clip.create_model(encoder, pretrained=pretrained).eval().requires_grad_(False)


def any_size(visual: nn.Module) -> nn.Module:
    """An image encoder of open_clip for images of any size, with the same weights, not copied.

    One that is no ModifiedResNet stays as it is.
    """
    if not isinstance(visual, OpenClipResNet):
        return visual
    encoder = ModifiedResNet.from_weights(visual.state_dict(), visual.attnpool.num_heads)
    return encoder.train(visual.training)


def open_residual_branches(visual: nn.Module, gain: float = 0.5) -> None:
    """Let the residual branches of a randomly initialised encoder contribute from the first step, in place.

    open_clip initialises the last batch norm of each branch to zero, which suits long schedules. A short schedule
    spends its first hundreds of steps on raising it (at scale mini: 400 steps from `gain` reach the SRCC that 700
    steps from zero do).
    """
    for name, parameter in visual.named_parameters():
        if name.startswith("layer") and name.endswith("bn3.weight"):
            nn.init.constant_(parameter, gain)


def encoder_from_config(config: dict[str, Any], state: dict[str, Tensor]) -> nn.Module:
    """An image encoder that is no ModifiedResNet, of an open_clip config, with these weights."""
    visual = CLIP(**{k: v for k, v in config.items() if k != "custom_text"}).visual
    visual.load_state_dict(state)
    return visual
