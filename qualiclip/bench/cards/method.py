"""The card of a method (baselines/<name>.yaml): where its scores come from, and what it was trained on."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from qualiclip.bench.cards.base import Address, Card, MethodFamily, Range, Strict
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.io import digest


class InputPolicy(Strict):
    """What a method is given, and where it runs. The default is the whole image, unresized, one at a time."""

    shorter_side: int | None = Field(None, gt=0, description="resize the shorter side to so many px, bicubic")
    batch: int = Field(1, ge=1, description="images of one size scored together, where that changes no score")
    device: Literal["any", "cpu", "cuda"] = Field("any", description="cpu: never on a GPU; cuda: only on a GPU")
    precision: Literal["float32", "float16", "bfloat16"] = Field("float32", description="autocast type on a GPU")
    seed: int = Field(0, ge=0, description="seed of a method that draws random numbers, set anew for every batch")


class PrecomputedFile(Strict):
    """Precomputed scores of one dataset."""

    scores: str = Field(description="path below the store")
    names: str | None = Field(None, description="file whose rows name the images; null: the score file names them")


class PrecomputedScores(Strict):
    """Per-image scores that somebody else published, as CSV files of one store."""

    store: str = Field(description="folder of the mirror that may hold the files")
    url: Address = Field(description="https folder that they are fetched from otherwise")
    files: dict[str, PrecomputedFile] = Field(description="dataset card -> its files")
    image: str | None = Field(None, description="column of image names; null: the first")
    score: str = Field("score", description="column of scores")
    mos: tuple[str, str] | None = Field(
        None,
        description="columns of the labels in the score file and in the file of names: they must agree, row by row",
    )


class MethodCard(Card):
    """A method: one source of scores, and what a reader must know of it."""

    renamed: ClassVar = {"labels": "reads_labels", "features": "features_of", "reported_as": "aliases"}

    short: str | None = Field(None, description="name where room is scarce: in LaTeX and in figures; null: the title")
    family: MethodFamily = Field(description="tables select methods by it")
    scales: list[str] = Field(["mini", "scratch", "paper"], description="scales that run it by default")
    higher_better: bool = Field(description="false where a lower score means better quality")
    range: Range = Field((None, None), description="[lowest, highest] score possible, null where open or approximate")
    input: InputPolicy = InputPolicy()
    trained_on: list[str] = Field([], description="dataset cards whose human labels it has seen")
    trained_on_list: dict[str, str] = Field(
        {},
        description="dataset of trained_on -> the training list of its card, or the column split_... of its index, "
        "whose images the weights have seen; without it, how many is not known",
    )
    also_trained_on: list[str] = Field([], description="labelled sets it has seen that have no card here")
    weights: list[str] = Field([], description="files it downloads, as paths in the mirror: pyiqa/<file>")
    runs_code: str | None = Field(
        None, description="whose code its weights bring; it is run only where the config's `trust` names the method"
    )
    aliases: list[str] = Field([], description="its names in workflow/reported, besides the title")
    as_released: bool = Field(
        False, description="the module scores released weights as their authors do: reported values must be matched"
    )
    citation: str = Field(description="the paper behind it")
    license: str = Field(description="terms of its code and weights")
    noncommercial: bool | None = Field(
        None, description="true where these terms forbid commercial use, null where it is not known; for the plan"
    )
    pyiqa: str | None = Field(None, description="source: a metric of pyiqa")
    module: str | None = Field(None, description="source: file.py:Class beside the card, with load and score")
    variant: str | None = Field(None, description="source: a training variant; with module: passed as checkpoint=")
    scores: str | PrecomputedScores | None = Field(
        None, description="source: a CSV beside the card (image, score), {dataset} in its name; or published scores"
    )
    dataset_versions: dict[str, int] = Field(
        {}, description="scores: dataset card -> the version of it that the scores were computed for; checked"
    )
    rule: bool = Field(False, description="source: the Snakemake rule in <name>.smk beside the card writes the scores")
    repeat_of: str | None = Field(
        None, description="a method whose training it repeats with another seed; an ablation prints both in one row"
    )
    not_run: str | None = Field(None, description="in place of a source: why it cannot be run")
    arguments: dict[str, Any] = Field({}, description="keyword arguments of the module's class")
    fit: bool = Field(False, description="the class has fit(files, out, device), run once on pristine photos")
    reads_labels: bool = Field(False, description="controls only: the class is created with labels=<index>")
    features_of: str | None = Field(
        None, description="the class is trained on the train part of each split, on features of this card's encoder"
    )

    @model_validator(mode="after")
    def _one_source(self) -> MethodCard:
        trained = bool(self.variant) and not self.module
        if sum(map(bool, (self.pyiqa, self.module, trained, self.scores, self.rule, self.not_run))) != 1:
            raise ValueError("give exactly one source: pyiqa, module, variant, scores, rule or not_run")
        if (self.arguments or self.fit or self.reads_labels or self.features_of) and not self.module:
            raise ValueError("arguments, fit, reads_labels and features_of belong to a module")
        if self.dataset_versions and not self.scores:
            raise ValueError("dataset_versions belongs to scores")
        if self.features_of and (self.fit or self.reads_labels or not self.higher_better):
            raise ValueError("with features_of, higher is better, and there is no fit and no reads_labels")
        if unknown := set(self.trained_on_list) - set(self.trained_on):
            raise ValueError(f"trained_on_list: {min(unknown)} is not in trained_on")
        if self.reads_labels and self.family != "control":
            raise ValueError("only a control may read the labels of the set that it scores")
        return self

    @property
    def sees_images(self) -> bool:
        """Whether its scores are computed here, from the images."""
        return not (self.scores or self.rule)

    @property
    def scores_alone(self) -> bool:
        """Whether it is run here and scores an image by itself, with no model per split."""
        return self.sees_images and not self.features_of

    @property
    def timed(self) -> bool:
        """Whether this suite can measure what scoring one image costs."""
        return self.scores_alone and not self.not_run

    def score_digest(self) -> str:
        """Digest of what determines the scores: title, citation and licence do not."""
        source = {"input", "pyiqa", "module", "variant", "scores", "not_run", "arguments", "fit"}
        return digest(self.model_dump(include=source | {"reads_labels", "features_of"}))

    @property
    def yardstick(self) -> bool:
        """Whether others are measured against it, and it competes with none: a control, or it sees the reference."""
        return self.family in ("control", "full-reference")

    def applies_to(self, dataset: DatasetCard) -> bool:
        """Whether it can have scores of a labelled dataset: a full-reference metric needs references."""
        return self.family != "full-reference" or dataset.has_references

    def learns_from(self, dataset: DatasetCard) -> bool:
        """Whether it was trained on labels of this dataset, or is trained here on the train part of each split."""
        return bool(self.features_of) or dataset.name in self.trained_on

    def wanted_files(self, dataset: str | None) -> list[str]:
        """Paths in the mirror of the files that scoring this dataset (None: the fit) may have to fetch."""
        if isinstance(self.scores, PrecomputedScores) and dataset in self.scores.files:
            item = self.scores.files[dataset]
            return [f"{self.scores.store}/{f}" for f in (item.scores, item.names) if f]
        return self.weights
