"""The place of a score among those of a reference set: how many of its images score lower, with limits."""

from __future__ import annotations

import csv
import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Percentile:
    """Percent of images that score lower, and its 95% limits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Reference:
    """The scores of a set of images, ascending."""

    title: str
    scores: list[float]

    def percentile(self, score: float) -> Percentile:
        """Of a score of the same weights. Equal scores count half; the limits are Wilson's (JASA 1927).

        They hold for the photos that the set is a sample of, not for its images alone.
        """
        n = len(self.scores)
        share = (bisect_left(self.scores, score) + bisect_right(self.scores, score)) / 2 / n
        z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
        return Percentile(100 * share, 100 * max(0.0, middle - reach), 100 * min(1.0, middle + reach))


def read_reference(file: Path) -> Reference:
    """A CSV file with a column `score`, as `qualiclip score --format csv` prints it; rows without a score are left out.

    Raises ValueError, which names the file and what is wrong, and FileNotFoundError.
    """
    try:
        with file.open(newline="", encoding="utf-8") as f:
            rows = csv.DictReader(f)
            if "score" not in (rows.fieldnames or []):
                raise ValueError("it has no column `score`; `qualiclip score --format csv` prints one")
            scores = sorted(float(r["score"]) for r in rows if r["score"])
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: there is no such file of scores") from None
    except (OSError, ValueError, csv.Error) as e:
        raise ValueError(f"{file}: no reference ({e})") from e
    if not scores or not all(map(math.isfinite, scores)):
        raise ValueError(f"{file}: no reference (it needs scores, all of them finite)")
    return Reference(file.stem, scores)
