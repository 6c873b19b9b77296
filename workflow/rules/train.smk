# Training: one job per variant.

training_set = workspace.training_set


def train_threads(wildcards):
    """All cores feed a GPU. Without one, variants are trained side by side: a second core helps a small encoder little."""
    long = [v for v in workspace.variants() if workspace.config.variant(v).steps != 0]
    return workflow.cores if GPU else max(1, workflow.cores // max(1, len(long)))


def train_json(wildcards):
    """The keys of the variant's TrainConfig that differ from the default: only they trigger a new training."""
    variant = workspace.config.variant(wildcards.variant)
    return shlex.quote(json.dumps(variant.model_dump(mode="json", exclude_defaults=True)))


# With several GPUs torchrun starts a process for each of them; what they compute together is the same.
GPUS = workspace.config.gpus_per_training if GPU else 1
TORCHRUN = f"-m torch.distributed.run --standalone --nproc-per-node {GPUS}" if GPUS > 1 else ""


rule train:
    """Train one variant on the training set; a killed run resumes from its last checkpoint."""
    input:
        index=paths.index(training_set.name),
        code=sources("qualiclip.bench.train"),
    output:
        weights=paths.weights("{variant}"),
        provenance=sidecar(paths.weights("{variant}")),
        record=paths.train_record("{variant}"),
    log:
        paths.log("train/{variant}"),
    priority: 1  # the longest jobs, which most others wait for
    threads: train_threads
    resources:
        gpu=GPU * GPUS,
        device=DEVICE,
        mirror=MIRROR_ARG,
        torchrun=TORCHRUN,
        mem_mb=memory,
    params:
        card=training_set.path,
        raw=paths.raw,
        train=train_json,
    shell:
        "{PYTHON} {resources.torchrun} -m qualiclip.bench.train {params.card:q} --index {input.index:q}"
        " --raw {params.raw:q} --train {params.train} {resources.mirror} --device {resources.device}"
        " --threads {threads} --out {output.weights:q} 2>&1 | tee {log:q}"
