"""The page of a plan: plain text, to be read before a GPU is hired."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

WIDTH = 110
SHOWN = 12  # methods of the table of scorings; the others are summed up
UNKNOWN = "unknown"


def gigabytes(megabytes: float | None) -> str:
    """A size in words, with two digits."""
    if megabytes is None:
        return UNKNOWN
    return f"{megabytes:.2g} MB" if megabytes < 95 else f"{megabytes / 1000:.3g} GB"


def hours(seconds: float | None) -> str:
    """A time in words, with two or three digits."""
    if seconds is None:
        return UNKNOWN
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.3g} h" if seconds < 3.6e6 else (
        f"{seconds / 3600:,.0f} h"
    )  # fmt: skip


def total(sum_: dict[str, Any]) -> str:
    """A sum of sizes, of which some may be unknown."""
    if not sum_["unknown"]:
        return gigabytes(sum_["known"])
    files = f"{sum_['unknown']} unknown"
    return f"{gigabytes(sum_['known'])} + {files}" if sum_["known"] else files


def _table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    numbers = [h in ("images", "trainings", "steps", "crops", "sets") for h in headers]
    align = ["right" if n else "left" for n in numbers]
    cells = [[f"{c:,}" if isinstance(c, int) else c for c in row] for row in rows]
    return tabulate(cells, headers=headers, tablefmt="simple", disable_numparse=True, colalign=align if rows else None)


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")


def _sets(p: dict[str, Any]) -> str:
    rows = [
        [s["set"], s["images"], s["from"], total(s["megabytes"]) if s["from"] in ("download", "by hand") else "-",
         gigabytes(s["unpacked_megabytes"]), textwrap.shorten(s["license"], 44, placeholder=" ...")]
        for s in p["sets"]
    ]  # fmt: skip
    w = p["weights"]
    if w["files"]:
        rows.append([f"weights, scores: {w['files']} files", "", "download", total(w["megabytes"]), "-", ""])
    return _table(["set", "images", "from", "download", "unpacked", "licence"], rows)


def _by_hand(p: dict[str, Any]) -> str:
    if not p["by_hand"]:
        return "Nothing needs a form or a hand."
    lines = ["These need a form or a hand (then mirror=DIR). Until then what depends on them is not here:"]
    lines += [
        _paragraph(f"- {f['owner']}, {f['file']}: {f['how']}. Known wait: {f['wait'] or UNKNOWN}.")
        for f in p["by_hand"]
    ]
    waiting = [f"{n} of {name}" for name, n in p["away"].items() if n]
    return "\n".join([*lines, *([_paragraph(f"Score files that wait: {', '.join(waiting)}.")] if waiting else [])])


def _licences(p: dict[str, Any]) -> str:
    titles = {"noncommercial": "No commercial use", "unknown": "Commercial use not known"}
    lines = []
    for kind, title in titles.items():
        for licence, owners in p["licences"][kind].items():
            names = f"{len(owners)} cards" if len(owners) > 6 else ", ".join(owners)
            lines.append(_paragraph(f"- {title}: {names} ({licence})"))
    return "\n".join(lines) or "No licence here forbids commercial use."


def _trainings(p: dict[str, Any]) -> str:
    if not p["trainings"]:
        return "Nothing is trained."
    rows = [
        [t["variant"], t["trainings"], t["encoder"], t["steps"], t["crops_per_step"], f"{t['crop']} px",
         hours(t["seconds"])]
        for t in p["trainings"]
    ]  # fmt: skip
    steps = sum(t["trainings"] * t["steps"] for t in p["trainings"])
    n = sum(t["trainings"] for t in p["trainings"])
    rows.append(["together", n, "", steps, "", "", hours(_known(t["seconds"] for t in p["trainings"]))])
    return _table(["variant", "trainings", "encoder", "steps", "crops", "crop", "time"], rows)


def _known(values: Any) -> float:
    return sum(v for v in values if v is not None)


def _scorings(p: dict[str, Any]) -> str:
    if not p["scorings"]:
        return "Nothing is scored."
    timed = [s for s in p["scorings"] if s["seconds"] is not None]
    rest = timed[SHOWN:]
    rows = [[s["method"], s["sets"], s["images"], hours(s["seconds"])] for s in timed[:SHOWN]]
    if rest:
        rows.append(
            [f"{len(rest)} others", "", sum(s["images"] for s in rest), hours(_known(s["seconds"] for s in rest))]
        )
    rows += [[s["method"], s["sets"], s["images"], UNKNOWN] for s in p["scorings"] if s["seconds"] is None]
    whole = hours(_known(s["seconds"] for s in p["scorings"]))
    rows.append([f"{len(p['scorings'])} methods", "", p["images_scored"], whole])
    return _table(["method", "sets", "images", "time"], rows)


def _not_run(p: dict[str, Any]) -> str:
    lines = [_paragraph(f"- {', '.join(titles)}: {why}") for why, titles in p["not_run"].items()]
    for title, (have, shown) in p["published"].items():
        if have < shown:
            lines.append(f"- {title}: scores were published for {have} of {shown} sets; on the others it is not run")
    return "\n".join(lines) or "Nothing, as far as can be known before weights are fetched."


def _online(p: dict[str, Any]) -> str:
    found = p["online"]
    if found is None:
        return "Addresses were not asked (snakemake plan_online asks them)."
    lines = []
    for kind, title in (("dead", "dead"), ("odd", "answers, but")):
        lines += [_paragraph(f"- {title}: {f['owner']}, {f['file']}: {f['why']} ({f['address']})") for f in found[kind]]
    return "\n".join(lines) or "All addresses answer with the sizes that the cards state."


def _whole(p: dict[str, Any], cores: int) -> str:
    gpu = p["gpu_seconds"]
    if gpu is not None:
        on_gpu = hours(gpu)
    elif p["gpu_jobs"]:
        on_gpu = f"not known: {p['gpu_jobs']} jobs would use one, and there is none here"
    else:
        on_gpu = "none here: all times are those of the processor"
    unknown = ", ".join(f"{n} {rule}" for rule, n in p["unknown_jobs"].items())
    results, training = gigabytes(p["results_megabytes"]["known"]), gigabytes(p["training_megabytes"])
    one, all_ = hours(p["core_seconds"]), hours(p["core_seconds"] / cores)
    rows = [
        ["jobs", f"{p['jobs']:,}"],
        ["score files", f"{p['score_files']:,}, of {p['images_scored']:,} images scored here"],
        ["to download", total(p["download_megabytes"])],
        ["disk: unpacked sets", total(p["unpacked_megabytes"])],
        ["disk: results", f"{results}, and {training} while training"],
        ["memory", f"{p['memory_megabytes'] / 1000:g} GB for the largest job, times the jobs side by side"],
        ["processor", f"{one} of one core, at least {all_} on {cores}"],
        ["GPU", on_gpu],
        ["not estimated", f"{unknown} jobs" if unknown else "nothing"],
    ]  # fmt: skip
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


def page(p: dict[str, Any], cores: int) -> str:
    """The text of a plan, as facts.py gives it. cores: of the run."""
    unit = "on the GPU" if p["device"] == "cuda" else "of one core"
    parts = [
        ("In all", _whole(p, cores)),
        ("Sets, weights and published scores", _sets(p)),
        ("By hand", _by_hand(p)),
        ("Addresses", _online(p)),
        ("Licences", _licences(p)),
        (f"Training (times {unit})", _trainings(p)),
        (f"Scoring (times {unit})", _scorings(p)),
        ("Not run", _not_run(p)),
    ]
    notes = [
        f"Measured on {p['machine']}, in a minute. Methods whose weights are a download were measured on another "
        "machine (workflow/speeds.csv), whose times are turned into this one's by those of a ResNet-50.",
        "Not counted: downloading and unpacking, and Snakemake itself.",
    ]
    if p["unpacked_megabytes"]["unknown"]:
        notes.append(
            "Where an unpacked size is unknown, have room for the archive twice: it is there while it is unpacked."
        )
    if p["assumed_size"]:
        notes.append(f"Image size not known, counted as half a megapixel: {', '.join(p['assumed_size'])}.")
    head = f"Plan of scale {p['scale']}: what is left to do, counted by Snakemake; nothing has been spent."
    body = [f"{title}\n{'=' * len(title)}\n{text}" for title, text in parts]
    return "\n\n".join([head, *body, *map(_paragraph, notes)]) + "\n"
