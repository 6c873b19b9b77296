# Datasets: fetch or make, then index.


def raw_inputs(wildcards):
    """The sets that a made set reads, and the code that makes it."""
    card = dataset_of(wildcards)
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


@functools.cache
def fingerprint_of(folder):
    return folders.fingerprint(folder)


def own_files(wildcards):
    """What a folder of one's own holds: labels and photos in it may change at any time."""
    folder = dataset_of(wildcards).folder
    return fingerprint_of(folder) if folder else ""


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
        "{PYTHON} -m qualiclip.bench.data.fetch {params.card:q} --raw {params.raw:q} {params.labels_only}"
        " {resources.mirror} --mirrored {params.mirrored:q} 2>&1 | tee {log:q}"


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
        own_files=own_files,
        labels_only=labels_only_arg,
        raw=paths.raw,
    shell:
        "{PYTHON} -m qualiclip.bench.data.index {params.card:q} --raw {params.raw:q} {params.labels_only}"
        " {resources.missing} --out {output:q} 2>&1 | tee {log:q}"
