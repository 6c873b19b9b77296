# Datasets: fetch or make, then index.


def raw_needs(wildcards):
    """Manifests of the sets that a made set reads, and the code that makes it."""
    card = space.all_datasets[wildcards.dataset]
    if not card.make:
        return []
    needs = [RAW / n / "manifest.json" for n in card.make.needs]
    return [*needs, *closure(card.sibling(card.make.function.partition(":")[0]))]


def raw_digest(wildcards):
    return space.all_datasets[wildcards.dataset].raw_digest()


def index_digest(wildcards):
    return space.all_datasets[wildcards.dataset].index_digest()


rule fetch:
    """Download or make a dataset into the raw root."""
    input:
        raw_needs,
    output:
        RAW / "{dataset}/manifest.json",
    params:
        card="datasets/{dataset}.yaml",
        digest=raw_digest,
        mirror=f"--mirror {space.config.mirror}" if space.config.mirror else "",
        raw=RAW,
    log:
        LOGS + "/fetch/{dataset}.log",
    benchmark:
        BENCH + "/fetch/{dataset}.tsv"
    resources:
        mem_mb=4000,
        network=1,
    shell:
        "python -m qualiclip.bench.fetch {params.card} --raw {params.raw} {params.mirror} 2>&1 | tee {log}"


rule index:
    """Check a raw dataset and list its images, labels and splits."""
    input:
        RAW / "{dataset}/manifest.json",
        code=sources("qualiclip.bench.index"),
    output:
        OUT / "index/{dataset}.csv",
    params:
        card="datasets/{dataset}.yaml",
        digest=index_digest,
        missing="--allow-missing" if space.config.allow_missing else "",
        raw=RAW,
    log:
        LOGS + "/index/{dataset}.log",
    benchmark:
        BENCH + "/index/{dataset}.tsv"
    resources:
        mem_mb=1000,
    shell:
        "python -m qualiclip.bench.index {params.card} --raw {params.raw} --out {output} {params.missing} 2>&1 | tee {log}"
