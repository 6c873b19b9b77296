"""What a machine needs for jobs: seconds per job, per image and per megapixel, of each method and each rule.

measure.py measures it on this machine; a record holds what another machine needed for the methods whose weights are a
download (workflow/speeds.csv, written by `python -m tests.rehearsal.speeds`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from qualiclip.config import TrainConfig
from qualiclip.io import write_text

RECORD = Path("workflow/speeds.csv")
CALIBRATION = "resnet50"  # the row of the record that every machine can measure


@dataclass(frozen=True)
class Cost:
    """Seconds of a job: `job` in any case, `image` per image, `megapixel` per megapixel of all images together."""

    job: float = 0.0
    image: float = 0.0
    megapixel: float = 0.0

    def seconds(self, images: float = 0, megapixels: float = 0) -> float:
        """Of a job on so many images of `megapixels` each."""
        return self.job + images * (self.image + megapixels * self.megapixel)

    def times(self, factor: float) -> Cost:
        """The cost on a machine that needs `factor` times as long."""
        return Cost(self.job * factor, self.image * factor, self.megapixel * factor)


@dataclass(frozen=True)
class Training:
    """Seconds to begin, and per degraded image of a step and of a pass forwards; megabytes of a checkpoint."""

    start: float
    step: float
    forward: float
    megabytes: float
    features: int  # values per image


@dataclass(frozen=True)
class Speeds:
    """What a machine needs: `costs` by method card, rule or operation, `trainings` by `training_kind`."""

    machine: str
    device: str
    ratio: float  # seconds here over seconds of the record
    costs: dict[str, Cost]
    trainings: dict[str, Training]

    @classmethod
    def read(cls, path: Path) -> Speeds:
        """Speeds that `write` has written."""
        facts = json.loads(path.read_text(encoding="utf-8"))
        costs = {k: Cost(**v) for k, v in facts.pop("costs").items()}
        trainings = {k: Training(**v) for k, v in facts.pop("trainings").items()}
        return cls(**facts, costs=costs, trainings=trainings)

    def write(self, path: Path) -> None:
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")


def read_record() -> dict[str, Cost]:
    """Costs on the machine of the record, by method card and by rule."""
    table = pd.read_csv(RECORD, comment="#", index_col="what")
    return {str(name): Cost(row.job, row.image, row.megapixel) for name, row in table.iterrows()}


def training_kind(config: TrainConfig) -> str:
    """What decides the seconds per image of a training step; variants of one kind are measured once."""
    keys = ("encoder", "crop", "types_per_pair", "generator", "precision", "batch_norm")
    return " ".join(str(getattr(config, k)) for k in keys)
