# Datasets: fetch or make, then index.


rule fetch:
    """Download or make a dataset into the raw root."""
    input:
        raw_needs,
    output:
        RAW / "{dataset}/manifest.json",
    log:
        LOGS / "fetch/{dataset}.log",
    benchmark:
        BENCH / "fetch/{dataset}.tsv"
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
        LOGS / "index/{dataset}.log",
    benchmark:
        BENCH / "index/{dataset}.tsv"
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
