# Datasets: fetch or make, then index.


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


rule fetch:
    """Download or make a dataset into the raw root."""
    input:
        raw_needs,
    output:
        RAW / "{dataset}/manifest.json",
    log:
        LOGS + "/fetch/{dataset}.log",
    benchmark:
        BENCH + "/fetch/{dataset}.tsv"
    localrule: True
    resources:
        mem_mb=4000,
        mirror=MIRROR,
        network=1,
    params:
        card="datasets/{dataset}.yaml",
        digest=raw_digest,
        labels_only=labels_only,
        raw=RAW,
    shell:
        "python -m qualiclip.bench.fetch {params.card} --raw {params.raw} {params.labels_only} {resources.mirror} 2>&1 | tee {log}"


rule index:
    """Check a raw dataset and list its images, labels and splits."""
    input:
        RAW / "{dataset}/manifest.json",
        label_code,
        code=sources("qualiclip.bench.index"),
    output:
        OUT / "index/{dataset}.csv",
    log:
        LOGS + "/index/{dataset}.log",
    benchmark:
        BENCH + "/index/{dataset}.tsv"
    resources:
        mem_mb=1000,
        missing=MISSING,
    params:
        card="datasets/{dataset}.yaml",
        digest=index_digest,
        labels_only=labels_only,
        raw=RAW,
    shell:
        "python -m qualiclip.bench.index {params.card} --raw {params.raw} --out {output} {params.labels_only} {resources.missing} 2>&1 | tee {log}"
