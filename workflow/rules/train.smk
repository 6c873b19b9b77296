# Training: one job a variant.

pristine = space.all_datasets[space.config.pristine]


def train_threads(wildcards):
    """All cores feed a GPU. Without one, variants train side by side: a small encoder gains little from a second core."""
    long = [v for v in space.trained() if space.config.variant(v).steps != 0]
    cores = workflow.cores or 1
    return cores if GPU else max(1, cores // max(1, len(long)))


def train_digest(wildcards):
    return digest(space.config.variant(wildcards.variant).model_dump())


rule train:
    """Train one variant on the pristine set; a killed run goes on from its last checkpoint."""
    input:
        index=space.index(pristine),
        code=sources("qualiclip.train"),
    output:
        weights=OUT / "checkpoints/{variant}/weights.safetensors",
        provenance=OUT / "checkpoints/{variant}/weights.safetensors.provenance.json",
        record=OUT / "checkpoints/{variant}/train.json",
    log:
        LOGS + "/train/{variant}.log",
    benchmark:
        BENCH + "/train/{variant}.tsv"
    threads: train_threads
    resources:
        gpu=GPU,
        device=DEVICE,
        mirror=MIRROR,
        mem_mb=memory,
    params:
        said=SAID,
        digest=train_digest,
    shell:
        "python -m qualiclip.train {wildcards.variant} --config {params.said} device={resources.device} {resources.mirror}"
        " --threads {threads} --out {output.weights} 2>&1 | tee {log}"
