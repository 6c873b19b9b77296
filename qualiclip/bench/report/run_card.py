"""What a run was: command, date, code, processors, seeds, versions, and the digests of what it made."""

from __future__ import annotations

import json
from typing import Any

from qualiclip.bench import provenance
from qualiclip.bench.absence import reason_of
from qualiclip.bench.workspace import Workspace
from qualiclip.io import read_json, sha256

FACTS = ("seconds", "images_per_second", "failed", "device", "revision")  # of a score file, in its sidecar


def training(workspace: Workspace) -> list[dict[str, Any]]:
    """Record and provenance of every trained variant that a table or figure of this run needed."""
    variants = []
    for name in workspace.variants():
        record = workspace.paths.train_record(name)
        if record.is_file() and not reason_of(record):
            facts = provenance.read(workspace.paths.weights(name))
            variants.append({"name": name, "record": read_json(record), "facts": facts})
    return variants


def score_files(workspace: Workspace) -> list[dict[str, Any]]:
    """One row per score file: method, dataset, the facts of its sidecar, and the beginning of its SHA-256."""
    rows = []
    for m, d in workspace.scored():
        file = workspace.paths.scores(m.name, d.name)
        facts = provenance.read(file)
        row = {"Method": m.title, "Dataset": d.title} | {k.replace("_", " "): facts.get(k) for k in FACTS}
        rows.append(row | {"SHA-256": sha256(file)[:12]})
    return rows


def run_card(workspace: Workspace) -> dict[str, str]:
    """Fact -> value, in words."""
    config, paths = workspace.config, workspace.paths
    sidecars = [provenance.read(paths.scores(m.name, d.name)) for m, d in workspace.scored()]
    # the command that makes these results
    chosen = {"scale": config.scale, "datasets": config.datasets, "methods": config.methods}
    overrides = " ".join(f"{k}={json.dumps(v) if isinstance(v, list) else v}" for k, v in chosen.items() if v)
    # processors: that of timed methods is named
    timed = [paths.efficiency(m.name) for m in workspace.methods() if paths.efficiency(m.name).is_file()]
    named = {str(read_json(f).get("device")) for f in timed if not reason_of(f)}
    devices = {str(s["device"]) for s in sidecars if s.get("device")} - {"cpu"} | named - {"None"}
    written = sorted(s["written"] for s in sidecars if "written" in s)
    return {
        "Command": f"snakemake --cores all all --config {overrides}",
        "Scored": f"{written[0][:10]} to {written[-1][:10]}" if written else "–",
        "Code": provenance.revision(),
        "Processors": ", ".join(sorted(devices)) or "CPU",
        "Training seeds": ", ".join(f"{v} {config.variant(v).seed}" for v in workspace.variants()) or "–",
        "Versions": ", ".join(f"{name} {v}" for name, v in provenance.packages().items()),
    }
