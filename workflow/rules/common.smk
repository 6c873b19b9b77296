# Cards and config, checked before any job starts; and what several rules need of them.

import functools
import json
import os
import re
import shlex
import shutil
import sys

from qualiclip import folders
from qualiclip.bench import warm
from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.figures import kinds as figure_kinds
from qualiclip.bench.paths import sidecar
from qualiclip.bench.sources import closure, sources
from qualiclip.bench.tables import kinds as table_kinds
from qualiclip.bench.workspace import Workspace
from qualiclip.io import digest

try:
    workspace = Workspace(load_config(config))
    workspace.check_folder()
    TABLE_MODULES = {name: table_kinds.module(card) for name, card in workspace.all_tables.items()}
    FIGURE_MODULES = {name: figure_kinds.module(card) for name, card in workspace.all_figures.items()}
except CardError as e:
    print(f"error: {e}", file=sys.stderr)  # the message is complete; a traceback would bury it
    raise WorkflowError("a card or the config is not valid, see above") from None

paths = workspace.paths
PYTHON = shlex.quote(sys.executable)  # jobs run in the interpreter that runs snakemake

# Jobs that would use a GPU take one unit of the resource `gpu`, which profiles/default limits. The login node of a
# cluster may have none: there, device=cuda states that the jobs will.
GPU = int(
    workspace.config.device == "cuda" or (workspace.config.device == "auto" and shutil.which("nvidia-smi") is not None)
)

# Config overrides passed to jobs that read the config. Options that do not change outputs are resources of the rules,
# so that they never trigger a rerun.
NOT_IN_OUTPUTS = {"mirror", "device", "allow_missing", "allow_errors", "shard", "gpus_per_training", "trust"}
OVERRIDES = {"scale": workspace.config.scale} | {k: v for k, v in config.items() if k not in NOT_IN_OUTPUTS}
CONFIG_ARGS = " ".join(shlex.quote(f"{key}={json.dumps(value)}") for key, value in OVERRIDES.items())
MIRROR_ARG = f"--mirror {shlex.quote(str(workspace.config.mirror))}" if workspace.config.mirror else ""
DEVICE = workspace.config.device


def config_args(wildcards):
    """A function, since Snakemake would look for wildcards in the braces of a text."""
    return CONFIG_ARGS


# Libraries are imported once, not once per job (qualiclip/bench/warm.py).
onstart:
    warm.start()


def one_of(names):
    """Wildcard constraint: any of the names; without names it matches nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


def methods_where(condition):
    """Wildcard constraint: names of the method cards for which the condition holds."""
    return one_of(m.name for m in workspace.all_methods.values() if condition(m))


SEES_IMAGES = methods_where(lambda m: m.sees_images)
LABELS_ONLY = one_of(workspace.config.labels_only)


def method_of(wildcards):
    return workspace.all_methods[wildcards.method]


def dataset_of(wildcards):
    return workspace.all_datasets[wildcards.dataset]


def method_card(wildcards):
    return method_of(wildcards).path


def dataset_card(wildcards):
    return dataset_of(wildcards).path


def beside(card, reference):
    """Source files behind `file.py:name`, in a file beside a card; none for no reference."""
    return closure(card.sibling(reference.partition(":")[0])) if reference else []


def method_code(wildcards):
    """The Python file of a method, and what it imports."""
    return beside(method_of(wildcards), method_of(wildcards).module)


def checkpoint(wildcards):
    """The weights of the method's variant, if it has one."""
    variant = method_of(wildcards).variant
    return [paths.weights(variant)] if variant else []


def checkpoint_arg(wildcards):
    variant = method_of(wildcards).variant
    return f"--checkpoint {shlex.quote(str(paths.checkpoint(variant)))}" if variant else ""


def fitted(wildcards):
    """What the method's fit has written, if it has one."""
    return [paths.fitted(wildcards.method)] if method_of(wildcards).fit else []


def fitted_arg(wildcards):
    return f"--fitted {shlex.quote(str(paths.fitted(wildcards.method)))}" if method_of(wildcards).fit else ""


def score_digest(wildcards):
    return method_of(wildcards).score_digest()


def mirrored_files(wildcards):
    """Only wildcards are asked for: Snakemake takes a parameter that follows from `output` as no reason to rerun."""
    return workspace.mirrored_files(method_of(wildcards), wildcards.get("dataset"))


def mirrored_weights(path_of):
    """Likewise for what is measured of a method, at path_of(method)."""
    return lambda wildcards: workspace.mirrored_files(method_of(wildcards), None, path_of(wildcards.method))


def memory(wildcards, attempt):
    """MB of a job that loads a model; a second attempt has twice as much."""
    return 8000 * attempt


def trust_arg(wildcards):
    """Where a method brings code of its authors, and the user has agreed: then a refused one is tried again."""
    return "--trust" if method_of(wildcards).runs_code and wildcards.method in workspace.config.trust else ""


def method_gpu(wildcards):
    """One where there is a GPU, but for a method that its card keeps on the CPU."""
    return 0 if method_of(wildcards).input.device == "cpu" else GPU


def all_cores(wildcards):
    """Evaluated when a job is planned: `snakemake --unlock` has no number of cores."""
    return workflow.cores


wildcard_constraints:
    dataset=one_of(workspace.all_datasets),
    method=one_of(workspace.all_methods),
    variant=one_of(workspace.config.variants),
    table=one_of(workspace.all_tables),
    figure=one_of(workspace.all_figures),
