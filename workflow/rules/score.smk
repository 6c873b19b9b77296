# Scores: the only expensive result, one file per method and dataset.


def is_encoder(card):
    """Whether other methods are trained on its features."""
    return any(m.features_of == card.name for m in workspace.all_methods.values())


SCORED_HERE = methods_where(lambda m: m.scores_alone)
WITH_IMAGES = one_of(d for d in workspace.all_datasets if d not in workspace.config.labels_only)

# Two constraints on {method} look ahead to the {dataset} that follows it in a path, since they concern pairs.
SHARDED = "|".join(f"{re.escape(m)}(?=/{re.escape(d)}[.])" for m, d in workspace.sharded_pairs()) or "(?!)"
NOT_SHARDED = f"(?!(?:{SHARDED}))(?:{SCORED_HERE})"


def resize_digest(wildcards):
    return digest(dataset_of(wildcards).resize)


def score_threads(wildcards):
    """All cores for a large set; small ones run side by side."""
    return workflow.cores if (dataset_of(wildcards).images.count or 0) >= 1000 else 1


rule score:
    """Score every indexed image with one method."""
    input:
        checkpoint,
        method_code,
        fitted,
        index=paths.index("{dataset}"),
        code=sources("qualiclip.bench.score.run"),
    output:
        scores=paths.scores("{method}", "{dataset}"),
        provenance=sidecar(paths.scores("{method}", "{dataset}")),
    log:
        paths.log("score/{method}/{dataset}"),
    wildcard_constraints:
        method=NOT_SHARDED,
        dataset=WITH_IMAGES,
    threads: score_threads
    resources:
        gpu=method_gpu,
        device=DEVICE,
        mirror=MIRROR_ARG,
        mem_mb=memory,
    params:
        method=method_card,
        dataset=dataset_card,
        checkpoint=checkpoint_arg,
        fitted=fitted_arg,
        trust=trust_arg,
        mirrored=mirrored_files,
        digest=score_digest,
        resize=resize_digest,
        raw=paths.raw,
        shard="",
    shell:
        "{PYTHON} -m qualiclip.bench.score.run {params.method:q} {params.dataset:q} --index {input.index:q}"
        " --raw {params.raw:q} {params.checkpoint} {params.fitted} {params.trust} {resources.mirror}"
        " --mirrored {params.mirrored:q} --device {resources.device} --threads {threads}"
        " {params.shard} --out {output.scores:q} 2>&1 | tee {log:q}"


use rule score as score_shard with:
    output:
        scores=temp(paths.score_shard("{method}", "{dataset}", "{k}", "{n}")),
        provenance=temp(sidecar(paths.score_shard("{method}", "{dataset}", "{k}", "{n}"))),
    log:
        paths.log("score/{method}/{dataset}.{k}-of-{n}"),
    wildcard_constraints:
        method=SCORED_HERE,
        dataset=WITH_IMAGES,
        k=r"\d+",
        n=r"\d+",
    threads: all_cores
    params:
        method=method_card,
        dataset=dataset_card,
        checkpoint=checkpoint_arg,
        fitted=fitted_arg,
        trust=trust_arg,
        mirrored=mirrored_files,
        digest=score_digest,
        resize=resize_digest,
        raw=paths.raw,
        shard="--shard {k}/{n}",


def shards(wildcards):
    return workspace.shards(wildcards.method, wildcards.dataset)


def shard_records(wildcards):
    return [sidecar(f) for f in shards(wildcards)]


rule merge_shards:
    """Merge the shards of a large set into its score file."""
    input:
        shard_records,
        shards=shards,
        index=paths.index("{dataset}"),
        code=sources("qualiclip.bench.score.shards"),
    output:
        scores=paths.scores("{method}", "{dataset}"),
        provenance=sidecar(paths.scores("{method}", "{dataset}")),
    log:
        paths.log("merge_shards/{method}/{dataset}"),
    wildcard_constraints:
        method=SHARDED,
        dataset=WITH_IMAGES,
    localrule: True
    resources:
        mem_mb=500,
    params:
        method=method_card,
        dataset=dataset_card,
        mirrored=mirrored_files,
    shell:
        "{PYTHON} -m qualiclip.bench.score.shards {params.method:q} {params.dataset:q} --index {input.index:q}"
        " --shards {input.shards:q} --mirrored {params.mirrored:q} --out {output.scores:q} 2>&1 | tee {log:q}"


# Of some sets only the labels are here. All methods that would have to see their images are refused in one job, which
# needs no checkpoint, fit or weights, so that a table of precomputed scores trains nothing.
for _name in workspace.config.labels_only:
    _refused = {m.name: m.path for m in workspace.all_methods.values() if m.sees_images}

    rule:
        name:
            f"score_refused_{_name}"
        input:
            index=paths.index(_name),
            code=sources("qualiclip.bench.score.refused"),
        output:
            [paths.scores(m, _name) for m in _refused],
            [sidecar(paths.scores(m, _name)) for m in _refused],
            [paths.metrics(m, _name) for m in _refused],
        log:
            paths.log(f"score_refused/{_name}"),
        localrule: True
        resources:
            mem_mb=500,
        params:
            card=workspace.all_datasets[_name].path,
            root=paths.root,
            methods=list(_refused),
            cards=list(_refused.values()),
        shell:
            "{PYTHON} -m qualiclip.bench.score.refused {params.card:q} --index {input.index:q} --root {params.root:q}"
            " --methods {params.methods:q} --cards {params.cards:q} 2>&1 | tee {log:q}"


rule fit:
    """Fit a method's model to pristine photos."""
    input:
        checkpoint,
        method_code,
        index=paths.index(workspace.fit_set.name),
        code=sources("qualiclip.bench.methods.fit"),
    output:
        model=paths.fitted("{method}"),
        provenance=sidecar(paths.fitted("{method}")),
    log:
        paths.log("fit/{method}"),
    wildcard_constraints:
        method=methods_where(lambda m: m.fit),
    resources:
        gpu=method_gpu,
        device=DEVICE,
        mirror=MIRROR_ARG,
        mem_mb=memory,
    params:
        method=method_card,
        dataset=workspace.fit_set.path,
        checkpoint=checkpoint_arg,
        trust=trust_arg,
        mirrored=mirrored_files,
        digest=score_digest,
        raw=paths.raw,
    shell:
        "{PYTHON} -m qualiclip.bench.methods.fit {params.method:q} {params.dataset:q} --index {input.index:q}"
        " --raw {params.raw:q} {params.checkpoint} {params.trust} {resources.mirror}"
        " --mirrored {params.mirrored:q} --device {resources.device} --out {output.model:q} 2>&1 | tee {log:q}"


rule features:
    """Compute an encoder's features of every indexed image, once for all methods that are trained on them."""
    input:
        checkpoint,
        index=paths.index("{dataset}"),
        code=sources("qualiclip.bench.score.features"),
    output:
        features=paths.features("{method}", "{dataset}"),
        provenance=sidecar(paths.features("{method}", "{dataset}")),
    log:
        paths.log("features/{method}/{dataset}"),
    wildcard_constraints:
        method=methods_where(is_encoder),
    threads: score_threads
    resources:
        gpu=method_gpu,
        device=DEVICE,
        mem_mb=memory,
    params:
        method=method_card,
        dataset=dataset_card,
        checkpoint=checkpoint_arg,
        digest=score_digest,
        resize=resize_digest,
        raw=paths.raw,
    shell:
        "{PYTHON} -m qualiclip.bench.score.features {params.method:q} {params.dataset:q} --index {input.index:q}"
        " --raw {params.raw:q} {params.checkpoint} --device {resources.device} --threads {threads}"
        " --out {output.features:q} 2>&1 | tee {log:q}"


def features_of_encoder(wildcards):
    return paths.features(method_of(wildcards).features_of, wildcards.dataset)


def labels_digest(wildcards):
    """The part of the dataset's card that decides what a method learns from the labels."""
    labels = dataset_of(wildcards).labels
    return digest(labels and [labels.higher_better, labels.range])


rule score_per_split:
    """Train a method on the train part of each split, and score the test part."""
    input:
        checkpoint,
        method_code,
        features=features_of_encoder,
        index=paths.index("{dataset}"),
        code=sources("qualiclip.bench.score.per_split"),
    output:
        scores=paths.scores("{method}", "{dataset}"),
        provenance=sidecar(paths.scores("{method}", "{dataset}")),
        learned=paths.learned("{method}", "{dataset}"),
    log:
        paths.log("score_per_split/{method}/{dataset}"),
    wildcard_constraints:
        method=methods_where(lambda m: bool(m.features_of)),
        dataset=WITH_IMAGES,
    threads: score_threads
    resources:
        gpu=method_gpu,
        device=DEVICE,
        mirror=MIRROR_ARG,
        mem_mb=memory,
    params:
        method=method_card,
        dataset=dataset_card,
        checkpoint=checkpoint_arg,
        digest=score_digest,
        labels=labels_digest,
    shell:
        "{PYTHON} -m qualiclip.bench.score.per_split {params.method:q} {params.dataset:q} --index {input.index:q}"
        " --features {input.features:q} {params.checkpoint} {resources.mirror} --device {resources.device}"
        " --learned {output.learned:q} --out {output.scores:q} 2>&1 | tee {log:q}"


# Methods with a rule of their own: <name>.smk beside the card.
for _method in workspace.all_methods.values():
    if _method.rule:

        include: str(_method.sibling(f"{_method.name}.smk").resolve())
