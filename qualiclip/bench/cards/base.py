"""What all cards share: reading a YAML file, checking it, and reporting its errors.

An unknown key is an error that names the file, the key, and the key that was probably meant. Nothing here imports
torch.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

DATASETS, METHODS = Path("datasets"), Path("baselines")
TABLES, FIGURES = Path("workflow/tables"), Path("workflow/figures")
SCALES = Path("workflow/config")

NAME = re.compile(r"[a-z0-9][a-z0-9_+-]*")
Range = tuple[float | None, float | None]
DatasetFamily = Literal["authentic", "restoration", "generated", "synthetic", "pristine"]
MethodFamily = Literal["opinion-unaware", "supervised", "full-reference", "control", "ablation"]
M = TypeVar("M", bound=BaseModel)


class CardError(ValueError):
    """A card or config that cannot be used. The message names the file, the key and the remedy."""


def encrypted(url: str) -> bool:
    """Whether nobody on the way can change what an address gives: it is https, or of this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost")


def _https(url: str) -> str:
    if not encrypted(url):
        raise ValueError(f"{url} is not https: what it gives could be changed on the way")
    return url


Address = Annotated[str, AfterValidator(_https)]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    renamed: ClassVar[dict[str, str]] = {}  # former key -> its present name, for the error message


class Card(Strict):
    """A card file. `name` is the stem of the file and `path` the file; neither is written inside."""

    name: str = Field(exclude=True)
    path: Path = Field(exclude=True)
    title: str = Field(description="name printed in tables and figures")

    def sibling(self, file: str) -> Path:
        """The path of a file that lies beside the card."""
        return self.path.parent / file


C = TypeVar("C", bound=Card)


def load_function(reference: str, folder: Path) -> Callable[..., Any]:
    """The function or class that `file.py:name` refers to, in a file beside a card. Raises CardError."""
    file, _, name = reference.partition(":")
    path = folder / file
    spec = importlib.util.spec_from_file_location(f"card_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CardError(f"{path}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and worker processes look up modules by name
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise CardError(f"{path}: defines no {name!r}")
    return getattr(module, name)


def _report(path: Path | str, error: ValidationError, model: type[BaseModel]) -> str:
    """All problems of a file, one per line."""
    lines = []
    for e in error.errors():
        key = ".".join(str(p) for p in e["loc"])
        if e["type"] == "extra_forbidden":
            lines.append(f"{path}: unknown key '{key}'{_suggestion(model, e['loc'])}")
        else:
            remedy = f", for example [{e['input']}]" if e["type"] == "list_type" and isinstance(e["input"], str) else ""
            lines.append(f"{path}: {key + ': ' if key else ''}{e['msg']}{remedy}")
    return "\n".join(lines)


def _suggestion(model: type[BaseModel], loc: tuple) -> str:
    """What the unknown key at `loc` was probably meant to be, and which keys are allowed there."""
    owner, key = _owner(model, loc[:-1]), str(loc[-1])
    if owner is None:
        return ""
    allowed = sorted(set(owner.model_fields) - {"name", "path"})
    if renamed := getattr(owner, "renamed", {}).get(key):
        meant = f"; it is now called '{renamed}'"
    elif close := difflib.get_close_matches(key, allowed, n=1):
        meant = f"; did you mean '{close[0]}'?"
    else:
        meant = ""
    return f"{meant}; allowed keys: {', '.join(allowed)}"


def _owner(model: type[BaseModel], loc: tuple) -> type[BaseModel] | None:
    """The nested model that a location inside `model` belongs to."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        types = _types(field.annotation) if field else []
        nested = [t for t in types if isinstance(t, type) and issubclass(t, BaseModel)]
        if not nested:
            return None
        model = nested[0]
    return model


def _types(annotation: Any) -> list[Any]:
    """The plain types inside a nested type annotation."""
    args = getattr(annotation, "__args__", ())
    return [annotation] if not args else [t for a in args for t in _types(a)]


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key that occurs twice is an error: one of its values would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        twice = [str(k) for k in keys if keys.count(k) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{twice[0]}' occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file. Raises CardError."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader: it makes plain values only
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as e:
        raise CardError(f"{path}: {e}") from e
    if not isinstance(content, dict):
        raise CardError(f"{path}: expected keys and values, got {type(content).__name__}")
    return content


def parse(model: type[M], path: Path | str, content: dict[str, Any]) -> M:
    """Validate the content of `path`, a file or a place in one. Raises CardError with all problems, one per line."""
    try:
        return model(**content)
    except ValidationError as e:
        raise CardError(_report(path, e, model)) from None


def read_card(model: type[C], path: Path) -> C:
    """Read one card. Raises CardError."""
    if not NAME.fullmatch(path.stem):
        raise CardError(f"{path}: a card's name is lower case letters, digits, '_', '-', '+', not {path.stem!r}")
    content = read_yaml(path)
    for key in {"name", "path"} & set(content):
        raise CardError(f"{path}: unknown key '{key}'; the file's own name is the name of the card")
    return parse(model, path, {**content, "name": path.stem, "path": path})


def read_cards(model: type[C], folder: Path) -> dict[str, C]:
    """All cards of a folder and of its direct subfolders, by name; hidden files are left out.

    Raises CardError, also for two of one name, and for a file that would be a card if it ended in .yaml.
    """
    cards: dict[str, C] = {}
    # not rglob: datasets/raw holds a million images
    for path in sorted([*folder.glob("*.y*ml"), *folder.glob("*/*.y*ml")], key=lambda p: p.name):
        if path.name.startswith(".") or path.parent.name.startswith(".") or path.suffix not in (".yaml", ".yml"):
            continue  # what editors and file managers leave behind
        if path.suffix == ".yml":
            raise CardError(f"{path}: the name of a card ends in .yaml; rename it")
        if path.stem in cards:
            raise CardError(f"{path}: another card of this name is {cards[path.stem].path}")
        cards[path.stem] = read_card(model, path)
    return cards
