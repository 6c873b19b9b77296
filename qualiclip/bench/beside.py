"""Python files that lie beside a card."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qualiclip.bench.card import CardError


class NotRun(RuntimeError):
    """A method that cannot be run here (its weights cannot be had); the message says why."""


def load_function(reference: str, folder: Path) -> Callable[..., Any]:
    """`file.py:name` beside a card -> the function or class. Raises CardError."""
    file, _, name = reference.partition(":")
    path = folder / file
    spec = importlib.util.spec_from_file_location(f"card_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CardError(f"{path}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and worker processes look modules up by name
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise CardError(f"{path}: defines no {name!r}")
    return getattr(module, name)
