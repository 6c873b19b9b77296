# Scores: the only expensive result, one file a method and dataset.


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


def method_digest(wildcards):
    return space.all_methods[wildcards.method].score_digest()


def score_digest(wildcards):
    """What of both cards enters the scores."""
    return digest([method_digest(wildcards), space.all_datasets[wildcards.dataset].resize])


rule score:
    """Score every indexed image with one method."""
    input:
        checkpoint,
        method_code,
        index=OUT / "index/{dataset}.csv",
        code=sources("qualiclip.bench.runner"),
    output:
        scores=OUT / "scores/{method}/{dataset}.csv",
        provenance=OUT / "scores/{method}/{dataset}.csv.provenance.json",
    log:
        LOGS + "/score/{method}/{dataset}.log",
    benchmark:
        BENCH + "/score/{method}/{dataset}.tsv"
    resources:
        gpu=GPU,
        device=DEVICE,
        mem_mb=8000,
    params:
        cards="baselines/{method}.yaml datasets/{dataset}.yaml",
        checkpoint=checkpoint_argument,
        digest=score_digest,
        raw=RAW,
    shell:
        "python -m qualiclip.bench.runner {params.cards} --index {input.index} --raw {params.raw} {params.checkpoint}"
        " --device {resources.device} --threads {threads} --out {output.scores} 2>&1 | tee {log}"


photos = space.all_datasets[space.config.photos]


rule intensity:
    """Score undistorted photos, degraded on the fly at growing intensity."""
    input:
        checkpoint,
        method_code,
        index=space.index(photos),
        code=sources("qualiclip.bench.intensity"),
    output:
        scores=OUT / "intensity/{method}.csv",
        provenance=OUT / "intensity/{method}.csv.provenance.json",
    log:
        LOGS + "/intensity/{method}.log",
    benchmark:
        BENCH + "/intensity/{method}.tsv"
    resources:
        gpu=GPU,
        device=DEVICE,
        mem_mb=8000,
    params:
        cards=f"baselines/{{method}}.yaml datasets/{photos.name}.yaml",
        n_photos=space.config.photo_count,
        checkpoint=checkpoint_argument,
        digest=method_digest,
        raw=RAW,
    shell:
        "python -m qualiclip.bench.intensity {params.cards} --index {input.index} --raw {params.raw} --count {params.n_photos}"
        " {params.checkpoint} --device {resources.device} --threads {threads} --out {output.scores} 2>&1 | tee {log}"
