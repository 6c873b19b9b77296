"""Score files and metrics files of all methods that would have to see images that are not here.

`python -m qualiclip.bench.score.refused datasets/x.yaml --index ... --root ... --methods a b --cards a.yaml b.yaml`
One job for all of them: each file repeats one sentence. No checkpoint, fit or weights are needed, so that a table of
precomputed scores trains nothing.
"""

from __future__ import annotations

from pathlib import Path

from qualiclip.bench import job
from qualiclip.bench.absence import reason_of
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import read_index, refused_metrics, refused_scores, write_csv
from qualiclip.bench.paths import Paths


def main() -> None:
    parser = job.parser("Write the files of methods that would have to see absent images.", "dataset", "--index")
    parser.add_argument("--root", type=Path, required=True, help="results/<scale>")
    parser.add_argument("--methods", nargs="+", required=True, help="names of methods")
    parser.add_argument("--cards", type=Path, nargs="+", required=True, help="their cards, one each")
    args = parser.parse_args()
    dataset, paths = read_card(DatasetCard, args.dataset), Paths(args.root, Path())
    if reason := reason_of(args.index):
        for name in args.methods:
            job.absent([args.index], paths.scores(name, dataset.name))
            write_csv(refused_metrics(reason), paths.metrics(name, dataset.name))
        return
    index = read_index(args.index)
    reason = f"the images of {dataset.title} are not here, only its labels"
    for name, card in zip(args.methods, args.cards, strict=True):
        out = paths.scores(name, dataset.name)
        write_csv(refused_scores(index, reason), out)
        write_csv(refused_metrics(reason), paths.metrics(name, dataset.name))
        job.record(
            out, read_card(MethodCard, card), dataset, args.index, complete=False, mirrored=[], failed=len(index)
        )


if __name__ == "__main__":
    job.run(main)
