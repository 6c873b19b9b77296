# Training: one job a variant.

pristine = space.all_datasets[space.config.pristine]


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
        LOGS / "train/{variant}.log",
    benchmark:
        BENCH / "train/{variant}.tsv"
    priority: 1  # the longest jobs, on which most others wait
    threads: train_threads
    resources:
        gpu=GPU,
        device=DEVICE,
        mirror=MIRROR,
        said=SAID,  # of which a variant's training is told by its digest alone: another `datasets` trains nothing
        mem_mb=memory,
    params:
        digest=train_digest,
    shell:
        "python -m qualiclip.train {wildcards.variant} --config {resources.said} device={resources.device} {resources.mirror}"
        " --threads {threads} --out {output.weights} 2>&1 | tee {log}"
