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
LOGS, BENCH = OUT / "logs", OUT / "benchmarks"

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


def all_cores(wildcards):
    """Asked when a job is planned: `snakemake --unlock` knows no cores."""
    return workflow.cores


# What the rules of data.smk ask.


def raw_needs(wildcards):
    """Manifests of the sets that a made set reads and the code that makes it; the labels of one's own folder."""
    card = space.all_datasets[wildcards.dataset]
    if card.folder:
        return [card.folder, *(card.folder.glob(card.labels.file) if card.labels else [])]
    if not card.make:
        return []
    needs = [RAW / n / "manifest.json" for n in card.make.needs]
    return [*needs, *closure(card.sibling(card.make.function.partition(":")[0]))]


def label_code(wildcards):
    """The file beside the card that reads an odd label format."""
    card = space.all_datasets[wildcards.dataset]
    function = card.labels and card.labels.function
    return closure(card.sibling(function.partition(":")[0])) if function else []


def raw_digest(wildcards):
    return space.all_datasets[wildcards.dataset].raw_digest(wildcards.dataset in space.config.labels_only)


def index_digest(wildcards):
    return space.all_datasets[wildcards.dataset].index_digest()


def labels_only(wildcards):
    return "--labels-only" if wildcards.dataset in space.config.labels_only else ""


# What the rules of train.smk ask.


def train_threads(wildcards):
    """All cores feed a GPU. Without one, variants train side by side: a small encoder gains little from a second core."""
    long = [v for v in space.trained() if space.config.variant(v).steps != 0]
    cores = workflow.cores
    return cores if GPU else max(1, cores // max(1, len(long)))


def train_digest(wildcards):
    return digest(space.config.variant(wildcards.variant).model_dump())


# What the rules of score.smk ask.


def checkpoint(wildcards):
    """The weights of the method's variant, if it has one."""
    variant = space.all_methods[wildcards.method].variant
    return [space.checkpoint(variant) / "weights.safetensors"] if variant else []


def method_code(wildcards):
    card = space.all_methods[wildcards.method]
    return closure(card.sibling(card.module.partition(":")[0])) if card.module else []


def checkpoint_argument(wildcards):
    variant = space.all_methods[wildcards.method].variant
    return f"--checkpoint {space.checkpoint(variant)}" if variant else ""


def score_digest(wildcards):
    return space.all_methods[wildcards.method].score_digest()


def resize_digest(wildcards):
    return digest(space.all_datasets[wildcards.dataset].resize)


def fitted(wildcards):
    """What the method's fit has written, if it has one."""
    return OUT / f"fitted/{wildcards.method}" if space.all_methods[wildcards.method].fit else []


def fitted_argument(wildcards):
    return f"--fitted {fitted(wildcards)}" if fitted(wildcards) else ""


def found(wildcards):
    """Files that the method needs and the mirror has.

    Of a finished output it is what was there at the time: a mirror that comes later reruns nothing. An output
    that says `not run` is tried again as soon as a file has come. (It asks for wildcards alone: Snakemake takes a
    parameter that follows from `output` for no reason to run a job again.)
    """
    dataset = wildcards.get("dataset")
    made = f"scores/{wildcards.method}/{dataset}.csv" if dataset else f"fitted/{wildcards.method}"
    record = provenance.read(OUT / made)
    if record.get("complete"):
        return record["found"]
    wanted = space.all_methods[wildcards.method].wanted(dataset)
    return [f for f in wanted if space.config.mirror and (space.config.mirror / f).is_file()]


def size(wildcards):
    """Images of the set, as far as its card tells."""
    return space.all_datasets[wildcards.dataset].images.count or 0


def shards(wildcards):
    """Parts of the score file that jobs of their own write; none for a set that is not above config's `shard`.

    Of a finished file: what it was made of, so that another `shard` scores nothing again.
    """
    made = OUT / f"scores/{wildcards.method}/{wildcards.dataset}.csv"
    n = 1
    if made.is_file():
        n = provenance.read(made).get("shards", 1)
    elif space.config.shard:
        n = ceil(size(wildcards) / space.config.shard)
    return [made.with_suffix(".shards") / f"{k}-of-{n}.csv" for k in range(1, n + 1)] if n > 1 else []


def shard_records(wildcards):
    return [provenance.sidecar(f) for f in shards(wildcards)]


def merged(wildcards):
    files = shards(wildcards)
    return f"--shards {' '.join(map(str, files))}" if files else ""


def score_gpu(wildcards):
    return 0 if shards(wildcards) else card_gpu(wildcards)


def score_threads(wildcards):
    """All cores for a large set; small ones rather run side by side."""
    return workflow.cores if size(wildcards) >= 1000 and not shards(wildcards) else 1


def one_of(names):
    """Wildcard constraint: any of the names; none matches nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


LABELS_ALONE = one_of(space.config.labels_only)
WITH_IMAGES = one_of(d for d in space.all_datasets if d not in space.config.labels_only)


def methods_where(wanted):
    """Wildcard constraint: names of the method cards that `wanted` holds for."""
    return one_of(m.name for m in space.all_methods.values() if wanted(m))


def is_published(card):
    return bool(card.scores)


def has_fit(card):
    return card.fit


def is_run_here(card):
    return not (card.scores or card.rule or card.features)


def is_trained_within(card):
    return bool(card.features)


def sees_images(card):
    return is_run_here(card) or is_trained_within(card)


def is_encoder(card):
    return any(m.features == card.name for m in space.all_methods.values())


def features_of_encoder(wildcards):
    encoder = space.all_methods[space.all_methods[wildcards.method].features]
    return space.features(encoder, space.all_datasets[wildcards.dataset])


def labels_digest(wildcards):
    """What of the labels' card a method is trained on."""
    labels = space.all_datasets[wildcards.dataset].labels
    return digest(labels and [labels.higher_better, labels.range])


def own_scores(wildcards):
    """The CSV beside the card, where it is there."""
    card = space.all_methods[wildcards.method]
    path = card.sibling(card.scores.format(dataset=wildcards.dataset)) if isinstance(card.scores, str) else None
    return [path] if path and path.is_file() else []


# What the rules of metrics.smk ask.


def metric_digest(wildcards):
    """What of the cards enters the correlations."""
    labels = space.all_datasets[wildcards.dataset].labels
    return digest([space.all_methods[wildcards.method].higher_better, labels and labels.higher_better])


# What the rules of tables.smk ask.


def table_input(wildcards):
    return space.table_inputs(space.all_tables[wildcards.table])


def table_digest(wildcards):
    """What a table says of its cards, apart from the numbers."""
    return space.table_digest(space.all_tables[wildcards.table])


# What the rules of figures.smk ask.


def figure_input(wildcards):
    return space.figure_inputs(space.all_figures[wildcards.figure])


def figure_digest(wildcards):
    return space.figure_digest(space.all_figures[wildcards.figure])


wildcard_constraints:
    dataset=one_of(space.all_datasets),
    method=one_of(space.all_methods),
    variant=one_of(space.config.variants),
    table=one_of(space.all_tables),
    figure=one_of(space.all_figures),
