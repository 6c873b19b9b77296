"""What a card or a config may say, checked before any job starts.

A card describes a dataset (datasets/), a method (baselines/), a table or a figure (workflow/).
A config (workflow/config/) describes a scale. Nothing here imports torch.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from qualiclip.bench.card import Card, Strict, digest, parse, read_yaml
from qualiclip.config import TrainConfig

Range = tuple[float | None, float | None]
Scale = Literal["mini", "scratch", "paper"]
DatasetFamily = Literal["authentic", "restoration", "generated", "synthetic", "pristine"]
MethodFamily = Literal["opinion-unaware", "supervised", "control", "ablation"]


class Download(Strict):
    """One file of a dataset, from exactly one place."""

    filename: str = Field(description="path under raw/<dataset>/ and in mirror/<dataset>/")
    url: str | None = Field(None, description="http(s) address")
    gdrive: str | None = Field(None, description="Google Drive file id")
    huggingface: str | None = Field(None, description="repository/path of a Hugging Face dataset file")
    manual: str | None = Field(None, description="how a person gets it, for releases behind a form")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="null: recorded at the first download")
    extract: bool = Field(False, description="unpack into raw/<dataset>/ (zip, tar, tgz)")
    either: str | None = Field(
        None, description="files that share this word hold the same: one of them is enough, the first that can be had"
    )
    labels_only: bool = Field(
        False, description="a label table that stands in for the files of its `either` where labels_only names the set"
    )
    mirror: str | None = Field(None, description="a second place in the mirror, for a file that several sets share")

    @model_validator(mode="after")
    def _one_place(self) -> Download:
        if sum(v is not None for v in (self.url, self.gdrive, self.huggingface, self.manual)) != 1:
            raise ValueError("give exactly one of url, gdrive, huggingface, manual")
        for path in (self.filename, self.mirror or "x"):
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{path!r} is not a path inside the dataset's folder")
        return self

    @property
    def where(self) -> str:
        """The source in words."""
        gdrive = self.gdrive and f"Google Drive id {self.gdrive}"
        return self.url or gdrive or (self.huggingface and f"Hugging Face {self.huggingface}") or self.manual


class Make(Strict):
    """A dataset made in the workflow by a function, in place of a download."""

    function: str = Field(description="file.py:function beside the card, called as f(target, *needs, **arguments)")
    needs: list[str] = Field([], description="datasets whose raw folders it reads")
    arguments: dict[str, Any] = Field({}, description="keyword arguments")


class Labels(Strict):
    """Where the scores of a dataset stand in its native release."""

    format: Literal["csv", "xlsx", "mat"] = Field("csv", description="how the label file is read")
    function: str | None = Field(
        None, description="file.py:function beside the card, for an odd format: f(files) gives a table with the columns"
    )
    file: str = Field(description="path or glob under raw/<dataset>/; several matches are read one below the other")
    separator: str = Field(",", description="csv: what stands between columns, a regular expression if longer than one")
    columns: list[str] | None = Field(None, description="csv: names of the columns of a file without a header")
    skip: int = Field(0, ge=0, description="first rows that are no part of the set")
    image: str = Field("image", description="column (mat: variable) of the image name")
    mos: str = Field("mos", description="column of the score")
    std: str | None = Field(None, description="column of the score's standard deviation")
    ref: str | None = Field(None, description="column of the reference image")
    ref_pattern: str | None = Field(None, description="in place of ref: its first group in the image name")
    group: str | None = Field(None, description="column of what several images share (a prompt, a ladder)")
    twice: Literal["refuse", "drop"] = Field("refuse", description="images with two labels: an error, or left out")
    higher_better: bool = Field(True, description="false for DMOS")
    range: Range = Field(description="[lowest, highest] score possible; checked")
    kind: Literal["human opinions", "synthetic severity", "fused full-reference metrics"] = Field(
        "human opinions", description="what the labels are; anything but human opinions is said everywhere"
    )

    @model_validator(mode="after")
    def _one_ref(self) -> Labels:
        if self.ref and self.ref_pattern:
            raise ValueError("give ref or ref_pattern, not both")
        if self.ref_pattern and re.compile(self.ref_pattern).groups != 1:
            raise ValueError("ref_pattern needs exactly one group")
        return self


class Images(Strict):
    """Where the images lie and how many there are."""

    root: str = Field("", description="folder under raw/<dataset>/, or a glob that matches one; empty: anywhere in it")
    pattern: str = Field("**/*", description="glob under root, for a set without labels")
    count: int | None = Field(None, gt=0, description="images that a complete set has; null: not checked")


class Resize(Strict):
    shorter_side: int = Field(gt=0, description="px")
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


class Published(Strict):
    """Split files as NumPy arrays of row numbers: (splits, rows) padded by -1, or (rows,) for one official split."""

    train: str = Field(description="path under raw/<dataset>/")
    val: str
    test: str
    order: Literal["labels", "names"] = Field(description="a number counts rows of the label table, or sorted names")
    counts: tuple[int, int, int] = Field(description="images of train, val and test in every split; checked")


class Official(Strict):
    """A split that stands in the label file."""

    column: str = Field(description="its column; `file` is the name of the label file that a row comes from")
    train: list[str] = Field(description="values that mean the part")
    val: list[str] = Field([], description="may be empty")
    test: list[str]
    counts: tuple[int, int, int] = Field(description="images of train, val and test; checked")


class Splits(Strict):
    """Train/validation/test parts, stored by image name in the index. `kind` chooses; the rest may wait."""

    kind: Literal["seeded", "published", "official"] = "seeded"
    by: Literal["ref", "group"] | None = Field(None, description="seeded: images that share it stay on one side")
    published: Published | None = None
    official: Official | None = None

    @model_validator(mode="after")
    def _described(self) -> Splits:
        if self.kind != "seeded" and getattr(self, self.kind) is None:
            raise ValueError(f"kind {self.kind} needs the key {self.kind}")
        return self


class DatasetCard(Card):
    family: DatasetFamily
    scales: list[Scale] = Field(["mini", "scratch", "paper"], description="scales that use it unasked")
    files: list[Download] = Field([], description="its release")
    make: Make | None = None
    folder: Path | None = Field(None, description="a folder of your own, linked in place of a download")
    labels: Labels | None = Field(None, description="null for a pristine set")
    images: Images = Images()
    resize: Resize | None = Field(None, description="before any method sees the image")
    splits: Splits | None = Splits()
    citation: str
    license: str

    @model_validator(mode="after")
    def _one_origin(self) -> DatasetCard:
        if sum((bool(self.files), bool(self.make), bool(self.folder))) != 1:
            raise ValueError("give exactly one of files, make, folder")
        return self

    @property
    def human(self) -> bool:
        return self.labels is not None and self.labels.kind == "human opinions"

    def wanted_files(self, labels_only: bool) -> list[Download]:
        """The files to fetch: the release, or what stands in for it where only labels are asked for."""
        alone = {f.either for f in self.files if f.labels_only} if labels_only else set()
        return [f for f in self.files if f.labels_only == (f.either in alone)]

    def raw_digest(self, labels_only: bool = False) -> str:
        """Digest of what determines the raw folder: a changed citation is not in it."""
        files = [f.model_dump() for f in self.wanted_files(labels_only)]
        return digest([files, self.model_dump(include={"make", "folder"})])

    def index_digest(self) -> str:
        """Digest of what determines the index."""
        return digest(self.model_dump(include={"labels", "images", "splits"}))


class InputPolicy(Strict):
    """What a method is given, and where it runs; the defaults mean the whole image as it is, one by one."""

    shorter_side: int | None = Field(None, gt=0, description="resize, bicubic, px")
    batch: int = Field(1, ge=1, description="images of one size scored together, where that changes no score")
    device: Literal["any", "cpu", "cuda"] = Field("any", description="cpu: also beside a GPU; cuda: on one alone")
    precision: Literal["float32", "float16", "bfloat16"] = Field("float32", description="autocast on a GPU")
    seed: int = Field(0, ge=0, description="of a method that draws random numbers, anew for every batch")


class PublishedFile(Strict):
    """Published scores of one dataset."""

    scores: str = Field(description="path below the store")
    names: str | None = Field(None, description="file whose rows name the images; null: the score file names them")


class PublishedScores(Strict):
    """Per-image scores that somebody published, as CSV files of one store."""

    store: str = Field(description="folder of the mirror that may hold the files")
    url: str = Field(description="http(s) folder that they are fetched from otherwise")
    files: dict[str, PublishedFile] = Field(description="dataset card -> its files")
    image: str | None = Field(None, description="column of image names; null: the first")
    score: str = Field("score", description="column of scores")
    mos: tuple[str, str] | None = Field(
        None,
        description="columns of the labels in the score file and in the file of names: they must agree, row by row",
    )


class MethodCard(Card):
    family: MethodFamily
    scales: list[Scale] = Field(["mini", "scratch", "paper"], description="scales that run it unasked")
    higher_better: bool
    range: Range = Field((None, None), description="[lowest, highest] score possible, null where open or approximate")
    input: InputPolicy = InputPolicy()
    trained_on: list[str] = Field([], description="dataset cards whose human labels it has seen")
    also_trained_on: list[str] = Field([], description="labelled sets it has seen that have no card here")
    weights: list[str] = Field([], description="files it downloads, as they would lie in the mirror: pyiqa/<file>")
    reported_as: list[str] = Field([], description="its names in workflow/reported, besides the title")
    citation: str
    license: str
    pyiqa: str | None = Field(None, description="source: a metric of pyiqa")
    module: str | None = Field(None, description="source: file.py:Class beside the card, with load and score")
    variant: str | None = Field(None, description="source: a training variant; with module: given as checkpoint=")
    scores: str | PublishedScores | None = Field(
        None, description="source: published scores, or a CSV beside the card (image, score), {dataset} in its name"
    )
    rule: bool = Field(False, description="source: the Snakemake rule in <name>.smk beside the card writes the scores")
    not_run: str | None = Field(None, description="in place of a source: why it cannot be run")
    arguments: dict[str, Any] = Field({}, description="keyword arguments of the module's class")
    fit: bool = Field(False, description="the class has fit(files, out), run once on pristine photos: fitted=<out>")
    labels: bool = Field(False, description="controls only: the class is made with labels=<index of the dataset>")
    features: str | None = Field(
        None, description="the class is trained within each split, on features of this card's encoder (a variant)"
    )

    @model_validator(mode="after")
    def _one_source(self) -> MethodCard:
        trained = bool(self.variant) and not self.module
        if sum(map(bool, (self.pyiqa, self.module, trained, self.scores, self.rule, self.not_run))) != 1:
            raise ValueError("give exactly one source: pyiqa, module, variant, scores, rule or not_run")
        if (self.arguments or self.fit or self.labels or self.features) and not self.module:
            raise ValueError("arguments, fit, labels and features belong to a module")
        if self.features and (self.fit or self.labels or not self.higher_better):
            raise ValueError("with features there is no fit and no labels, and higher is better: labels come so signed")
        if self.labels and self.family != "control":
            raise ValueError("only a control may see the labels of what it scores")
        return self

    def score_digest(self) -> str:
        """Digest of what determines the scores: title, citation and licence are not in it."""
        source = {"input", "pyiqa", "module", "variant", "scores", "not_run", "arguments", "fit", "labels", "features"}
        return digest(self.model_dump(include=source))

    def learns_from(self, dataset: DatasetCard) -> bool:
        """Whether it was trained on this dataset's labels, or is trained here on the train part of each split."""
        return bool(self.features) or dataset.name in self.trained_on

    def has_seen(self, dataset: DatasetCard) -> bool:
        """Whether scores on this dataset are no zero-shot result: its human labels were used, or are being used."""
        return self.labels or self.learns_from(dataset)

    def wanted(self, dataset: str | None) -> list[str]:
        """Files, as they would lie in the mirror, that scoring this dataset, or the fit, may have to fetch."""
        if isinstance(self.scores, PublishedScores) and dataset in self.scores.files:
            item = self.scores.files[dataset]
            return [f"{self.scores.store}/{f}" for f in (item.scores, item.names) if f]
        return self.weights


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
    metrics: list[Literal["srcc", "plcc", "plcc_logistic", "krcc", "rmse"]] = Field(["srcc", "plcc_logistic"])
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
    "score_vs_intensity",
    "gmad",
    "overview",
    "degradation_levels",
    "degradation_sheet",
    "gradcam",
    "embeddings",
    "training",
]
LEAST_METHODS = {"score_vs_intensity": 1, "gmad": 2, "gradcam": 1, "embeddings": 1, "training": 1}


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
    fit: str | None = Field(None, description="pristine set that baselines are fitted to; null: `pristine`")
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
    shard: int | None = Field(None, gt=0, description="images that one job scores at most; null: a set is one job")
    labels_only: list[str] = Field([], description="sets whose images are not here: published scores alone can run")
    allow_errors: bool = Field(False, description="correlate without the images that a method failed on")

    @model_validator(mode="after")
    def _variants(self) -> ScaleConfig:
        for name in self.variants:
            self.variant(name)
        return self

    def variant(self, name: str) -> TrainConfig:
        """The training config of one variant."""
        return TrainConfig(**{**self.train, **self.variants[name]})


def read_config(path: Path, overrides: dict[str, Any] | None = None) -> ScaleConfig:
    """Read a scale's config with command-line overrides on top. Raises CardError."""
    return parse(ScaleConfig, path, {**read_yaml(path), **(overrides or {})})
