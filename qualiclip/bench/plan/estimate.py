"""Seconds of the jobs of a run, from the speeds of a machine and the sizes of the sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pandas as pd

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.measure.efficiency import REPEATS, TIME_LIMIT
from qualiclip.bench.plan.costs import Cost, Speeds, training_kind
from qualiclip.bench.plan.jobs import Job
from qualiclip.bench.workspace import Workspace
from qualiclip.config import TrainConfig
from qualiclip.crops import VALIDATION_BATCHES, held_out
from qualiclip.degrade import N_LEVELS, TYPES

ASSUMED = 0.5  # megapixels of an image, where neither a card nor an index states them
SMALL_JOBS = ("score_precomputed", "score_refused", "merge_shards")  # each reads and writes a table, as `metrics` does


@cache
def _training_images(n: int, holdout: float, seed: int) -> int:
    config = TrainConfig(holdout=holdout, seed=seed)
    return len(held_out([""] * n, config)[0])


def steps_of(config: TrainConfig, images: int) -> int:
    """Steps of a training on a pristine set of so many images, of which some are held out."""
    return config.total_steps(_training_images(images, config.holdout, config.seed))


@dataclass(frozen=True)
class Images:
    """How many images a set has, and their mean size; `known` is false where no card and no index states the size."""

    count: int
    megapixels: float
    known: bool = True


def images_of(card: DatasetCard, workspace: Workspace) -> Images:
    """Of the index where there is one, else of the card."""
    index = workspace.paths.index(card.name)
    if index.is_file():
        table = pd.read_csv(index, usecols=["width", "height"])
        if card.resize is None:
            return Images(len(table), float((table["width"] * table["height"]).mean() / 1e6))
    return Images(card.images.count or 0, card.images.megapixels or ASSUMED, card.images.megapixels is not None)


class Estimate:
    """Seconds of the jobs of a run on the machine whose speeds are given."""

    def __init__(self, workspace: Workspace, speeds: Speeds, record: dict[str, Cost]):
        self.workspace, self.speeds, self.config = workspace, speeds, workspace.config
        self.costs = {name: cost.times(speeds.ratio) for name, cost in record.items()} | speeds.costs
        self.costs |= {rule: self.costs["metrics"] for rule in SMALL_JOBS if "metrics" in self.costs}
        self.rules: dict[str, Callable[[Job], float]] = {
            "train": self._train,
            "fit": self._fit,
            "features": self._scoring,
            "score": self._scoring,
            "score_shard": self._shard,
            "score_per_split": self._scoring,
            "intensity": self._intensity,
            "sizes": lambda job: self._method(job, self._photos(2)),  # in sum, 2.05 photos
            "explain": lambda job: self.costs["explain"].seconds() + self._method(job, self._photos(3)),
            "efficiency": self._efficiency,
            "degradation_changes": lambda job: self._degraded(min(self.config.figure_photos, 100), N_LEVELS),
            "fetch": self._fetch,
            "index": self._index,
        }

    def seconds(self, job: Job) -> float | None:
        """Seconds of one core, or of the GPU where the speeds are a GPU's; None where nobody has measured it."""
        try:
            start = self.costs["start"].seconds()
            return start + (self.rules[job.rule](job) if job.rule in self.rules else self.costs[job.rule].seconds())
        except KeyError:
            return None

    def _images(self, dataset: str | None) -> Images:
        return images_of(self.workspace.all_datasets[dataset or ""], self.workspace)

    def _photos(self, times: int) -> Images:
        """The photos of the figures, each scored so many times."""
        photos = self._images(self.workspace.figure_set.name)
        return Images(times * min(photos.count, self.config.figure_photos), photos.megapixels)

    def _method(self, job: Job, images: Images) -> float:
        """Scoring images, which are decoded first. Raises KeyError for a method that was not measured."""
        card = self.workspace.all_methods[job.method or ""]
        if card.not_run:
            return self.costs["score_refused"].seconds()
        decoded = self.costs["decode"].seconds(images.count, images.megapixels)
        return decoded + self.costs[card.name].seconds(images.count, images.megapixels)

    def _scoring(self, job: Job) -> float:
        return self._method(job, self._images(job.dataset))

    def _shard(self, job: Job) -> float:
        images = self._images(job.dataset)
        n = len(self.workspace.shards(job.method or "", job.dataset or ""))
        return self._method(job, Images(images.count // n, images.megapixels))

    def _fetch(self, job: Job) -> float:
        """Making a set; for one that is downloaded nothing, since the network and the disk set the pace."""
        card = self.workspace.all_datasets[job.dataset or ""]
        return self.costs[f"fetch {card.name}"].seconds() if card.make else 0.0

    def _fit(self, job: Job) -> float:
        photos = self._images(self.workspace.fit_set.name)
        return self.costs[f"fit {job.method}"].seconds(photos.count, photos.megapixels)

    def _index(self, job: Job) -> float:
        return self.costs["index"].seconds(self._images(job.dataset).count)

    def _train(self, job: Job) -> float:
        """Steps, batches of the batch-norm statistics, and rank consistency before, after and at each checkpoint."""
        config = self.config.variant(job.variant or "")
        speed = self.speeds.trainings[training_kind(config)]
        steps = steps_of(config, self._images(self.config.training_set).count)
        checks = 2 + max(0, steps - 1) // config.checkpoint_every
        batch = config.images / config.accumulate
        forward = config.norm_batches * (config.batch_norm == "train") + VALIDATION_BATCHES * (checks + 1)
        return speed.start + steps * config.images * speed.step + forward * batch * speed.forward

    def _degraded(self, photos: int, levels: int) -> float:
        """Every type at so many levels."""
        megapixels = self._images(self.workspace.figure_set.name).megapixels
        return self.costs["degrade"].seconds(photos * len(TYPES) * levels, megapixels)

    def _intensity(self, job: Job) -> float:
        photos = self._photos(1).count
        per_photo = len(TYPES) * (N_LEVELS + 1)
        return self._degraded(photos, N_LEVELS + 1) + self._method(job, self._photos(per_photo))

    def _efficiency(self, job: Job) -> float:
        """One call to warm up, and the timed ones, which end after a time."""
        width, height = self.config.efficiency_size
        once = self.costs[job.method or ""].seconds(1, width * height / 1e6)
        return once + min(REPEATS * once, TIME_LIMIT + once)
