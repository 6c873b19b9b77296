"""GRepQ (Srinath et al., WACV 2024), after the authors' released evaluation code.

Its three files are on Google Drive only, and must be downloaded by hand: the low-level weights, the high-level weights
and the pristine patches that the authors selected, (N, 3, 96, 96) in [0, 1] in one HDF5 file.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor, nn
from torchvision.models import resnet18

from qualiclip.bench.methods.by_hand import by_hand
from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.bench.methods.niqe_distance import Pristine, cut, gaussian
from qualiclip.clip import any_size

SIDE, STRIDE = 96, 48  # px
PROMPTS = ("A good photo.", "A bad photo.")
FILES = ("low_level_model_weights.tar", "high_level_model_weights.pth", "pristine_patches_096_0.75_0.80.hdf5")


class LowLevel(nn.Module):
    """Patches (N, 3, 96, 96) in [0, 1] -> (N, 128): ResNet-18 without its classifier, then an MLP 512-512-128."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.base_model = resnet18()
        self.encoder.resnet18 = nn.Sequential(*list(self.encoder.base_model.children())[:-1])
        self.head = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 128))

    def forward(self, patches: Tensor) -> Tensor:
        return self.head(self.encoder.resnet18(patches).flatten(1))


def low_level(model: nn.Module, pristine: Pristine, image: Tensor) -> Tensor:
    """(3, H, W) in [0, 1] -> scalar 1 - sigmoid(d / 100) in [0, 0.5], d the NIQE-type distance to `pristine`."""
    patches = model(cut(image, SIDE, STRIDE)).double()
    return 1 - torch.sigmoid(pristine.distance(patches) / 100)


def high_level(features: Tensor, prompts: Tensor) -> Tensor:
    """Features (B, D) of images and (2, D) of the good and the bad prompt -> (B,) sigmoid(10 (s_good - s_bad)).

    s are cosine similarities.
    """
    good, bad = (F.cosine_similarity(features, p[None], dim=-1) for p in prompts)
    return torch.sigmoid(10 * (good - bad))


class GRepQ:
    """Sum of the low-level and the high-level score, in [0, 1.5]; higher is better."""

    def __init__(self, mirror: Path | None):
        """mirror: folder with grepq/<the three files>; CLIP is fetched where the mirror lacks it."""
        self.mirror = mirror

    def load(self, device: str) -> None:
        """Read the files, and fetch CLIP. Raises NotRun where one of them is missing."""
        # the two models
        low, high, patches = (by_hand(self.mirror, "grepq", name, "the authors' Google Drive") for name in FILES)
        with weights_or_not_run(self.mirror):
            clip = open_clip.create_model("RN50-quickgelu", pretrained="openai").float().eval()
            level = LowLevel().eval()
            level.load_state_dict(torch.load(low, map_location="cpu", weights_only=True)["model"]["state_dict"])
            clip.visual.load_state_dict(torch.load(high, map_location="cpu", weights_only=True), strict=False)
        # pristine patches and prompts
        with h5py.File(patches) as f:
            pristine = torch.from_numpy(f["data"][:])
        tokens = open_clip.get_tokenizer("RN50-quickgelu")(list(PROMPTS))
        with torch.inference_mode():
            self.prompts = clip.encode_text(tokens).to(device)
        self.ready(level.to(device), any_size(clip.visual).to(device), pristine.to(device))

    @torch.inference_mode()
    def ready(self, level: nn.Module, visual: nn.Module, pristine: Tensor) -> None:
        """Use these two models, and fit the Gaussian of the pristine patches (N, 3, 96, 96) in [0, 1]."""
        self.level, self.visual = level, visual
        self.pristine = Pristine(*gaussian(torch.cat([level(p) for p in pristine.split(64)]).double()))
        self.mean, self.std = (pristine.new_tensor(v).view(3, 1, 1) for v in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))

    @torch.inference_mode()
    def score(self, batch: Batch) -> Tensor:
        """(B,) in [0, 1.5], higher is better."""
        low = torch.stack([low_level(self.level, self.pristine, image) for image in batch.images])
        return low + high_level(self.visual((batch.images - self.mean) / self.std), self.prompts).double()
