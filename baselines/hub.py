"""The released QualiCLIP, scored as in the authors' hub code: logit scale 100, no temperature."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.model import QualiCLIP
from qualiclip.pretrained import AUTHORS_RELEASE


class QualiclipHub:
    """Mean over the prompt pairs of P(positive), of the whole image without positional embedding; in [0, 1]."""

    def __init__(self, mirror: Path | None):
        """mirror: folder that may hold pyiqa/qualiclip.pth, which is then used in place of the network."""
        self.mirror = mirror

    def load(self, device: str) -> None:
        """Fetch the weights into the cache of torch.hub, unless they are there. Raises NotRun where that fails."""
        file = Path(torch.hub.get_dir()) / "checkpoints" / "qualiclip.pth"
        with weights_or_not_run(self.mirror):
            if not file.is_file():
                torch.hub.download_url_to_file(AUTHORS_RELEASE, str(file), progress=False)
            self.model = QualiCLIP.from_checkpoint(file, device)
        self.model.logit_scale = 100.0  # the hub code's constant, whatever the file states

    def score(self, batch: Batch) -> Tensor:
        """(B,) in [0, 1], higher is better."""
        return self.model.score(batch.images)
