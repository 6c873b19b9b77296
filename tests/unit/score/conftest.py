"""The small set, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.small_set import write_small


@pytest.fixture
def small(tmp_path) -> Path:
    """A method, a dataset of 11 images of two sizes, and its index."""
    return write_small(tmp_path)
