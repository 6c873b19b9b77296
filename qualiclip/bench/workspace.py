"""Where things lie (the path grammar) and which cards a scale uses. The workflow and the jobs share it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from qualiclip.bench.cards import (
    CardError,
    DatasetCard,
    FigureCard,
    MethodCard,
    ScaleConfig,
    TableCard,
    digest,
    read_cards,
    read_config,
)

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

    def datasets(self) -> list[DatasetCard]:
        """Datasets of this run: those asked for, else every card that names the scale."""
        cards, wanted = self.all_datasets.values(), self.config.datasets
        return [d for d in cards if (d.name in wanted if wanted is not None else self.config.scale in d.scales)]

    def methods(self) -> list[MethodCard]:
        """Methods of this run, likewise; a variant that the scale does not train is left out."""
        cards, wanted = self.all_methods.values(), self.config.methods
        chosen = [m for m in cards if (m.name in wanted if wanted is not None else self.config.scale in m.scales)]
        return [m for m in chosen if m.variant is None or m.variant in self.config.variants]

    def trained(self) -> list[str]:
        """Variants that a method of this run needs."""
        return sorted({m.variant for m in self.methods() if m.variant})

    def index(self, d: DatasetCard) -> Path:
        return self.root / "index" / f"{d.name}.csv"

    def checkpoint(self, variant: str) -> Path:
        return self.root / "checkpoints" / variant

    def scores(self, m: MethodCard, d: DatasetCard) -> Path:
        return self.root / "scores" / m.name / f"{d.name}.csv"

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

    def table_datasets(self, t: TableCard) -> list[DatasetCard]:
        """Datasets that a table shows: those its card selects, or all of the run."""
        return [d for d in self.datasets() if t.columns is None or (d.labels and t.columns.matches(d))]

    def table_methods(self, t: TableCard) -> list[MethodCard]:
        """Methods that a table shows; none for a table without rows of methods."""
        return [m for m in self.methods() if t.rows and t.rows.matches(m)]

    def scored(self) -> list[tuple[MethodCard, DatasetCard]]:
        """Every method and dataset that some table brings together."""
        pairs = {
            (m.name, d.name): (m, d)
            for t in self.all_tables.values()
            for m in self.table_methods(t)
            for d in self.table_datasets(t)
        }
        return [pairs[key] for key in sorted(pairs)]

    def table_inputs(self, t: TableCard) -> list[Path]:
        """Metrics of a table's methods on its datasets; indexes for a table without methods."""
        if t.rows is None:
            return [self.index(d) for d in self.table_datasets(t)]
        return [self.metrics(m, d) for m in self.table_methods(t) for d in self.table_datasets(t)]

    def table_digest(self, t: TableCard) -> str:
        """Digest of the words of a table: its card, and titles, families and the like of what it shows."""
        shown = [c.model_dump(exclude={"license"}) for c in [*self.table_datasets(t), *self.table_methods(t)]]
        return digest([t.model_dump(), shown, self.config.banner])

    def figure_inputs(self, f: FigureCard) -> list[Path]:
        """Score files behind a figure."""
        methods = [self.all_methods[m] for m in f.methods]
        if f.kind == "gmad":
            gmad = self.all_datasets[self.config.gmad]
            return [self.index(gmad), *(self.scores(m, gmad) for m in methods)]
        return [self.intensity(m) for m in methods]

    def figure_digest(self, f: FigureCard) -> str:
        """Digest of the words and settings of a figure."""
        titles = [self.all_methods[m].title for m in f.methods]
        return digest([f.model_dump(), titles, self.config.banner, self.config.gmad_levels])
