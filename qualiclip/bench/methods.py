"""The contract of a method, and the loaders of the card's sources.

A method is a class with `load(device)` and `score(batch)`; a fresh instance is made per job. What a card
asks for besides (`arguments`, `fit`, `labels`, `variant`) reaches its class as keyword arguments.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from qualiclip.bench.beside import NotRun, load_function
from qualiclip.bench.card import CardError
from qualiclip.bench.cards import MethodCard
from qualiclip.bench.download import FetchError
from qualiclip.bench.fetch import only_one
from qualiclip.bench.files import DamagedFile
from qualiclip.bench.libraries import from_mirror


@dataclass(frozen=True)
class Batch:
    """Images of one size: pixels (B, 3, H, W) float32 in [0, 1] on the device, names and files."""

    images: Tensor
    names: list[str]
    files: list[Path]


class Method(Protocol):
    def load(self, device: str) -> None:
        """Get ready on `device` ("cpu" or "cuda"). Raises NotRun when weights cannot be had."""

    def score(self, batch: Batch) -> Tensor:
        """(B,) finite scores, in the card's direction."""


@contextmanager
def weights_or_not_run(mirror: Path | None) -> Iterator[None]:
    """Turn whatever a library raises while it gets its weights into NotRun; `mirror` stands in for the network."""
    try:
        with from_mirror(mirror):
            yield
    except FetchError as e:
        raise NotRun(str(e)) from e
    except (OSError, RuntimeError, ImportError, ValueError) as e:  # Hugging Face's and transformers' own errors
        first = next((line for line in str(e).splitlines() if line.strip()), "")
        raise NotRun(f"its weights could not be loaded: {type(e).__name__}: {first}") from e


def one_at_a_time(metric: str) -> AbstractContextManager:
    """A lock on the making of one metric of pyiqa: LIQE keeps its prompts in the cache, and reads half a file there.

    Where the cache cannot be written nothing is, and there is no need of a lock.
    """
    cache = Path(torch.hub.get_dir()) / "pyiqa"
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return only_one(cache / f".{metric}.lock") if os.access(cache, os.W_OK) else nullcontext()


class PyiqaMethod:
    """A metric of pyiqa by its name there."""

    def __init__(self, metric: str, mirror: Path | None = None):
        self.metric, self.mirror = metric, mirror

    def load(self, device: str) -> None:
        import pyiqa

        if self.metric not in pyiqa.list_models():
            raise CardError(f"pyiqa has no metric {self.metric!r}")
        # LIQE encodes 495 prompts when it is made: with gradients that takes more than 16 GB
        with one_at_a_time(self.metric), weights_or_not_run(self.mirror), torch.no_grad():
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
            raise DamagedFile(f"{e}; remove that folder, and it is trained again") from e

    def score(self, batch: Batch) -> Tensor:
        return self.model.score(batch.images)

    def features(self, batch: Batch) -> Tensor:
        """(B, D) unit features of its encoder."""
        return self.model.encode(batch.images)


class Refused:
    """A method whose card says why it cannot be run."""

    def __init__(self, reason: str):
        self.reason = reason

    def load(self, device: str) -> None:
        raise NotRun(self.reason)

    def score(self, batch: Batch) -> Tensor:
        raise NotRun(self.reason)


def create(card: MethodCard, checkpoint: Path | None = None, mirror: Path | None = None, **given: Any) -> Method:
    """The method behind a card.

    checkpoint: folder of the card's variant. given: what the card's `fit` and `labels` ask for (fitted=file,
    labels=index). Raises CardError for a source that has no runner, or a class that takes no such arguments.
    """
    if card.features:
        raise CardError(f"{card.path}: it is trained within each split of a set, and has no score of a single photo")
    if card.not_run:
        return Refused(card.not_run)
    if card.input.device == "cuda" and not torch.cuda.is_available():
        return Refused("it runs on a GPU alone, and there is none here")
    if card.pyiqa:
        return PyiqaMethod(card.pyiqa, mirror)
    if card.module:
        asked = {k: given.get(k) for k, wanted in (("fitted", card.fit), ("labels", card.labels)) if wanted}
        asked |= {"checkpoint": checkpoint} if card.variant else {}
        asked |= {"mirror": mirror} if card.weights else {}
        absent = [k for k, v in asked.items() if v is None and k != "mirror"]
        if absent:
            raise CardError(f"{card.path}: it needs --{', --'.join(absent)}")
        try:
            return load_function(card.module, card.path.parent)(**card.arguments, **asked)
        except TypeError as e:
            raise CardError(f"{card.path}: {card.module}: {e}") from e
    if card.variant and checkpoint:
        return VariantMethod(checkpoint)
    raise CardError(f"{card.path}: nothing to run: its scores come from elsewhere")
