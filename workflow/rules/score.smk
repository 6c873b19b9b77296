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
    elif space.config.shard and wildcards.dataset not in space.config.labels_only:
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
    return workflow.cores or 1 if size(wildcards) >= 1000 and not shards(wildcards) else 1


def methods_where(wanted):
    """Wildcard constraint: names of the method cards that `wanted` holds for; none matches nothing."""
    return "|".join(re.escape(m.name) for m in space.all_methods.values() if wanted(m)) or "(?!)"


def is_published(card):
    return bool(card.scores)


def has_fit(card):
    return card.fit


def is_run_here(card):
    return not (card.scores or card.rule or card.features)


def is_trained_within(card):
    return bool(card.features)


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


rule score:
    """Score every indexed image with one method, or merge the shards in which that was done."""
    input:
        checkpoint,
        method_code,
        fitted,
        shards=shards,
        shard_records=shard_records,
        index=OUT / "index/{dataset}.csv",
        code=sources("qualiclip.bench.runner"),
    output:
        scores=OUT / "scores/{method}/{dataset}.csv",
        provenance=OUT / "scores/{method}/{dataset}.csv.provenance.json",
    log:
        LOGS + "/score/{method}/{dataset}.log",
    benchmark:
        BENCH + "/score/{method}/{dataset}.tsv"
    wildcard_constraints:
        method=methods_where(is_run_here),
    threads: score_threads
    resources:
        gpu=score_gpu,
        device=DEVICE,
        mirror=MIRROR,
        mem_mb=memory,
    params:
        cards="baselines/{method}.yaml datasets/{dataset}.yaml",
        checkpoint=checkpoint_argument,
        fitted=fitted_argument,
        found=found,
        digest=score_digest,
        resize=resize_digest,
        raw=RAW,
        share=merged,
    shell:
        "python -m qualiclip.bench.runner {params.cards} --index {input.index} --raw {params.raw} {params.checkpoint}"
        " {params.fitted} {resources.mirror} --found {params.found} --device {resources.device} --threads {threads}"
        " {params.share} --out {output.scores} 2>&1 | tee {log}"


use rule score as score_shard with:
    input:
        checkpoint,
        method_code,
        fitted,
        index=OUT / "index/{dataset}.csv",
        code=sources("qualiclip.bench.runner"),
    output:
        scores=temp(OUT / "scores/{method}/{dataset}.shards/{k}-of-{n}.csv"),
        provenance=temp(OUT / "scores/{method}/{dataset}.shards/{k}-of-{n}.csv.provenance.json"),
    log:
        LOGS + "/score/{method}/{dataset}.{k}-of-{n}.log",
    benchmark:
        BENCH + "/score/{method}/{dataset}.{k}-of-{n}.tsv"
    wildcard_constraints:
        method=methods_where(is_run_here),
        k=r"\d+",
        n=r"\d+",
    threads: workflow.cores or 1
    resources:
        gpu=card_gpu,
        device=DEVICE,
        mirror=MIRROR,
        mem_mb=memory,
    params:
        cards="baselines/{method}.yaml datasets/{dataset}.yaml",
        checkpoint=checkpoint_argument,
        fitted=fitted_argument,
        found=found,
        digest=score_digest,
        resize=resize_digest,
        raw=RAW,
        share="--shard {k}/{n}",


rule published:
    """Bring published per-image scores into a score file."""
    input:
        own_scores,
        index=OUT / "index/{dataset}.csv",
        code=sources("qualiclip.bench.published"),
    output:
        scores=OUT / "scores/{method}/{dataset}.csv",
        provenance=OUT / "scores/{method}/{dataset}.csv.provenance.json",
    log:
        LOGS + "/published/{method}/{dataset}.log",
    benchmark:
        BENCH + "/published/{method}/{dataset}.tsv"
    wildcard_constraints:
        method=methods_where(is_published),
    localrule: True
    resources:
        mirror=MIRROR,
        network=1,
        mem_mb=500,
    params:
        cards="baselines/{method}.yaml datasets/{dataset}.yaml",
        found=found,
        digest=score_digest,
    shell:
        "python -m qualiclip.bench.published {params.cards} --index {input.index} {resources.mirror} --found {params.found}"
        " --out {output.scores} 2>&1 | tee {log}"


fit_set = space.all_datasets[space.config.fit or space.config.pristine]


rule fit:
    """Fit a method's model to pristine photos."""
    input:
        checkpoint,
        method_code,
        index=space.index(fit_set),
        code=sources("qualiclip.bench.fit"),
    output:
        OUT / "fitted/{method}",
        OUT / "fitted/{method}.provenance.json",
    log:
        LOGS + "/fit/{method}.log",
    benchmark:
        BENCH + "/fit/{method}.tsv"
    wildcard_constraints:
        method=methods_where(has_fit),
    resources:
        gpu=card_gpu,
        device=DEVICE,
        mirror=MIRROR,
        mem_mb=memory,
    params:
        cards=f"baselines/{{method}}.yaml datasets/{fit_set.name}.yaml",
        checkpoint=checkpoint_argument,
        found=found,
        digest=score_digest,
        raw=RAW,
    shell:
        "python -m qualiclip.bench.fit {params.cards} --index {input.index} --raw {params.raw} {params.checkpoint}"
        " {resources.mirror} --found {params.found} --device {resources.device}"
        " --out {output[0]} 2>&1 | tee {log}"


rule features:
    """Compute an encoder's features of every indexed image, once for all methods that are trained on them."""
    input:
        checkpoint,
        index=OUT / "index/{dataset}.csv",
        code=sources("qualiclip.bench.features"),
    output:
        features=OUT / "features/{method}/{dataset}.npz",
        provenance=OUT / "features/{method}/{dataset}.npz.provenance.json",
    log:
        LOGS + "/features/{method}/{dataset}.log",
    benchmark:
        BENCH + "/features/{method}/{dataset}.tsv"
    wildcard_constraints:
        method=methods_where(is_encoder),
    threads: score_threads
    resources:
        gpu=GPU,
        device=DEVICE,
        mem_mb=8000,
    params:
        cards="baselines/{method}.yaml datasets/{dataset}.yaml",
        checkpoint=checkpoint_argument,
        digest=score_digest,
        resize=resize_digest,
        raw=RAW,
    shell:
        "python -m qualiclip.bench.features {params.cards} --index {input.index} --raw {params.raw} {params.checkpoint}"
        " --device {resources.device} --threads {threads} --out {output.features} 2>&1 | tee {log}"


rule within:
    """Train a method on the train part of each split, and score the test part."""
    input:
        checkpoint,
        method_code,
        features=features_of_encoder,
        index=OUT / "index/{dataset}.csv",
        code=sources("qualiclip.bench.within"),
    output:
        scores=OUT / "scores/{method}/{dataset}.csv",
        provenance=OUT / "scores/{method}/{dataset}.csv.provenance.json",
        learned=OUT / "learned/{method}/{dataset}.safetensors",
    log:
        LOGS + "/within/{method}/{dataset}.log",
    benchmark:
        BENCH + "/within/{method}/{dataset}.tsv"
    wildcard_constraints:
        method=methods_where(is_trained_within),
    threads: score_threads
    resources:
        gpu=GPU,
        device=DEVICE,
        mem_mb=8000,
    params:
        cards="baselines/{method}.yaml datasets/{dataset}.yaml",
        checkpoint=checkpoint_argument,
        digest=score_digest,
        labels=labels_digest,
    shell:
        "python -m qualiclip.bench.within {params.cards} --index {input.index} --features {input.features}"
        " {params.checkpoint} --device {resources.device} --learned {output.learned} --out {output.scores}"
        " 2>&1 | tee {log}"


# A method with a rule of one's own: <name>.smk beside its card.
for _method in space.all_methods.values():
    if _method.rule:

        include: str(_method.sibling(f"{_method.name}.smk").resolve())


photos = space.all_datasets[space.config.photos]


rule intensity:
    """Score undistorted photos, degraded on the fly at growing intensity."""
    input:
        checkpoint,
        method_code,
        fitted,
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
        gpu=card_gpu,
        device=DEVICE,
        mirror=MIRROR,
        mem_mb=memory,
    params:
        cards=f"baselines/{{method}}.yaml datasets/{photos.name}.yaml",
        n_photos=space.config.photo_count,
        checkpoint=checkpoint_argument,
        fitted=fitted_argument,
        digest=score_digest,
        raw=RAW,
    shell:
        "python -m qualiclip.bench.intensity {params.cards} --index {input.index} --raw {params.raw} --count {params.n_photos}"
        " {params.checkpoint} {params.fitted} {resources.mirror} --device {resources.device} --threads {threads}"
        " --out {output.scores} 2>&1 | tee {log}"
