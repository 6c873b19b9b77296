"""Cards and configs: what a YAML file may say, checked before any job starts.

A card describes a dataset (datasets/), a method (baselines/), a table or a figure (workflow/).
A config (workflow/config/) describes a scale. Unknown keys are errors that name the file, the key
and the allowed keys. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qualiclip.config import TrainConfig

NAME = re.compile(r"[a-z0-9][a-z0-9_+-]*")
M = TypeVar("M", bound=BaseModel)

Range = tuple[float | None, float | None]
Scale = Literal["mini", "scratch", "paper"]
DatasetFamily = Literal["authentic", "restoration", "generated", "synthetic", "pristine"]
MethodFamily = Literal["opinion-unaware", "supervised", "control", "ablation"]


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


class Download(Strict):
    """One file of a dataset, from exactly one place."""

    filename: str = Field(description="name under raw/<dataset>/ and in mirror/<dataset>/")
    url: str | None = Field(None, description="http(s) address")
    gdrive: str | None = Field(None, description="Google Drive file id")
    huggingface: str | None = Field(None, description="repository/path of a Hugging Face dataset file")
    manual: str | None = Field(None, description="how a person gets it, for releases behind a form")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="null: recorded at the first download")
    extract: bool = Field(False, description="unpack into raw/<dataset>/ (zip, tar, tgz)")

    @model_validator(mode="after")
    def _one_place(self) -> Download:
        if sum(v is not None for v in (self.url, self.gdrive, self.huggingface, self.manual)) != 1:
            raise ValueError("give exactly one of url, gdrive, huggingface, manual")
        return self


class Make(Strict):
    """A dataset made in the workflow by a function, in place of a download."""

    function: str = Field(description="file.py:function beside the card, called as f(target, *needs, **arguments)")
    needs: list[str] = Field([], description="datasets whose raw folders it reads")
    arguments: dict[str, Any] = Field({}, description="keyword arguments")


class Labels(Strict):
    """Where the scores of a dataset stand in its native release."""

    format: Literal["csv", "xlsx"] = Field(description="how the label file is read")
    file: str = Field(description="path under raw/<dataset>/")
    image: str = Field("image", description="column of the image name")
    mos: str = Field("mos", description="column of the score")
    std: str | None = Field(None, description="column of the score's standard deviation")
    ref: str | None = Field(None, description="column of the reference image")
    group: str | None = Field(None, description="column of what several images share (a prompt, a ladder)")
    higher_better: bool = Field(True, description="false for DMOS")
    range: Range = Field(description="[lowest, highest] score possible; checked")
    kind: Literal["human opinions", "synthetic severity", "fused full-reference metrics"] = Field(
        "human opinions", description="what the labels are; anything but human opinions is said everywhere"
    )


class Images(Strict):
    """Where the images lie and how many there are."""

    root: str = Field("", description="folder under raw/<dataset>/")
    pattern: str = Field("**/*", description="glob under root, for a set without labels")
    count: int = Field(gt=0, description="images that a complete set has")


class Resize(Strict):
    shorter_side: int = Field(gt=0, description="px")
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


class Splits(Strict):
    """Train/validation/test parts, stored by image name in the index."""

    kind: Literal["seeded"] = "seeded"
    by: Literal["ref", "group"] | None = Field(None, description="images that share it stay on one side")


class DatasetCard(Card):
    family: DatasetFamily
    scales: list[Scale] = Field(["mini", "scratch", "paper"], description="scales that use it unasked")
    files: list[Download] = []
    make: Make | None = None
    labels: Labels | None = Field(None, description="null for a pristine set")
    images: Images
    resize: Resize | None = Field(None, description="before any method sees the image")
    splits: Splits | None = Splits()
    citation: str
    license: str

    @property
    def human(self) -> bool:
        return self.labels is not None and self.labels.kind == "human opinions"

    def raw_digest(self) -> str:
        """Digest of what determines the raw folder: a changed citation is not in it."""
        return digest(self.model_dump(include={"files", "make"}))

    def index_digest(self) -> str:
        """Digest of what determines the index."""
        return digest(self.model_dump(include={"labels", "images", "splits"}))


class InputPolicy(Strict):
    """What a method is given; null everywhere means the whole image as it is."""

    shorter_side: int | None = Field(None, gt=0, description="resize, bicubic, px")
    batch: int = Field(1, ge=1, description="images of one size scored together")


class MethodCard(Card):
    family: MethodFamily
    scales: list[Scale] = Field(["mini", "scratch", "paper"], description="scales that run it unasked")
    higher_better: bool
    range: Range = Field((None, None), description="[lowest, highest] score possible, null where open")
    input: InputPolicy = InputPolicy()
    trained_on: list[str] = Field([], description="dataset cards whose human labels it has seen")
    reported_as: list[str] = Field([], description="its names in workflow/reported, besides the title")
    citation: str
    license: str
    pyiqa: str | None = Field(None, description="source: a metric of pyiqa")
    module: str | None = Field(None, description="source: file.py:Class beside the card, with load and score")
    variant: str | None = Field(None, description="source: a training variant of the config")
    scores: str | None = Field(None, description="source: published per-image scores, a file pattern")
    rule: bool = Field(False, description="source: your own Snakemake rule writes the score file")

    @model_validator(mode="after")
    def _one_source(self) -> MethodCard:
        if sum((bool(self.pyiqa), bool(self.module), bool(self.variant), bool(self.scores), self.rule)) != 1:
            raise ValueError("give exactly one source: pyiqa, module, variant, scores or rule")
        return self

    def score_digest(self) -> str:
        """Digest of what determines the scores: title, citation and licence are not in it."""
        return digest(self.model_dump(include={"input", "pyiqa", "module", "variant", "scores"}))


class Select(Strict):
    """Cards chosen by attribute or by name; several conditions in one attribute are alternatives."""

    names: list[str] | None = None
    family: list[str] | None = None

    def matches(self, card: DatasetCard | MethodCard) -> bool:
        return card.name in (self.names or []) or card.family in (self.family or [])


class TableCard(Card):
    kind: Literal["correlations", "datasets", "degradations", "efficiency"] = "correlations"
    caption: str
    rows: Select | None = Field(None, description="methods")
    columns: Select | None = Field(None, description="datasets")
    pairs: Literal["all", "trained on", "not trained on"] = Field(
        "all", description="keep a method's result on the sets it was trained on, on the others, or on all"
    )
    metrics: list[Literal["srcc", "plcc", "plcc_logistic", "krcc", "rmse"]] = ["srcc", "plcc_logistic"]
    statistic: Literal["whole", "median", "official"] = Field(
        "whole", description="whole set, median over the ten test splits, or the official test part"
    )
    within_group: bool = Field(False, description="also the mean SRCC within the groups of a set")
    schedule: bool = Field(False, description="also how long each variant was trained")
    reported: list[str] = Field([], description="files of workflow/reported, the first has precedence")
    remarks: dict[str, str] = Field(
        {}, description="'method/dataset', by card or reported name, or 'method': why a value is off, printed beside it"
    )
    empty: str = Field("No method of this scale belongs here.", description="printed for a table without rows")

    @model_validator(mode="after")
    def _selects(self) -> TableCard:
        if self.kind == "correlations" and not (self.rows and self.columns):
            raise ValueError("a table of correlations needs rows and columns")
        if self.kind == "efficiency" and not self.rows:
            raise ValueError("a table of efficiency needs rows")
        return self


FigureKind = Literal[
    "score_vs_intensity", "gmad", "overview", "degradation_levels", "degradation_sheet", "gradcam", "embeddings"
]
LEAST_METHODS = {"score_vs_intensity": 1, "gmad": 2, "gradcam": 1, "embeddings": 1}


class FigureCard(Card):
    kind: FigureKind
    caption: str
    methods: list[str] = Field([], description="method cards; for gmad the two rivals")
    group: str | None = Field(None, description="degradation group of a degradation_sheet")

    @model_validator(mode="after")
    def _enough(self) -> FigureCard:
        least = LEAST_METHODS.get(self.kind, 0)
        if len(self.methods) < least:
            raise ValueError(f"name at least {'two methods' if least > 1 else 'one method'}")
        if (self.kind == "degradation_sheet") != (self.group is not None):
            raise ValueError("a degradation_sheet, and nothing else, needs a group")
        return self


class ScaleConfig(Strict):
    """A scale: what is selected and how large; the rules are the same for all."""

    scale: Scale = Field("mini", description="which file of workflow/config")
    banner: str | None = Field(None, description="said on every table, figure and page of this scale")
    datasets: list[str] | None = Field(None, description="null: every card that names the scale")
    methods: list[str] | None = Field(None, description="null: every card that names the scale")
    pristine: str = Field(description="dataset that training reads")
    photos: str = Field(description="undistorted photos behind the figures")
    photo_count: int = Field(gt=0, description="how many of them score_vs_intensity degrades")
    gmad: str = Field(description="dataset in which gMAD looks for pairs")
    gmad_levels: int = Field(2, ge=1, description="defender levels")
    bootstrap: int = Field(0, ge=0, description="resamples behind additional confidence limits; 0: closed form only")
    efficiency_size: tuple[int, int] = Field((1024, 768), description="width and height of the timed image, px")
    train: dict[str, Any] = Field(description="TrainConfig of every variant")
    variants: dict[str, dict[str, Any]] = Field(description="what each variant changes in it")
    data: Path = Field(Path("datasets/raw"), description="raw root")
    results: Path = Field(Path("results"), description="results root")
    mirror: Path | None = Field(None, description="local files taken in place of the network")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    allow_missing: bool = Field(False, description="index a set whose images are not all there")
    allow_errors: bool = Field(False, description="correlate without the images that a method failed on")

    @model_validator(mode="after")
    def _variants(self) -> ScaleConfig:
        for name in self.variants:
            self.variant(name)
        return self

    def variant(self, name: str) -> TrainConfig:
        """The training config of one variant."""
        return TrainConfig(**{**self.train, **self.variants[name]})


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


def read_config(path: Path, overrides: dict[str, Any] | None = None) -> ScaleConfig:
    """Read a scale's config with command-line overrides on top. Raises CardError."""
    return parse(ScaleConfig, path, {**read_yaml(path), **(overrides or {})})
