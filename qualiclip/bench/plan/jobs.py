"""The jobs of a run: those that Snakemake itself would do, read from a dry run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qualiclip.bench.cards.base import CardError

_BLOCK = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """One job: its rule, the cards behind its wildcards, whether it uses a GPU, and the MB of memory it asks for."""

    rule: str
    method: str | None = None
    dataset: str | None = None
    variant: str | None = None
    gpu: bool = False
    memory: int = 0


def _value(key: str, block: str) -> str:
    """The value of a line "    key: value" of a job; empty where there is none."""
    found = re.search(rf"^    {key}: (.*)$", block, re.MULTILINE)
    return found[1] if found else ""


def parse(text: str) -> list[Job]:
    """The jobs in the output of `snakemake --dry-run`. Targets that do nothing themselves are left out."""
    jobs = []
    for rule, block in _BLOCK.findall(text):
        if not _value("output", block):
            continue
        wildcards = dict(item.split("=", 1) for item in _value("wildcards", block).split(", ") if item)
        cards = {k: v for k, v in wildcards.items() if k in ("method", "dataset", "variant")}
        resources = dict(re.findall(r"\b(gpu|mem_mb)=(\d+)", _value("resources", block)))
        jobs.append(Job(rule, **cards, gpu=resources.get("gpu", "0") != "0", memory=int(resources.get("mem_mb", 0))))
    return jobs


def planned(config: Sequence[str], cores: int = 1, snakefile: Path = Path("Snakefile")) -> list[Job]:
    """The jobs that `snakemake all --config ...` would do now.

    config: KEY=VALUE, as Snakemake's --config. Raises CardError with Snakemake's words where it cannot tell.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", str(cores), "--nolock"]
    command += ["--dry-run", "all", *(["--config", *config] if config else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CardError(f"snakemake cannot plan this run:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    return parse(done.stdout + done.stderr)
