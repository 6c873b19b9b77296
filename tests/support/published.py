"""Scores that others have published, with the opinion scores of their images, from the mirror."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest


def opinions(mirror: Path, title: str) -> pd.DataFrame:
    """Names, labels (mos) and references of a set's images; the test is skipped where the mirror lacks them."""
    file = mirror / f"gmc/meta_info_{title}Dataset.csv"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    return pd.read_csv(file)


def published(mirror: Path, folder: str, methods: tuple[str, ...]) -> np.ndarray:
    """(M, n) scores of methods in the order of `opinions`."""
    return np.stack([pd.read_csv(mirror / f"gmc/{folder}/{m}.csv").iloc[:, 0] for m in methods])
