"""Where things lie (the path grammar) and which cards a scale uses. The workflow and the jobs share it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from qualiclip.bench.card import CardError, digest, read_cards
from qualiclip.bench.cards import DatasetCard, FigureCard, MethodCard, ScaleConfig, TableCard, read_config
from qualiclip.config import TRAIN_RECORD

DATASETS, METHODS = Path("datasets"), Path("baselines")
TABLES, FIGURES = Path("workflow/tables"), Path("workflow/figures")


class Workspace:
    """The cards that a config selects, and the path of every output."""

    def __init__(self, config: ScaleConfig):
        self.config = config
        self.root = config.results / config.scale
        self.all_datasets = read_cards(DatasetCard, DATASETS)
        self.all_methods = read_cards(MethodCard, METHODS)
        self.all_tables = read_cards(TableCard, TABLES)
        self.all_figures = read_cards(FigureCard, FIGURES)
        self._check()

    @classmethod
    def load(cls, overrides: dict[str, Any]) -> Workspace:
        """From workflow/config/<scale>.yaml and `--config` overrides. Raises CardError."""
        path = Path("workflow/config") / f"{overrides.get('scale', 'mini')}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
            raise CardError(f"scale={overrides['scale']}: there is no {path}; scales: {known}")
        return cls(read_config(path, overrides))

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--config", nargs="*", default=[], metavar="KEY=VALUE", help="as snakemake's --config, e.g. scale=mini"
        )

    @classmethod
    def from_arguments(cls, args: argparse.Namespace) -> Workspace:
        pairs = (item.partition("=") for item in args.config)
        return cls.load({key: yaml.safe_load(value) for key, _, value in pairs})

    def _check(self) -> None:
        """Names in cards and config mean something. Raises CardError."""
        for kind, wanted, known in (
            ("dataset", self.config.datasets or [], self.all_datasets),
            ("method", self.config.methods or [], self.all_methods),
            ("dataset", [self.config.pristine, self.config.photos, self.config.gmad], self.all_datasets),
            ("dataset", self.config.labels_only, self.all_datasets),
            ("dataset", [self.config.fit] if self.config.fit else [], self.all_datasets),
        ):
            for name in wanted:
                if name not in known:
                    raise CardError(f"config: no {kind} card {name!r}; cards: {', '.join(known)}")
        for d in self.all_datasets.values():
            for need in d.make.needs if d.make else []:
                if need not in self.all_datasets:
                    raise CardError(f"{d.path}: make.needs: no dataset card {need!r}")
        for m in self.all_methods.values():
            for name in m.trained_on:
                if name not in self.all_datasets:
                    raise CardError(f"{m.path}: trained_on: no dataset card {name!r}")
            encoder = self.all_methods.get(m.features)
            if m.features and not (encoder and encoder.variant and not encoder.module):
                raise CardError(f"{m.path}: features: {m.features!r} is no method card whose source is a variant")
            if m.features and m.variant not in (None, encoder.variant):
                raise CardError(f"{m.path}: variant: its features are those of {encoder.variant!r}")
        for f in self.all_figures.values():
            for name in f.methods:
                if name in self.all_methods and self.all_methods[name].features:
                    raise CardError(f"{f.path}: methods: {name} is trained within splits, it has no score of a photo")

    def datasets(self) -> list[DatasetCard]:
        """Datasets of this run: those asked for, else every card that names the scale."""
        cards, wanted = self.all_datasets.values(), self.config.datasets
        return [d for d in cards if (d.name in wanted if wanted is not None else self.config.scale in d.scales)]

    def methods(self) -> list[MethodCard]:
        """Methods of this run, likewise; a variant that the scale does not train is left out."""
        cards, wanted = self.all_methods.values(), self.config.methods
        chosen = [m for m in cards if (m.name in wanted if wanted is not None else self.config.scale in m.scales)]
        return [m for m in chosen if self.variant_of(m) is None or self.variant_of(m) in self.config.variants]

    def variant_of(self, m: MethodCard) -> str | None:
        """The variant that a method scores with, or whose features it is trained on."""
        return self.all_methods[m.features].variant if m.features else m.variant

    def trained(self) -> list[str]:
        """Variants that a method of this run needs."""
        return sorted({self.variant_of(m) for m in self.methods()} - {None})

    def index(self, d: DatasetCard) -> Path:
        return self.root / "index" / f"{d.name}.csv"

    def checkpoint(self, variant: str) -> Path:
        return self.root / "checkpoints" / variant

    def train_record(self, m: MethodCard, f: FigureCard) -> Path:
        """The loss curve behind a method. Raises CardError, naming the figure, for one that is not trained here."""
        if not m.variant:
            raise CardError(f"{f.path}: methods: {m.name} is not trained here and has no loss curve")
        return self.checkpoint(m.variant) / TRAIN_RECORD

    def scores(self, m: MethodCard, d: DatasetCard) -> Path:
        return self.root / "scores" / m.name / f"{d.name}.csv"

    def features(self, m: MethodCard, d: DatasetCard) -> Path:
        """Features of the encoder of a method, shared by the methods that are trained on them."""
        return self.root / "features" / m.name / f"{d.name}.npz"

    def metrics(self, m: MethodCard, d: DatasetCard) -> Path:
        return self.root / "metrics" / m.name / f"{d.name}.csv"

    def intensity(self, m: MethodCard) -> Path:
        return self.root / "intensity" / f"{m.name}.csv"

    def table(self, t: TableCard) -> Path:
        return self.root / "tables" / f"{t.name}.md"

    def figure(self, f: FigureCard) -> Path:
        return self.root / "figures" / f"{f.name}.png"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def degraded(self) -> Path:
        """Measured degradations of the photos; .csv beside it."""
        return self.root / "degraded" / f"{self.config.photos}.npz"

    def cost(self, m: MethodCard) -> Path:
        return self.root / "efficiency" / f"{m.name}.json"

    def views(self, m: MethodCard) -> Path:
        """Features and attention of a method on the photos."""
        return self.root / "views" / f"{m.name}.npz"

    def figures(self) -> list[FigureCard]:
        """Figures of this run: those whose methods it has."""
        here = {m.name for m in self.methods()}
        return [f for f in self.all_figures.values() if here.issuperset(f.methods)]

    def figures_left_out(self) -> dict[str, str]:
        """Title of each other figure -> why."""
        here = {m.name for m in self.methods()}
        cards = [f for f in self.all_figures.values() if not here.issuperset(f.methods)]
        return {f.title: f"this run has no method {', '.join(m for m in f.methods if m not in here)}" for f in cards}

    def table_datasets(self, t: TableCard) -> list[DatasetCard]:
        """Datasets that a table shows: those its card selects, or all of the run."""
        return [d for d in self.datasets() if t.columns is None or (d.labels and t.columns.matches(d))]

    def table_methods(self, t: TableCard) -> list[MethodCard]:
        """Methods that a table shows; none for a table without rows of methods."""
        return [m for m in self.methods() if t.rows and t.rows.matches(m)]

    def table_pairs(self, t: TableCard) -> list[tuple[MethodCard, DatasetCard]]:
        """Every method and dataset that a table of correlations brings together."""
        if t.kind != "correlations":
            return []
        kept = {"all": (True, False), "trained on": (True,), "not trained on": (False,)}[t.pairs]
        datasets = self.table_datasets(t)
        return [(m, d) for m in self.table_methods(t) for d in datasets if m.learns_from(d) in kept]

    def timed_methods(self, t: TableCard) -> list[MethodCard]:
        """Methods of a table of efficiency: those that this suite runs, and not a model a split."""
        return [m for m in self.table_methods(t) if (m.pyiqa or m.module or m.variant) and not m.features]

    def scored(self) -> list[tuple[MethodCard, DatasetCard]]:
        """Every method and dataset that some table brings together."""
        pairs = {(m.name, d.name): (m, d) for t in self.all_tables.values() for m, d in self.table_pairs(t)}
        return [pairs[key] for key in sorted(pairs)]

    def table_inputs(self, t: TableCard) -> list[Path]:
        """What a table is made of: metrics, scores and indexes of its pairs, or the files of its kind."""
        if t.kind == "datasets":
            return [self.index(d) for d in self.table_datasets(t)]
        if t.kind == "degradations":
            return [self.degraded.with_suffix(".csv")]
        if t.kind == "efficiency":
            return [self.cost(m) for m in self.timed_methods(t)]
        pairs = self.table_pairs(t)
        indexes = {self.index(d): None for _, d in pairs}
        published = [Path("workflow/reported") / f"{name}.csv" for name in t.reported]
        return [*indexes, *published, *(f(m, d) for m, d in pairs for f in (self.metrics, self.scores))]

    def table_digest(self, t: TableCard) -> str:
        """Digest of the words of a table: its card, and titles, families and the like of what it shows."""
        shown = [c.model_dump(exclude={"license"}) for c in [*self.table_datasets(t), *self.table_methods(t)]]
        trained = [v for m in self.table_methods(t) if (v := self.variant_of(m))]
        variants = [self.config.variant(v).model_dump() for v in trained]
        sizes = [self.config.banner, self.config.efficiency_size]
        return digest([t.model_dump(), shown, variants, sizes])

    def figure_inputs(self, f: FigureCard) -> list[Path]:
        """What a figure is drawn from. Raises CardError for a method without a card."""
        unknown = [m for m in f.methods if m not in self.all_methods]
        if unknown:
            raise CardError(f"{f.path}: methods: no method card {unknown[0]!r}")
        methods = [self.all_methods[m] for m in f.methods]
        if f.kind == "gmad":
            gmad = self.all_datasets[self.config.gmad]
            return [self.index(gmad), *(self.scores(m, gmad) for m in methods)]
        if f.kind == "score_vs_intensity":
            return [self.intensity(m) for m in methods]
        if f.kind == "training":
            return [self.train_record(m, f) for m in methods]
        if f.kind in ("degradation_levels", "degradation_sheet"):
            return [self.degraded, self.degraded.with_suffix(".csv")]
        return [self.views(m) for m in methods]

    def figure_digest(self, f: FigureCard) -> str:
        """Digest of the words and settings of a figure."""
        methods = [self.all_methods[m] for m in f.methods if m in self.all_methods]
        said = [(m.title, m.higher_better) for m in methods]
        gmad = self.all_datasets[self.config.gmad].labels if f.kind == "gmad" else None
        train = self.config.variant(next(iter(self.config.variants))).model_dump() if f.kind == "overview" else None
        return digest([f.model_dump(), said, gmad, train, self.config.banner, self.config.gmad_levels])
