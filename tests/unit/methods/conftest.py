"""Fixtures for methods whose weights come from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch


@pytest.fixture
def weight_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of torch.hub and pyiqa."""
    from pyiqa.utils import download_util

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(download_util, "DEFAULT_CACHE_DIR", str(tmp_path / "hub/pyiqa"))
    return tmp_path / "hub"
