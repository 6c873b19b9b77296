"""Checks scores that a method's author sends, before anything is run: a card with `scores:`, and its CSV files.

`python -m qualiclip.bench.release.check examples/my_scores/my_scores.yaml --config release=results/mini/release.zip`
Without a release, the scores are compared with a finished run of `--config`. For each dataset: is the file of the
stated version of the set, does it have a finite score for every image of the index, do the scores lie in the card's
range, do they run in the stated direction (the sign of SRCC, where labels are here)? Below stand the tables that would
result. Nothing is written. The command ends with 1 where there is a problem.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from qualiclip.bench import job
from qualiclip.bench.absence import reason_of
from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.scale import ScaleConfig, add_config_argument, config_of
from qualiclip.bench.data import text_table
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.data.names import match
from qualiclip.bench.formats import WHOLE, has_labels, read_index, refused_scores, write_csv
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.metrics.correlate import metrics_of
from qualiclip.bench.release.pack import members
from qualiclip.bench.release.unpack import unpack
from qualiclip.bench.score.precomputed import PrecomputedError, build, check_version
from qualiclip.bench.tables import kinds
from qualiclip.bench.tables.render import render
from qualiclip.bench.tables.table import number_text
from qualiclip.bench.workspace import Workspace
from qualiclip.io import DamagedFile


@dataclass
class Finding:
    """What was found of one dataset. srcc: with its 95% limits, NaN where there is none."""

    dataset: DatasetCard
    images: int = 0
    scored: int = 0
    srcc: tuple[float, float, float] = (np.nan, np.nan, np.nan)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        """As it is printed."""
        value, low, high = map(number_text, self.srcc)
        said = "; ".join([*self.problems, *self.notes]) or "good"
        facts = {"Dataset": self.dataset.title, "Version": self.dataset.version, "Images": self.images}
        return facts | {"Scores": self.scored, "SRCC": value, "95% limits": f"{low} to {high}", "Result": said}


@contextmanager
def trial(card: MethodCard, config: ScaleConfig) -> Iterator[Workspace]:
    """A workspace with the card as one more method, in a temporary folder with the files of a release or run."""
    workspace = Workspace(config)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / config.scale
        if config.release:
            unpack(config.release, root)
        for file in [] if config.release else members(workspace):
            if file.is_file():
                (root / file.relative_to(workspace.paths.root)).parent.mkdir(parents=True, exist_ok=True)
                (root / file.relative_to(workspace.paths.root)).symlink_to(file.resolve())
        workspace.paths = replace(workspace.paths, root=root)
        workspace.all_methods[card.name] = card
        yield workspace


def _compared(card: MethodCard, scores: pd.DataFrame, index: pd.DataFrame, found: Finding) -> None:
    """Add what a score file (image, score, error) says: gaps, range, constant scores."""
    values = scores["score"].dropna()
    found.images, found.scored = len(index), len(values)
    failed = scores.loc[scores["error"] != "", "error"]
    if len(failed):
        found.problems.append(f"{len(failed)} of {len(index)} images have no finite score ({failed.iloc[0]})")
    low, high = card.range
    outside = values[(values < (-np.inf if low is None else low)) | (values > (np.inf if high is None else high))]
    if len(outside):
        found.problems.append(f"{len(outside)} scores outside of the card's range, for example {outside.iloc[0]:g}")
    if values.nunique() == 1:
        found.problems.append("all scores are the same")


def check(card: MethodCard, dataset: DatasetCard, workspace: Workspace) -> Finding:
    """What is found of one dataset; its score file and metrics file are written into the workspace."""
    paths, found = workspace.paths, Finding(dataset)
    out, index_file = paths.scores(card.name, dataset.name), paths.index(dataset.name)
    if reason := reason_of(index_file):
        found.notes.append(reason)
        return found
    index = read_index(index_file)
    # the file by itself
    try:
        check_version(card, dataset)
        scores = build(card, dataset.name, index, None, None)
        _compared(card, scores, index, found)
        table = text_table.read((file := card.sibling(str(card.scores).format(dataset=dataset.name))).read_bytes(), "")
        strangers = [n for n in match(table["image"].dropna().tolist(), index["image"].tolist()) if n is None]
        if strangers:
            found.notes.append(f"{len(strangers)} rows of {file.name} name no image of the set")
    except NotRun as e:
        scores = refused_scores(index, str(e))
        found.notes.append(str(e))
    except (PrecomputedError, text_table.TableError) as e:
        scores = refused_scores(index, str(e))
        found.problems.append(str(e))
    # against the labels
    write_csv(scores, out)
    metrics = metrics_of(out, index_file, card, dataset, allow_errors=True)
    write_csv(metrics, paths.metrics(card.name, dataset.name))
    whole = metrics[metrics["split"] == WHOLE].set_index("metric")["value"]
    if found.scored and has_labels(index):
        found.srcc = (float(whole["srcc"]), float(whole["srcc_low"]), float(whole["srcc_high"]))
        if found.srcc[2] < 0:
            found.problems.append(f"SRCC is negative: higher_better should be {str(not card.higher_better).lower()}")
    elif found.scored:
        found.notes.append("no SRCC: its labels are not here")
    return found


def tables(card: MethodCard, workspace: Workspace) -> Iterator[str]:
    """Markdown of every table that would show the method."""
    for t in workspace.tables():
        if any(m.name == card.name for m, _ in workspace.table_pairs(t)):
            missing = [f for f in kinds.inputs(t, workspace) if not f.is_file()]
            yield (
                f"{t.title}: {missing[0].name} and others are not made yet"
                if missing
                else render(t, workspace).markdown()
            )


def main() -> None:
    parser = job.parser("Check scores that a method's author sends.", "method")
    add_config_argument(parser)
    args = parser.parse_args()
    card = read_card(MethodCard, args.method)
    if not isinstance(card.scores, str):
        raise CardError(f'{card.path}: scores: name the files beside the card, as in "{card.name}_{{dataset}}.csv"')
    try:
        with trial(card, config_of(args)) as workspace:
            sets = [d for d in workspace.datasets() if d.labels and card.applies_to(d)]
            found = [check(card, d, workspace) for d in sets]
            print(pd.DataFrame([f.row() for f in found]).to_markdown(index=False, disable_numparse=True))
            for text in tables(card, workspace):
                print("", text, sep="\n")
    except FetchError as e:
        raise DamagedFile(e) from e
    if bad := [f.dataset.title for f in found if f.problems]:
        sys.exit(f"error: {card.path}: see {', '.join(bad)} above")
    if not any(f.scored for f in found):
        sys.exit(f"error: {card.path}: no file of scores was found beside it")


if __name__ == "__main__":
    job.run(main)
