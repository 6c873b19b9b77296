# Scores: the only expensive result, one file a method and dataset.


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
        LOGS / "score/{method}/{dataset}.log",
    benchmark:
        BENCH / "score/{method}/{dataset}.tsv"
    wildcard_constraints:
        method=methods_where(is_run_here),
        dataset=WITH_IMAGES,
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
        LOGS / "score/{method}/{dataset}.{k}-of-{n}.log",
    benchmark:
        BENCH / "score/{method}/{dataset}.{k}-of-{n}.tsv"
    wildcard_constraints:
        method=methods_where(is_run_here),
        k=r"\d+",
        n=r"\d+",
    threads: all_cores
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
        LOGS / "published/{method}/{dataset}.log",
    benchmark:
        BENCH / "published/{method}/{dataset}.tsv"
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


# A method that would have to see images, on a set of which only the labels are here: rows that say `not run`. No
# checkpoint, fit or weights are asked for, so that a table of published scores trains nothing.
use rule published as unseen with:
    wildcard_constraints:
        method=methods_where(sees_images),
        dataset=LABELS_ALONE,


fit_set = space.all_datasets[space.config.fit or space.config.pristine]


rule fit:
    """Fit a method's model to pristine photos."""
    input:
        checkpoint,
        method_code,
        index=space.index(fit_set),
        code=sources("qualiclip.bench.fit"),
    output:
        model=OUT / "fitted/{method}",
        provenance=OUT / "fitted/{method}.provenance.json",
    log:
        LOGS / "fit/{method}.log",
    benchmark:
        BENCH / "fit/{method}.tsv"
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
        " --out {output.model} 2>&1 | tee {log}"


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
        LOGS / "features/{method}/{dataset}.log",
    benchmark:
        BENCH / "features/{method}/{dataset}.tsv"
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
        LOGS / "within/{method}/{dataset}.log",
    benchmark:
        BENCH / "within/{method}/{dataset}.tsv"
    wildcard_constraints:
        method=methods_where(is_trained_within),
        dataset=WITH_IMAGES,
    threads: score_threads
    resources:
        gpu=GPU,
        device=DEVICE,
        mirror=MIRROR,
        mem_mb=8000,
    params:
        cards="baselines/{method}.yaml datasets/{dataset}.yaml",
        checkpoint=checkpoint_argument,
        digest=score_digest,
        labels=labels_digest,
    shell:
        "python -m qualiclip.bench.within {params.cards} --index {input.index} --features {input.features}"
        " {params.checkpoint} {resources.mirror} --device {resources.device} --learned {output.learned} --out {output.scores}"
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
        LOGS / "intensity/{method}.log",
    benchmark:
        BENCH / "intensity/{method}.tsv"
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
