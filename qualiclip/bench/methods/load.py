"""From a method card to a method that can score: pyiqa's metrics, variants trained here, and Python files."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qualiclip.bench.absence import reason_of
from qualiclip.bench.cards.base import CardError, load_function
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.data.fetch import file_lock
from qualiclip.bench.methods.contract import Batch, Method, NotRun
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.config import WEIGHTS
from qualiclip.io import DamagedFile


def _metric_lock(metric: str) -> AbstractContextManager:
    """A lock on the creation of one metric of pyiqa: LIQE caches its prompts in a file, and reads it half-written.

    A cache that cannot be written is not written to, and needs no lock.
    """
    cache = Path(torch.hub.get_dir()) / "pyiqa"
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return file_lock(cache / f".{metric}.lock") if os.access(cache, os.W_OK) else nullcontext()


class PyiqaMethod:
    """A metric of pyiqa, by its name there."""

    def __init__(self, metric: str, mirror: Path | None = None, trusted: bool = False):
        """mirror, trusted: as in `from_mirror`."""
        self.metric, self.mirror, self.trusted = metric, mirror, trusted

    def load(self, device: str) -> None:
        import pyiqa

        if self.metric not in pyiqa.list_models():
            raise CardError(f"pyiqa has no metric {self.metric!r}")
        # without gradients: LIQE encodes 495 prompts when it is created, which would take more than 16 GB
        with _metric_lock(self.metric), weights_or_not_run(self.mirror, self.trusted), torch.no_grad():
            self.model = pyiqa.create_metric(self.metric, device=torch.device(device))

    def score(self, batch: Batch) -> Tensor:
        return self.model(batch.images).flatten()


class VariantMethod:
    """A model trained in this workflow."""

    def __init__(self, checkpoint: Path):
        self.checkpoint = checkpoint

    def load(self, device: str) -> None:
        from qualiclip.inference import folded
        from qualiclip.model import CheckpointError, QualiCLIP

        try:
            self.model = folded(QualiCLIP.from_checkpoint(self.checkpoint, device))
        except CheckpointError as e:  # damaged, or of an older format
            raise DamagedFile(f"{e}; remove that folder to train it again") from e
        self.bytes_per_pixel = self.model.bytes_per_pixel

    def score(self, batch: Batch) -> Tensor:
        return self.model.score(batch.images)

    def features(self, batch: Batch) -> Tensor:
        """(B, D) unit features of its encoder."""
        return self.model.encode(batch.images)


class RefusedMethod:
    """A method that cannot be run, with the reason."""

    def __init__(self, reason: str):
        self.reason = reason

    def load(self, device: str) -> None:
        raise NotRun(self.reason)

    def fit(self, files: list[Path], out: Path, device: str) -> None:
        raise NotRun(self.reason)

    def score(self, batch: Batch) -> Tensor:
        raise NotRun(self.reason)


def missing_inputs(checkpoint: Path | None, fitted: Path | None = None) -> str:
    """Why the weights of a checkpoint folder, or what a fit has written, could not be made; empty if they were."""
    files = [checkpoint / WEIGHTS if checkpoint else None, fitted]
    return next(filter(None, (reason_of(f) for f in files if f)), "")


def create(
    card: MethodCard,
    checkpoint: Path | None = None,
    mirror: Path | None = None,
    trusted: bool = False,
    **inputs: Any,
) -> Method:
    """The method behind a card.

    checkpoint: folder of the card's variant. trusted: it may run code of its authors. inputs: what `fit` and
    `reads_labels` ask for (fitted=file, labels=index). Raises CardError for a card that does not score images here, or
    a class without these arguments.
    """
    if card.features_of:
        raise CardError(f"{card.path}: it is trained per split and has no score of a single photo")
    if card.not_run:
        return RefusedMethod(card.not_run)
    if reason := missing_inputs(checkpoint, inputs.get("fitted")):
        return RefusedMethod(reason)
    if card.runs_code and not trusted:
        return RefusedMethod(f"it runs code of {card.runs_code}; if you trust it, give trust=[{card.name}]")
    if card.input.device == "cuda" and not torch.cuda.is_available():
        return RefusedMethod("it needs a GPU, and there is none here")
    if card.pyiqa:
        return PyiqaMethod(card.pyiqa, mirror, bool(card.runs_code))
    if card.module:
        arguments = {k: inputs.get(k) for k, needed in (("fitted", card.fit), ("labels", card.reads_labels)) if needed}
        arguments |= {"checkpoint": checkpoint} if card.variant else {}
        arguments |= {"mirror": mirror} if card.weights else {}
        absent = [k for k, v in arguments.items() if v is None and k != "mirror"]
        if absent:
            raise CardError(f"{card.path}: it needs --{', --'.join(absent)}")
        try:
            return load_function(card.module, card.path.parent)(**card.arguments, **arguments)
        except TypeError as e:
            raise CardError(f"{card.path}: {card.module}: {e}") from e
    if card.variant and checkpoint:
        return VariantMethod(checkpoint)
    raise CardError(f"{card.path}: there is nothing to run, its scores come from elsewhere")
