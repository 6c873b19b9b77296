"""What all cards share: how a YAML file is read and checked, and how its problems are told.

Unknown keys are errors that name the file, the key and the allowed keys. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

NAME = re.compile(r"[a-z0-9][a-z0-9_+-]*")
M = TypeVar("M", bound=BaseModel)


class CardError(ValueError):
    """A card or config that cannot be used; the message names the file, the key and the remedy."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Card(Strict):
    """What all cards share. `name` is the file's stem, `path` the file; neither is written inside."""

    name: str = Field(exclude=True)
    path: Path = Field(exclude=True)
    title: str = Field(description="as printed in tables")

    def sibling(self, file: str) -> Path:
        """A file that lies beside the card."""
        return self.path.parent / file


def digest(value: Any) -> str:
    """Short SHA-256 of anything JSON can hold."""
    text = json.dumps(value, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _explain(path: Path, error: ValidationError, model: type[BaseModel]) -> str:
    lines = []
    for e in error.errors():
        where = ".".join(str(p) for p in e["loc"])
        line = f"{path}: {where + ': ' if where else ''}{e['msg']}"
        if e["type"] == "extra_forbidden":
            owner = _owner(model, e["loc"][:-1])
            allowed = sorted(set(owner.model_fields) - {"name", "path"}) if owner else []
            line = f"{path}: unknown key '{where}'; allowed keys: {', '.join(allowed)}"
        lines.append(line)
    return "\n".join(lines)


def _owner(model: type[BaseModel], loc: tuple) -> type[BaseModel] | None:
    """The model that the location inside `model` belongs to."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        nested = [t for t in _types(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
        if not nested:
            return None
        model = nested[0]
    return model


def _types(annotation: Any) -> list[Any]:
    args = getattr(annotation, "__args__", ())
    return [annotation] if not args else [t for a in args for t in _types(a)]


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as e:
        raise CardError(f"{path}: {e}") from e
    if not isinstance(content, dict):
        raise CardError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def parse(model: type[M], path: Path, content: dict[str, Any]) -> M:
    """Validate `content` of the file `path`. Raises CardError with every problem, one a line."""
    try:
        return model(**content)
    except ValidationError as e:
        raise CardError(_explain(path, e, model)) from None


def read_card(model: type[M], path: Path) -> M:
    """Read one card. Raises CardError."""
    if not NAME.fullmatch(path.stem):
        raise CardError(f"{path}: a card's name is lower case letters, digits, '_', '-', '+', not {path.stem!r}")
    return parse(model, path, {**read_yaml(path), "name": path.stem, "path": path})


@cache
def read_cards(model: type[M], folder: Path) -> dict[str, M]:
    """All cards of a folder by name, found by glob."""
    return {p.stem: read_card(model, p) for p in sorted(folder.glob("*.yaml"))}
