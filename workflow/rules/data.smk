# Datasets: fetch or make, then index.


def raw_inputs(wildcards):
    """Your own folder and its labels; or the sets that a made set reads, and the code that makes it."""
    card = dataset_of(wildcards)
    if card.folder:
        return [card.folder, *(card.folder.glob(card.labels.file) if card.labels else [])]
    if not card.make:
        return []
    return [*(paths.manifest(n) for n in card.make.needs), *beside(card, card.make.function)]


def raw_digest(wildcards):
    return dataset_of(wildcards).raw_digest(wildcards.dataset in workspace.config.labels_only)


def mirrored_release(wildcards):
    return workspace.mirrored_release(dataset_of(wildcards))


def labels_only_arg(wildcards):
    return "--labels-only" if wildcards.dataset in workspace.config.labels_only else ""


def label_code(wildcards):
    """The file beside the card that reads an odd label format."""
    card = dataset_of(wildcards)
    return beside(card, card.labels and card.labels.function)


def index_digest(wildcards):
    return dataset_of(wildcards).index_digest()


rule fetch:
    """Download or make a dataset into the raw root."""
    input:
        raw_inputs,
    output:
        paths.manifest("{dataset}"),
    log:
        paths.log("fetch/{dataset}"),
    priority: 2  # before training, which waits for a set and its index
    localrule: True
    resources:
        mem_mb=4000,
        mirror=MIRROR_ARG,
        network=1,
    params:
        card=dataset_card,
        digest=raw_digest,
        labels_only=labels_only_arg,
        mirrored=mirrored_release,
        raw=paths.raw,
    shell:
        "{PYTHON} -m qualiclip.bench.data.fetch {params.card} --raw {params.raw} {params.labels_only} {resources.mirror}"
        " --mirrored {params.mirrored} 2>&1 | tee {log}"


rule index:
    """Check a raw dataset and list its images, labels and splits."""
    input:
        paths.manifest("{dataset}"),
        label_code,
        code=sources("qualiclip.bench.data.index"),
    output:
        paths.index("{dataset}"),
    log:
        paths.log("index/{dataset}"),
    priority: 2
    resources:
        mem_mb=1000,
        missing="--allow-missing" if workspace.config.allow_missing else "",
    params:
        card=dataset_card,
        digest=index_digest,
        labels_only=labels_only_arg,
        raw=paths.raw,
    shell:
        "{PYTHON} -m qualiclip.bench.data.index {params.card} --raw {params.raw} {params.labels_only} {resources.missing}"
        " --out {output} 2>&1 | tee {log}"
