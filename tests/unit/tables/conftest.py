"""Labels for tables."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def mos() -> np.ndarray:
    """Labels of 200 images, between 0 and 1."""
    return np.random.default_rng(0).random(200)
