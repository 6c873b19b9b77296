"""The released QualiCLIP, scored as the authors' hub code does: scale 100, no temperature."""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP
from torch import Tensor

from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.model import AnySizePool, QualiCLIP

URL = "https://github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth"
PREFIX = "clip_model.visual."


def from_release(state: dict[str, Tensor], encoder: str = "RN50-quickgelu") -> QualiCLIP:
    """The model of a released checkpoint: OpenAI CLIP's names, and the features of the prompts, positive first."""
    visual = CLIP(**{k: v for k, v in open_clip.get_model_config(encoder).items() if k != "custom_text"}).visual
    known = visual.state_dict()
    visual.load_state_dict({k.removeprefix(PREFIX): v for k, v in state.items() if k.removeprefix(PREFIX) in known})
    visual.attnpool = AnySizePool(visual.attnpool)
    return QualiCLIP(visual.float(), state["prompts_features"].float().unflatten(0, (-1, 2))).eval()


class QualiclipHub:
    """Mean over the prompt pairs of P(positive), of the image unresized and without positional embedding."""

    def __init__(self, mirror: Path | None):
        self.mirror = mirror

    def load(self, device: str) -> None:
        with weights_or_not_run(self.mirror):
            state = torch.hub.load_state_dict_from_url(URL, map_location="cpu", progress=False)
        self.model = from_release(state).to(device)

    def score(self, batch: Batch) -> Tensor:
        return self.model.score(batch.images)
