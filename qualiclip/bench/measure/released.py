"""What the released weights say of their training: the data behind the table `released_weights`.

`python -m qualiclip.bench.measure.released --mirror DIR --out results/paper/released_weights.json`
A list of comparisons, each with `title`, the facts of qualiclip/inspection.py, and `reason`: why it could not be made,
or empty. The files are fetched as those of the methods are, and read without running code from them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from qualiclip.bench import job
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.methods import weights
from qualiclip.bench.methods.hub_mirror import clip_from_mirror
from qualiclip.inspection import inspect
from qualiclip.io import write_text
from qualiclip.model import CheckpointError
from qualiclip.pretrained import AUTHORS_RELEASE

COMPARISONS = {  # title -> the file, and what it is compared with
    "the authors' release beside OpenAI's RN50": ("authors", "openai"),
    "pyiqa's file beside OpenAI's RN50": ("pyiqa", "openai"),
    "pyiqa's file beside the authors' release": ("pyiqa", "authors"),
}


def fetch(name: str, mirror: Path | None) -> Path:
    """One of the files. Raises FetchError."""
    if name == "openai":
        from open_clip import pretrained

        with clip_from_mirror(mirror):
            return Path(pretrained.download_pretrained_from_hf("timm/resnet50_clip.openai"))
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    if name == "authors":
        return weights.place("qualiclip.pth", cache, mirror, url=AUTHORS_RELEASE)
    return weights.place("QualiCLIP.pth", cache, mirror)


def compare(mirror: Path | None) -> list[dict[str, Any]]:
    """All comparisons; one whose files cannot be had or read has a reason."""
    rows: list[dict[str, Any]] = []
    for title, (name, against) in COMPARISONS.items():
        try:
            rows.append({"title": title, "reason": "", **inspect(fetch(name, mirror), fetch(against, mirror))})
        except (FetchError, CheckpointError) as e:
            rows.append({"title": title, "reason": str(e)})
    return rows


def main() -> None:
    args = job.parser("Compare the released weights with what they began with.", "--mirror", "--out").parse_args()
    rows = compare(args.mirror)
    write_text(args.out, json.dumps(rows, indent=1) + "\n")
    job.record(args.out, complete=not any(r["reason"] for r in rows))


if __name__ == "__main__":
    job.run(main)
