"""Which cards a run uses: those that its config selects, checked against each other."""

from __future__ import annotations

import math
from pathlib import Path

from qualiclip.bench import provenance
from qualiclip.bench.cards.base import DATASETS, FIGURES, METHODS, TABLES, CardError, read_cards
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.release import read_release
from qualiclip.bench.cards.scale import ScaleConfig
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.paths import Paths
from qualiclip.io import read_json

Pair = tuple[MethodCard, DatasetCard]


class Workspace:
    """The cards of the repository, the selection of a config, and the paths of its outputs."""

    def __init__(self, config: ScaleConfig):
        self.config = config
        self.paths = Paths(config.results / config.scale, config.data)
        self.all_datasets = read_cards(DatasetCard, DATASETS)
        self.all_methods = read_cards(MethodCard, METHODS)
        self.all_tables = read_cards(TableCard, TABLES)
        self.all_figures = read_cards(FigureCard, FIGURES)
        self.release = read_release(config.release) if config.release else None
        self._check_config()
        self._check_release()
        self._add_repeats()
        self._check_cards()

    def _add_repeats(self) -> None:
        """Add to cards and variants the trainings of ablations with further seeds, as many as the config asks for."""
        rows = {m.name: m for t in self.all_tables.values() for m in self.compared(t) if not m.repeat_of}
        variants = dict(self.config.variants)
        for m in rows.values():
            for seed in range(1, self.config.ablation_seeds):
                name, variant = f"{m.name}-seed{seed}", f"{m.variant}-seed{seed}"
                variants[variant] = {**variants[m.variant], "seed": self.config.variant(m.variant).seed + seed}
                facts = {"name": name, "variant": variant, "title": f"{m.title}, seed {seed}", "repeat_of": m.name}
                self.all_methods[name] = m.model_copy(update=facts | {"family": "ablation", "aliases": []})
        self.config = self.config.model_copy(update={"variants": variants})

    def _check_config(self) -> None:
        """Raises CardError for a name in the config that no card has."""
        c = self.config
        for kind, names, known in (
            ("dataset", c.datasets or [], self.all_datasets),
            ("method", [*(c.methods or []), *c.trust], self.all_methods),
            ("dataset", [c.training_set, c.figure_set, c.gmad_set], self.all_datasets),
            ("dataset", [*c.labels_only, *([c.fit_set] if c.fit_set else [])], self.all_datasets),
        ):
            for name in names:
                if name not in known:
                    raise CardError(f"config: no {kind} card {name!r}; cards: {', '.join(known)}")

    def _check_release(self) -> None:
        """Raises CardError for a release of other versions of the datasets than those of the cards."""
        for name, version in self.release.datasets.items() if self.release else []:
            card = self.all_datasets.get(name)
            if card and card.version != version:
                raise CardError(f"{self.config.release}: {name} has version {version}, {card.path} {card.version}")

    def check_folder(self) -> None:
        """Raises CardError where unpacking the release would replace a run of one's own."""
        if self.release and self.paths.all_scores.is_dir() and not self.paths.release_manifest.is_file():
            raise CardError(f"release={self.config.release}: {self.paths.root} holds a run; give another results=DIR")

    def _check_cards(self) -> None:
        """Raises CardError for a card that refers to another card that does not exist, or cannot be used so."""
        for d in self.all_datasets.values():
            for need in d.make.needs if d.make else []:
                if need not in self.all_datasets:
                    raise CardError(f"{d.path}: make.needs: no dataset card {need!r}")
        for m in self.all_methods.values():
            for name in m.trained_on:
                if name not in self.all_datasets:
                    raise CardError(f"{m.path}: trained_on: no dataset card {name!r}")
            if m.repeat_of and m.repeat_of not in self.all_methods:
                raise CardError(f"{m.path}: repeat_of: no method card {m.repeat_of!r}")
            for name, images in m.trained_on_list.items():
                if images not in self.all_datasets[name].training_lists and not images.startswith("split_"):
                    raise CardError(f"{m.path}: trained_on_list: {self.all_datasets[name].path} has no list {images!r}")
            encoder = self.all_methods.get(m.features_of)
            if m.features_of and not (encoder and encoder.variant and not encoder.module):
                raise CardError(f"{m.path}: features_of: {m.features_of!r} is no method card whose source is a variant")
            if m.features_of and m.variant not in (None, encoder.variant):
                raise CardError(f"{m.path}: variant: its features are those of {encoder.variant!r}")
        for f in self.all_figures.values():
            if f.name in self.all_tables:
                raise CardError(f"{f.path}: {self.all_tables[f.name].path} has this name too; files saved are alike")
            for name in f.methods:
                if name in self.all_methods and self.all_methods[name].features_of:
                    raise CardError(f"{f.path}: methods: {name} is trained per split and has no score of a photo")

    # Selection.

    def datasets(self) -> list[DatasetCard]:
        """Datasets of this run: those that the config names, otherwise every card that names the scale."""
        cards, wanted = self.all_datasets.values(), self.config.datasets
        return [d for d in cards if (d.name in wanted if wanted is not None else self.config.scale in d.scales)]

    def methods(self) -> list[MethodCard]:
        """Methods of this run, likewise; beside those of a release, cards with a file of scores.

        A variant that the scale does not train is left out.
        """
        cards, wanted = self.all_methods.values(), self.config.methods
        named = [
            m
            for m in cards
            if wanted is not None
            and ({m.name, m.repeat_of} & set(wanted) or (self.release and isinstance(m.scores, str)))
        ]
        chosen = named if wanted is not None else [m for m in cards if self.config.scale in m.scales]
        return [m for m in chosen if self.variant_of(m) is None or self.variant_of(m) in self.config.variants]

    def variant_of(self, m: MethodCard) -> str | None:
        """The variant that a method scores with, or whose features it is trained on."""
        return self.all_methods[m.features_of].variant if m.features_of else m.variant

    def variants(self) -> list[str]:
        """Variants that the methods of this run need."""
        return sorted({self.variant_of(m) for m in self.methods()} - {None})

    @property
    def training_set(self) -> DatasetCard:
        return self.all_datasets[self.config.training_set]

    @property
    def fit_set(self) -> DatasetCard:
        return self.all_datasets[self.config.fit_set or self.config.training_set]

    @property
    def figure_set(self) -> DatasetCard:
        return self.all_datasets[self.config.figure_set]

    @property
    def gmad_set(self) -> DatasetCard:
        return self.all_datasets[self.config.gmad_set]

    def tables(self) -> list[TableCard]:
        """Tables of this run, the most important first."""
        chosen = [t for t in self.all_tables.values() if self.config.scale in t.scales]
        return sorted(chosen, key=lambda t: t.order)

    def figures(self) -> list[FigureCard]:
        """Figures of this run: those whose methods it has, the most important first."""
        here = {m.name for m in self.methods()}
        return sorted((f for f in self.all_figures.values() if here.issuperset(f.methods)), key=lambda f: f.order)

    def figures_left_out(self) -> dict[str, str]:
        """Title of each other figure -> why it is not drawn."""
        here = {m.name for m in self.methods()}
        cards = [f for f in self.all_figures.values() if not here.issuperset(f.methods)]
        return {f.title: f"this run has no method {', '.join(m for m in f.methods if m not in here)}" for f in cards}

    def figure_methods(self, f: FigureCard) -> list[MethodCard]:
        """The cards of a figure's methods. Raises CardError for a method without a card."""
        unknown = [m for m in f.methods if m not in self.all_methods]
        if unknown:
            raise CardError(f"{f.path}: methods: no method card {unknown[0]!r}")
        return [self.all_methods[m] for m in f.methods]

    def table_datasets(self, t: TableCard) -> list[DatasetCard]:
        """Datasets that a table shows: those that its card selects, or all of the run."""
        return [d for d in self.datasets() if t.columns is None or (d.labels and t.columns.matches(d))]

    def table_methods(self, t: TableCard) -> list[MethodCard]:
        """Methods that a table shows; none for a table without rows of methods."""
        return [m for m in self.methods() if t.rows and t.rows.matches(m)]

    def full_model(self, t: TableCard) -> MethodCard | None:
        """What the rows of an ablation are compared with; None where the run lacks it."""
        here = {m.name: m for m in self.table_methods(t)}
        return next((here[name] for name in t.full_model if name in here), None)

    def compared(self, t: TableCard) -> list[MethodCard]:
        """The full model of an ablation and the rows that were trained on its schedule, in the order of the card."""
        full, order = self.full_model(t), t.rows.names if t.rows and t.rows.names else []
        if not full or not full.variant:
            return []
        train = self.config.variant(full.variant)
        rows = [m for m in self.table_methods(t) if m.variant and train.same_schedule(self.config.variant(m.variant))]
        return sorted(rows, key=lambda m: (m != full, order.index(m.repeat_of or m.name)))

    def table_pairs(self, t: TableCard) -> list[Pair]:
        """Every method and dataset whose correlation a table shows: none unless it selects rows and columns."""
        if not (t.rows and t.columns):
            return []
        shown = {"include": (True, False), "only": (True,), "exclude": (False,)}[t.training_sets]
        datasets = self.table_datasets(t)
        pairs = [(m, d) for m in self.table_methods(t) for d in datasets if m.applies_to(d)]
        return [(m, d) for m, d in pairs if m.learns_from(d) in shown]

    def scored(self) -> list[Pair]:
        """Every method and dataset whose correlation some table shows, sorted by name."""
        pairs = {(m.name, d.name): (m, d) for t in self.tables() for m, d in self.table_pairs(t)}
        return [pairs[key] for key in sorted(pairs)]

    def on_whole_sets(self) -> list[Pair]:
        """Methods and sets that are compared as a whole: no variants, and no model per split."""
        return [(m, d) for m, d in self.scored() if m.family != "ablation" and not m.features_of]

    def short_names(self) -> dict[str, str]:
        """Title of a method or dataset -> its name where room is scarce, for those that have one."""
        methods = {m.title: m.short for m in self.all_methods.values() if m.short}
        return methods | {d.title: d.short for d in self.all_datasets.values() if d.short}

    # What finished outputs say of how they were made.

    def mirrored_files(self, m: MethodCard, dataset: str | None, out: Path | None = None) -> list[str]:
        """Files that a method needs for a dataset (None: for its fit) and that the mirror has.

        out: what is made with them; None: the scores, or the fit.

        For a finished output it is the list at the time: a mirror that comes later reruns nothing. An output that
        was refused is tried again as soon as a file has arrived.
        """
        out = out or (self.paths.scores(m.name, dataset) if dataset else self.paths.fitted(m.name))
        made = provenance.read(out)
        if made.get("complete"):
            return made["mirrored"]
        mirror = self.config.mirror
        return [f for f in m.wanted_files(dataset) if mirror and (mirror / f).is_file()]

    def mirrored_release(self, d: DatasetCard) -> list[str]:
        """Files of a dataset's release that the mirror has; likewise, a set that was not here is fetched again."""
        manifest = self.paths.manifest(d.name)
        made = read_json(manifest) if manifest.is_file() else {}
        if made and not made.get("reason"):
            return made.get("mirrored", [])
        mirror, wanted = self.config.mirror, d.wanted_files(d.name in self.config.labels_only)
        found = [f for item in wanted if (f := item.in_mirror(d.name, mirror))]
        return [str(f.relative_to(mirror)) for f in found]

    def _n_shards(self, m: str, d: str) -> int:
        """Shards of a score file. Of a finished one: those it was made of, so that another `shard` reruns nothing."""
        out = self.paths.scores(m, d)
        if out.is_file():
            return provenance.read(out).get("shards", 1)
        count = self.all_datasets[d].images.count or 0
        return math.ceil(count / self.config.shard) if self.config.shard else 1

    def shards(self, m: str, d: str) -> list[Path]:
        """Shards of a score file that jobs of their own write."""
        n = self._n_shards(m, d)
        return [self.paths.score_shard(m, d, k, n) for k in range(1, n + 1)]

    def sharded_pairs(self) -> list[tuple[str, str]]:
        """Names of the methods and datasets whose score file is merged from shards."""
        methods = [m.name for m in self.all_methods.values() if m.scores_alone]
        return [(m, d) for m in methods for d in self.all_datasets if self._n_shards(m, d) > 1]
