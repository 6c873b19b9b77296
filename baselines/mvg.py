"""NIQE's distance on the patch features of an encoder: it makes an opinion-unaware score of any representation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from qualiclip.bench.methods.by_hand import by_hand
from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.bench.methods.niqe_distance import Pristine, cut, gaussian, photos, sharpest
from qualiclip.model import QualiCLIP

SIDE, STRIDE = 96, 48  # px


class Mvg:
    """Base class. A subclass defines `load_encoder`, which sets `self.encode`."""

    encode: Callable[[Tensor], Tensor]  # patches (N, 3, s, s) in [0, 1] -> features (N, D)

    def __init__(self, fitted: Path):
        """fitted: the file that `fit` writes, a NumPy archive of mean (D,) and covariance (D, D)."""
        self.fitted = fitted

    def load_encoder(self, device: str) -> None:
        """Set `self.encode`. Raises NotRun when weights cannot be had."""
        raise NotImplementedError

    @torch.inference_mode()
    def fit(self, files: list[Path], out: Path, device: str) -> None:
        """Write mean and covariance of the features of each photo's sharpest patches to `out`, a NumPy archive."""
        self.load_encoder(device)
        rows = []
        for photo in photos(files):
            patches = cut(photo.to(device), SIDE, SIDE)
            rows.append(self.encode(patches[sharpest(patches)]).double().cpu())
        mean, covariance = gaussian(torch.cat(rows))
        with out.open("wb") as f:
            np.savez(f, mean=mean.numpy(), covariance=covariance.numpy(), patches=sum(map(len, rows)))

    def load(self, device: str) -> None:
        """Get the encoder, and the Gaussian that was fitted. Raises NotRun when weights cannot be had."""
        self.load_encoder(device)
        model = np.load(self.fitted)
        self.pristine = Pristine(*(torch.from_numpy(model[k]).to(device) for k in ("mean", "covariance")))

    @torch.inference_mode()
    def score(self, batch: Batch) -> Tensor:
        """(B,) distances of each image's patches to the pristine ones; lower is better."""
        features = [self.encode(cut(image, SIDE, STRIDE)).double() for image in batch.images]
        return torch.stack([self.pristine.distance(f) for f in features])


class VariantMvg(Mvg):
    """With an encoder of this suite: trained, or as it was before training (the variant of no steps)."""

    def __init__(self, fitted: Path, checkpoint: Path):
        """checkpoint: folder of the encoder's variant."""
        super().__init__(fitted)
        self.checkpoint = checkpoint

    def load_encoder(self, device: str) -> None:
        self.encode = QualiCLIP.from_checkpoint(self.checkpoint, device).encode


class ArniqaMvg(Mvg):
    """With ARNIQA's encoder: features of a patch, joined with those of its copy at half the size."""

    def __init__(self, fitted: Path, mirror: Path | None):
        """mirror: folder of local files used in place of the network."""
        super().__init__(fitted)
        self.mirror = mirror

    def load_encoder(self, device: str) -> None:
        import pyiqa

        with weights_or_not_run(self.mirror):
            net = pyiqa.create_metric("arniqa", device=torch.device(device)).net

        def encode(patches: Tensor) -> Tensor:
            whole, half = net._preprocess(patches)
            return torch.cat([torch.nn.functional.normalize(net.encoder(x).flatten(1)) for x in (whole, half)], 1)

        self.encode = encode


class ContentSep(Mvg):
    """The encoder of Babu, Kannan and Soundararajan (WACV 2023), after the authors' released evaluation code.

    Both files are on Google Drive, and must be downloaded by hand: the weights fine-tuned on authentic distortions, and
    the pristine patches that the authors selected, (N, 3, 96, 96) in [0, 1] in one HDF5 file. So it is not fitted here.
    """

    FILES = ("auth_ft_cd.pth", "pristine_patches_096_0.75_0.80.hdf5")
    LINKS = ("1-eXxqqUJSHK8mcKyVPRnL3_RDy6OihSv", "1TV2tHbzqThRNIOFCZp6tZMNryl5Z0bbS")

    def __init__(self, mirror: Path | None):
        """mirror: folder with contentsep/<the two files>."""
        self.mirror = mirror

    def load_encoder(self, device: str) -> None:
        weights = self._file(0)
        with weights_or_not_run(self.mirror):
            self.encode = self.network(weights).to(device).eval()

    def _file(self, number: int) -> Path:
        source = f"the authors' Google Drive, file {self.LINKS[number]}"
        return by_hand(self.mirror, "contentsep", self.FILES[number], source)

    @staticmethod
    def network(weights: Path) -> nn.Module:
        """ResNet-50 without its classifier: patches (N, 3, s, s) in [0, 1], not normalised -> (N, 2048)."""
        encoder = nn.Sequential(*list(resnet50().children())[:-1])
        encoder.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        return nn.Sequential(encoder, nn.Flatten())

    @torch.inference_mode()
    def load(self, device: str) -> None:
        """Read both files, and fit the Gaussian of the pristine patches. Raises NotRun where one is missing."""
        patches = self._file(1)
        self.load_encoder(device)
        with h5py.File(patches) as f:
            pristine = torch.from_numpy(f["data"][:]).split(64)
        features = torch.cat([self.encode(part.to(device)) for part in pristine])
        self.pristine = Pristine(*gaussian(features.double()))
