"""A release: one archive of all that tables, figures and the page are made from, but for images.

`python -m qualiclip.bench.release.pack --config scale=mini --out results/mini/release.zip`
Score files, indexes, metrics, what was measured, training records, and the provenance of each, as they lie under
results/<scale>/; before them release.json (cards/release.py). The same run gives the same bytes. What stays behind:

- images, and arrays of their pixels: in place of such a file stands the reason, as of any file that is not here;
- the labels of a set whose card does not say `labels_travel`, and scores of methods that read them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from pathlib import Path

from qualiclip.bench import job, provenance
from qualiclip.bench.absence import leave_reason, reason_of
from qualiclip.bench.cards.release import PROTOCOL, Release
from qualiclip.bench.cards.scale import ScaleConfig, add_config_argument, config_of
from qualiclip.bench.figures import kinds as figure_kinds
from qualiclip.bench.formats import LABELS, NO_LABELS, read_index, refused_scores, write_csv
from qualiclip.bench.paths import RELEASE_MANIFEST, sidecar
from qualiclip.bench.tables import kinds as table_kinds
from qualiclip.bench.workspace import Workspace
from qualiclip.io import atomic, sha256

TEXTS = (".csv", ".json")
NO_IMAGES = "It needs the images, and a release of scores holds none."


def members(workspace: Workspace) -> list[Path]:
    """The files of a run that its tables, figures and page are made from, sorted; sidecars are not among them."""
    paths = workspace.paths
    files = [f for t in workspace.tables() for f in table_kinds.inputs(t, workspace)]
    files += [f for c in workspace.figures() for f in figure_kinds.inputs(c, workspace)]
    files += [paths.train_record(v) for m, _ in workspace.scored() if (v := workspace.variant_of(m))]
    made_again = {paths.results}  # from the others; reported values are part of the repository
    return sorted({f for f in files if f.is_relative_to(paths.root)} - made_again)


def stage(workspace: Workspace, folder: Path) -> None:
    """Copy what a release holds into `folder`. Raises DamagedFile for an index that cannot be read."""
    paths, files = workspace.paths, members(workspace)
    weights = [paths.weights(v) for v in workspace.variants()]  # they stay here, what they are goes
    # files and their sidecars
    for file in [*files, *(sidecar(f) for f in [*files, *weights] if sidecar(f).is_file())]:
        out = folder / file.relative_to(paths.root)
        out.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in TEXTS:
            shutil.copyfile(file, out)
        else:
            leave_reason(out, reason_of(file) or NO_IMAGES)
    # labels that may not travel
    for d in workspace.all_datasets.values():
        index = paths.index(d.name)
        if d.labels_travel or index not in files or reason_of(index):
            continue
        images = read_index(index).drop(columns=LABELS, errors="ignore")
        write_csv(images, folder / index.relative_to(paths.root))
        for m in workspace.all_methods.values():
            if m.reads_labels and paths.scores(m.name, d.name) in files:
                out = folder / paths.scores(m.name, d.name).relative_to(paths.root)
                write_csv(refused_scores(images, NO_LABELS), out)


def manifest(workspace: Workspace, config: ScaleConfig, folder: Path) -> Release:
    """What a release says of itself. config: as it was before trainings with further seeds were added."""
    made = [provenance.read(workspace.paths.scores(m.name, d.name)) for m, d in workspace.scored()]
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    names = {
        "datasets": [d.name for d in workspace.datasets()],
        "methods": [m.name for m in workspace.methods() if not m.repeat_of],
    }
    return Release(
        protocol=PROTOCOL,
        revisions=sorted({m["revision"] for m in made if "revision" in m}),
        datasets={d.name: d.version for d in workspace.datasets()},
        config=config.of_outputs | names,
        members={f.relative_to(folder).as_posix(): sha256(f) for f in files},
    )


def write(folder: Path, release: Release, out: Path) -> None:
    """The archive: the manifest, then the members in its order. No date, owner or mode of a file enters it."""
    with atomic(out) as temporary, zipfile.ZipFile(temporary, "w") as z:
        text = json.dumps(release.model_dump(), indent=1) + "\n"
        contents = {RELEASE_MANIFEST: text.encode()} | {name: folder / name for name in release.members}
        for name, content in contents.items():
            info = zipfile.ZipInfo(name)  # of 1980
            info.create_system, info.external_attr = 3, 0o644 << 16  # as on Linux, wherever it is made
            data = content.read_bytes() if isinstance(content, Path) else content
            z.writestr(info, data, zipfile.ZIP_DEFLATED, compresslevel=9)


def pack(workspace: Workspace, config: ScaleConfig, out: Path) -> None:
    """Write the release of a finished run."""
    with tempfile.TemporaryDirectory() as folder:
        stage(workspace, Path(folder))
        write(Path(folder), manifest(workspace, config, Path(folder)), out)


def main() -> None:
    parser = job.parser("Write the release of a finished run.", "--out")
    add_config_argument(parser)
    args = parser.parse_args()
    config = config_of(args)
    pack(Workspace(config), config, args.out)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, SHA-256 {sha256(args.out)}")


if __name__ == "__main__":
    job.run(main)
