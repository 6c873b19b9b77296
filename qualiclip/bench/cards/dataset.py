"""The card of a dataset (datasets/<name>.yaml): where its files come from, what its labels and splits are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from qualiclip.bench.cards.base import Address, Card, DatasetFamily, Range, Strict
from qualiclip.io import digest

# raw/<dataset>/folder leads to a user's own folder, and nothing is written among its files
OWN_FOLDER = "folder"


class Download(Strict):
    """One file of a dataset, from exactly one place."""

    renamed: ClassVar = {"either": "alternative"}

    filename: str = Field(description="path under raw/<dataset>/ and in mirror/<dataset>/")
    url: Address | None = Field(None, description="https address")
    gdrive: str | None = Field(None, description="Google Drive file id")
    huggingface: str | None = Field(None, description="repository/path of a Hugging Face dataset file")
    manual: str | None = Field(None, description="how a person gets it, for a release behind a form")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{8,64}$", description="or its first digits; null: recorded at the first download"
    )
    extract: bool = Field(False, description="unpack into raw/<dataset>/ (zip, tar, tgz)")
    alternative: str | None = Field(
        None, description="files that share this word have the same content: the first one available is used"
    )
    labels_only: bool = Field(
        False, description="a label table that replaces its alternatives where the config's labels_only names the set"
    )
    mirror: str | None = Field(None, description="a second path in the mirror, for a file that several sets share")
    megabytes: float | None = Field(
        None, gt=0, description="its size in units of 10^6 bytes, as its source states it; for the plan, null: unknown"
    )
    wait: str | None = Field(
        None, description="manual: how long an answer is known to take; for the plan, null: unknown"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Download:
        if sum(v is not None for v in (self.url, self.gdrive, self.huggingface, self.manual)) != 1:
            raise ValueError("give exactly one of url, gdrive, huggingface, manual")
        for path in (self.filename, self.mirror or "x"):
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{path!r} is not a path inside the dataset's folder")
        return self

    @property
    def source(self) -> str:
        """The source in words."""
        gdrive = self.gdrive and f"Google Drive id {self.gdrive}"
        return self.url or gdrive or (self.huggingface and f"Hugging Face {self.huggingface}") or self.manual

    def in_mirror(self, owner: str, mirror: Path | None) -> Path | None:
        """The file of the mirror that is used in place of the source; None where the mirror does not have it.

        owner: the dataset, or whatever else the file belongs to; its folder in the mirror.
        """
        places = [Path(owner) / self.filename, *([Path(self.mirror)] if self.mirror else [])]
        return next((mirror / p for p in places if (mirror / p).is_file()), None) if mirror else None


class Make(Strict):
    """A dataset made in the workflow by a function, in place of a download."""

    function: str = Field(description="file.py:function beside the card, called as f(target, *needs, **arguments)")
    needs: list[str] = Field([], description="datasets whose raw folders it reads")
    arguments: dict[str, Any] = Field({}, description="keyword arguments")


class Labels(Strict):
    """Where the scores of a dataset are in its native release."""

    renamed: ClassVar = {"twice": "duplicates", "kind": "origin"}

    format: Literal["csv", "xlsx", "mat"] = Field("csv", description="format of the label file")
    function: str | None = Field(
        None, description="file.py:function beside the card, for an odd format: f(files) returns a table of the columns"
    )
    file: str = Field(description="path or glob under raw/<dataset>/; the tables of several matches are concatenated")
    separator: str = Field(",", description="csv: column separator; a regular expression if longer than one character")
    encoding: str = Field("utf-8", description="csv: of the text; a byte order mark decides over it")
    decimal: Literal[".", ","] = Field(".", description="what separates the decimals of numbers that are text")
    columns: list[str] | None = Field(None, description="csv: column names of a file without a header")
    skip: int = Field(0, ge=0, description="first rows that do not belong to the set")
    image: str = Field("image", description="column (mat: variable) of the image name")
    image_pattern: str | None = Field(None, description="the image name is the first group of this in that column")
    mos: str = Field("mos", description="column of the score")
    std: str | None = Field(None, description="column of the score's standard deviation")
    ref: str | None = Field(None, description="column of the reference image")
    ref_pattern: str | None = Field(None, description="in place of ref: its first group in the image name")
    group: str | None = Field(None, description="column of what several images share (a prompt, a ladder)")
    type: str | None = Field(None, description="column of the type of degradation, for sets of one type per image")
    type_pattern: str | None = Field(None, description="in place of type: its first group in the image name")
    types: dict[str, str] = Field({}, description="value of the type -> its name; every value must have one")
    duplicates: Literal["refuse", "drop"] = Field(
        "refuse", description="images with two labels: an error, or left out of the set"
    )
    higher_better: bool = Field(True, description="false for DMOS")
    range: Range = Field(description="[lowest, highest] score possible; checked")
    origin: Literal["human opinions", "synthetic severity", "fused full-reference metrics"] = Field(
        "human opinions", description="what the labels are; anything but human opinions is stated with every result"
    )

    @model_validator(mode="after")
    def _one_each(self) -> Labels:
        for key in ("ref", "type"):
            if getattr(self, key) and getattr(self, f"{key}_pattern"):
                raise ValueError(f"give {key} or {key}_pattern, not both")
        if self.types and not (self.type or self.type_pattern):
            raise ValueError("types belong to type or type_pattern")
        for key in ("image_pattern", "ref_pattern", "type_pattern"):
            if getattr(self, key) and re.compile(getattr(self, key)).groups != 1:
                raise ValueError(f"{key} needs exactly one group")
        return self


class Images(Strict):
    """Where the images are and how many there are."""

    root: str = Field("", description="folder under raw/<dataset>/, or a glob that matches one; empty: anywhere in it")
    pattern: str = Field("**/*", description="glob under root, for a set without labels")
    count: int | None = Field(None, gt=0, description="images of a complete set; null: not checked")
    megapixels: float | None = Field(
        None, gt=0, description="mean size of an image as methods see it, after `resize`; for the plan, null: unknown"
    )


class Resize(Strict):
    """Resize every image, before any method sees it."""

    shorter_side: int = Field(gt=0, description="px")
    interpolation: Literal["bicubic", "bilinear"] = Field("bicubic", description="interpolation filter")


class SplitFiles(Strict):
    """Split files as NumPy arrays of row numbers: (splits, rows) padded by -1, or (rows,) for one official split."""

    train: str = Field(description="path under raw/<dataset>/")
    val: str = Field(description="path under raw/<dataset>/")
    test: str = Field(description="path under raw/<dataset>/")
    order: Literal["labels", "names"] = Field(description="a number counts rows of the label table, or sorted names")
    counts: tuple[int, int, int] | None = Field(
        None, description="images of train, val and test in every split; checked. null: they differ between the splits"
    )
    reach: float = Field(0, ge=0, description="how far a median SRCC moves with the order, where that is not confirmed")


class SplitColumn(Strict):
    """An official split given by a column of the label file."""

    column: str = Field(description="the column; `file` is the name of the label file that a row comes from")
    train: list[str] = Field(description="values of the column that mean this part")
    val: list[str] = Field([], description="values that mean this part; may be empty")
    test: list[str] = Field(description="values that mean this part")
    counts: tuple[int, int, int] = Field(description="images of train, val and test; checked")


class Splits(Strict):
    """Train, validation and test parts, stored by image name in the index."""

    renamed: ClassVar = {"kind": "use", "published": "files", "official": "column"}

    use: Literal["seeded", "files", "column"] = Field(
        "seeded", description="ten random 70/10/20 splits by a seed, the split files, or the column of the label file"
    )
    by: Literal["ref", "group"] | None = Field(
        None, description="images that share it stay in one part: so are the seeded splits made, and files checked"
    )
    files: SplitFiles | None = None
    column: SplitColumn | None = None

    @model_validator(mode="after")
    def _described(self) -> Splits:
        if self.use != "seeded" and getattr(self, self.use) is None:
            raise ValueError(f"use: {self.use} needs the key {self.use}")
        return self


class TrainingList(Strict):
    """Images that somebody else's weights were trained on: those of a column of the label file, or of a shuffle."""

    column: str | None = Field(None, description="column of the label file")
    values: list[str] = Field([], description="its values that mean a training image")
    seed: int | None = Field(None, description="or: seed of Python's random.shuffle over the rows of the labels")
    share: float | None = Field(None, gt=0, lt=1, description="the first so many of the shuffled rows")

    @model_validator(mode="after")
    def _one_kind(self) -> TrainingList:
        if (self.column is None) == (self.seed is None):
            raise ValueError("give either column and values, or seed and share")
        if (self.column is None) == bool(self.values) or (self.seed is None) == bool(self.share):
            raise ValueError("column goes with values, seed with share")
        return self


class DatasetCard(Card):
    """A dataset: its release, labels, images and splits."""

    short: str | None = Field(None, description="name where room is scarce: in LaTeX and in figures; null: the title")
    version: int = Field(1, ge=1, description="raised when images, labels or splits change; printed with the protocol")
    family: DatasetFamily = Field(description="tables select datasets by it")
    scales: list[str] = Field(["mini", "scratch", "paper"], description="scales that use it by default")
    files: list[Download] = Field([], description="source: its release")
    make: Make | None = Field(None, description="source: made in the workflow")
    folder: Path | None = Field(None, description="source: a folder of your own, which is linked, not copied")
    labels: Labels | None = Field(None, description="null for a pristine set")
    images: Images = Images()
    resize: Resize | None = Field(None, description="applied before any method sees the image")
    splits: Splits | None = Splits()
    training_lists: dict[str, TrainingList] = Field(
        {}, description="by name: what released weights were trained on; a method's card refers to it"
    )
    citation: str = Field(description="printed in the table of datasets")
    license: str = Field(description="terms of use")
    labels_travel: bool = Field(
        False, description="true where its licence lets the labels be passed on: a release of scores then holds them"
    )
    noncommercial: bool | None = Field(
        None, description="true where the licence forbids commercial use, null where it is not known; for the plan"
    )
    unpacked_megabytes: float | None = Field(
        None, gt=0, description="size of raw/<dataset>/ when it is complete; for the plan, null: unknown"
    )

    @model_validator(mode="after")
    def _one_source(self) -> DatasetCard:
        if sum((bool(self.files), bool(self.make), bool(self.folder))) != 1:
            raise ValueError("give exactly one of files, make, folder")
        return self

    @property
    def human(self) -> bool:
        """Whether its labels are human opinions."""
        return self.labels is not None and self.labels.origin == "human opinions"

    @property
    def has_references(self) -> bool:
        """Whether its images are versions of reference images."""
        return self.labels is not None and bool(self.labels.ref or self.labels.ref_pattern)

    @property
    def has_types(self) -> bool:
        """Whether the type of degradation of its images is known."""
        return self.labels is not None and bool(self.labels.type or self.labels.type_pattern)

    @property
    def split_reach(self) -> float:
        """How far a median over the test parts may move, because the order of the split files is not confirmed."""
        return self.splits.files.reach if self.splits and self.splits.use == "files" and self.splits.files else 0.0

    def content(self, raw: Path) -> Path:
        """The folder in raw = raw/<dataset>/ that the paths of the card are relative to."""
        return raw / OWN_FOLDER if self.folder else raw

    def wanted_files(self, labels_only: bool) -> list[Download]:
        """The files to fetch: the release, or what replaces it where only the labels are needed."""
        alone = {f.alternative for f in self.files if f.labels_only} if labels_only else set()
        return [f for f in self.files if f.labels_only == (f.alternative in alone)]

    def raw_digest(self, labels_only: bool = False) -> str:
        """Digest of what determines the raw folder: the citation does not."""
        files = [f.model_dump(exclude={"megabytes", "wait"}) for f in self.wanted_files(labels_only)]
        return digest([files, self.model_dump(include={"make", "folder"}), *([OWN_FOLDER] if self.folder else [])])

    def index_digest(self) -> str:
        """Digest of what determines the index."""
        printed: Any = {"splits": {"files": {"reach"}}, "images": {"megapixels"}}
        return digest(self.model_dump(include={"labels", "images", "splits", "training_lists"}, exclude=printed))
