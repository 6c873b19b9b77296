"""The path grammar: where every file of a run lies, defined once.

Jobs pass the names of cards. The rules of the workflow pass "{wildcards}", and get the pattern of an output.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qualiclip.config import TRAIN_RECORD, WEIGHTS

RELEASE_MANIFEST = "release.json"  # in an archive, and beside what was unpacked from it


def sidecar(path: Path) -> Path:
    """The provenance of an output: <file>.provenance.json."""
    return path.with_name(path.name + ".provenance.json")


@dataclass(frozen=True)
class Paths:
    """Paths of one scale. `root` is results/<scale>, `raw` the folder of the raw datasets."""

    root: Path
    raw: Path

    # Datasets: downloaded or made, verified and extracted; then indexed.

    def manifest(self, dataset: str) -> Path:
        """Written last into raw/<dataset>/: the set is complete."""
        return self.raw / dataset / "manifest.json"

    def index(self, dataset: str) -> Path:
        """One row per image: image, width, height [, digest, mos, std, ref, group, type, splits]."""
        return self.root / "index" / f"{dataset}.csv"

    # Training.

    def checkpoint(self, variant: str) -> Path:
        """The folder of a trained variant."""
        return self.root / "checkpoints" / variant

    def weights(self, variant: str) -> Path:
        return self.checkpoint(variant) / WEIGHTS

    def train_record(self, variant: str) -> Path:
        """Config, loss curve and rank consistency of a training run."""
        return self.checkpoint(variant) / TRAIN_RECORD

    def fitted(self, method: str) -> Path:
        """What a method's fit on pristine photos has written."""
        return self.root / "fitted" / method

    # Scores: the only expensive result.

    @property
    def all_scores(self) -> Path:
        """The folder of all score files."""
        return self.root / "scores"

    def scores(self, method: str, dataset: str) -> Path:
        """One row per indexed image, in its order: image, score, error (see formats.py)."""
        return self.all_scores / method / f"{dataset}.csv"

    def score_shard(self, method: str, dataset: str, k: int | str, n: int | str) -> Path:
        """Shard k of n of a score file, removed after the merge."""
        return self.all_scores / method / f"{dataset}.shards" / f"{k}-of-{n}.csv"

    def features(self, method: str, dataset: str) -> Path:
        """Features of a method's encoder, shared by the methods that are trained on them."""
        return self.root / "features" / method / f"{dataset}.npz"

    def learned(self, method: str, dataset: str) -> Path:
        """What a method has learned in each split of a dataset."""
        return self.root / "learned" / method / f"{dataset}.safetensors"

    # Derived from scores.

    def metrics(self, method: str, dataset: str) -> Path:
        """split, metric, value, n, reason (see formats.py)."""
        return self.root / "metrics" / method / f"{dataset}.csv"

    def table(self, table: str) -> Path:
        """Markdown; .csv, .tex and .json lie beside it."""
        return self.root / "tables" / f"{table}.md"

    @property
    def latex_index(self) -> Path:
        """A LaTeX file that includes all tables."""
        return self.root / "tables" / "index.tex"

    @property
    def results(self) -> Path:
        """One line per table, method, dataset, metric and statistic (see tables/tidy.py)."""
        return self.root / "results.csv"

    def figure(self, figure: str) -> Path:
        """PNG; .pdf, .tex and .csv lie beside it."""
        return self.root / "figures" / f"{figure}.png"

    def figure_column(self, figure: str) -> Path:
        """The PDF for one column of a page."""
        return self.root / "figures" / f"{figure}_column.pdf"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    # What leaves: a release of scores, and a static site.

    @property
    def release(self) -> Path:
        """All that tables, figures and the page are made from, but for images."""
        return self.root / "release.zip"

    @property
    def release_manifest(self) -> Path:
        """Of a folder that was made from a release: what the release says of itself."""
        return self.root / RELEASE_MANIFEST

    def site(self, run: str) -> Path:
        """The folder of a run in the site, whose index.html lists all runs."""
        return self.root.parent / "site" / run

    # Measured on photos.

    def intensity(self, method: str) -> Path:
        """image, group, type, intensity, score."""
        return self.root / "intensity" / f"{method}.csv"

    def sizes(self, method: str) -> Path:
        """image, factor, score, error."""
        return self.root / "sizes" / f"{method}.csv"

    def degradations(self, dataset: str) -> Path:
        """One photo under every type and level; the mean change over the photos lies beside it as .csv."""
        return self.root / "degradations" / f"{dataset}.npz"

    def explain(self, method: str) -> Path:
        """Grad-CAM maps and features of a model on photos."""
        return self.root / "explain" / f"{method}.npz"

    def efficiency(self, method: str) -> Path:
        """Parameters, operations, time and memory of a method."""
        return self.root / "efficiency" / f"{method}.json"

    @property
    def released_weights(self) -> Path:
        """What the released weights say of their training."""
        return self.root / "released_weights.json"

    @property
    def plan(self) -> Path:
        """What a run would cost; its values lie beside it as .json."""
        return self.root / "plan.txt"

    # What Snakemake writes about its jobs.

    def log(self, job: str) -> Path:
        return self.root / "logs" / f"{job}.log"
