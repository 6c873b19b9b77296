# Cards and config, checked before any job starts; what the rules need of them.

import json
import re
import shlex
import shutil
import sys
from math import ceil

from qualiclip.bench import provenance
from qualiclip.bench.card import CardError, digest
from qualiclip.bench.cards import DatasetCard, FigureCard, MethodCard, TableCard
from qualiclip.bench.code import closure, sources
from qualiclip.bench.workspace import Workspace

try:
    space = Workspace.load(config)
except CardError as e:
    print(f"error: {e}", file=sys.stderr)  # the message says it all; a traceback would bury it
    raise WorkflowError("a card or the config is not valid, see above") from None

RAW, OUT = space.config.data, space.root
LOGS = f"{OUT}/logs"
BENCH = f"{OUT}/benchmarks"

# Jobs that would use a GPU take one of the `gpu` resource, which profiles/default limits. A cluster's
# login node may have none: there, device=cuda says that the jobs will.
GPU = int(space.config.device == "cuda" or (space.config.device == "auto" and shutil.which("nvidia-smi") is not None))

# What is said to every job that reads the config. How a job gets its files or which device it takes
# does not change what it makes: such options travel as resources, which never trigger a rerun.
TRAVELS = {"mirror", "device", "allow_missing", "allow_errors", "shard"}
NAMED = {"scale": space.config.scale} | {key: value for key, value in config.items() if key not in TRAVELS}
SAID = " ".join(shlex.quote(f"{key}={json.dumps(value)}") for key, value in NAMED.items())
MIRROR = f"--mirror {space.config.mirror}" if space.config.mirror else ""
MISSING = "--allow-missing" if space.config.allow_missing else ""
DEVICE = space.config.device


def memory(wildcards, attempt):
    """MB of a job that loads a model; a second attempt has twice as much."""
    return 8000 * attempt


def card_gpu(wildcards):
    """One, where there is one, but for a method that its card keeps on the CPU."""
    return 0 if space.all_methods[wildcards.method].input.device == "cpu" else GPU


wildcard_constraints:
    dataset="|".join(space.all_datasets),
    method="|".join(re.escape(m) for m in space.all_methods),
    variant="|".join(space.config.variants),
    table="|".join(space.all_tables),
    figure="|".join(space.all_figures),
