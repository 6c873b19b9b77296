# What is measured on photos rather than scored on datasets: degradations, intensity and size curves, explanations, cost.

photos = workspace.figure_set


rule degradation_changes:
    """Degrade photos by every type and level, and measure the change."""
    input:
        index=paths.index(photos.name),
        code=sources("qualiclip.bench.measure.degradations"),
    output:
        images=paths.degradations(photos.name),
        csv=paths.degradations(photos.name).with_suffix(".csv"),
        provenance=sidecar(paths.degradations(photos.name)),
    log:
        paths.log("degradation_changes"),
    resources:
        mem_mb=4000,
    params:
        card=photos.path,
        n_photos=min(workspace.config.figure_photos, 100),
        raw=paths.raw,
    shell:
        "{PYTHON} -m qualiclip.bench.measure.degradations {params.card:q} --index {input.index:q} --raw {params.raw:q}"
        " --count {params.n_photos} --threads {threads} --out {output.images:q} 2>&1 | tee {log:q}"


for measured in ("intensity", "sizes"):  # each is a module of qualiclip.bench.measure

    rule:
        """Score undistorted photos: degraded on the fly at growing intensity, or whole at smaller sizes."""
        name:
            measured
        input:
            checkpoint,
            method_code,
            fitted,
            index=paths.index(photos.name),
            code=sources(f"qualiclip.bench.measure.{measured}"),
        output:
            scores=getattr(paths, measured)("{method}"),
            provenance=sidecar(getattr(paths, measured)("{method}")),
        log:
            paths.log(measured + "/{method}"),
        resources:
            gpu=method_gpu,
            device=DEVICE,
            mirror=MIRROR_ARG,
            mem_mb=memory,
        params:
            method=method_card,
            dataset=photos.path,
            n_photos=workspace.config.figure_photos,
            checkpoint=checkpoint_arg,
            fitted=fitted_arg,
            trust=trust_arg,
            mirrored=mirrored_weights(getattr(paths, measured)),
            digest=score_digest,
            raw=paths.raw,
        shell:
            "{PYTHON} -m qualiclip.bench.measure.{rule} {params.method:q} {params.dataset:q} --index {input.index:q}"
            " --raw {params.raw:q} --count {params.n_photos} {params.checkpoint} {params.fitted} {params.trust}"
            " {resources.mirror} --mirrored {params.mirrored:q} --device {resources.device} --threads {threads}"
            " --out {output.scores:q} 2>&1 | tee {log:q}"


rule explain:
    """Grad-CAM and features of one model on photos."""
    input:
        checkpoint,
        method_code,
        index=paths.index(photos.name),
        code=sources("qualiclip.bench.measure.explain"),
    output:
        explain=paths.explain("{method}"),
        provenance=sidecar(paths.explain("{method}")),
    log:
        paths.log("explain/{method}"),
    resources:
        gpu=method_gpu,
        device=DEVICE,
        mem_mb=memory,
    params:
        method=method_card,
        dataset=photos.path,
        n_photos=workspace.config.figure_photos,
        checkpoint=checkpoint_arg,
        digest=score_digest,
        raw=paths.raw,
    shell:
        "{PYTHON} -m qualiclip.bench.measure.explain {params.method:q} {params.dataset:q} --index {input.index:q}"
        " --raw {params.raw:q} --count {params.n_photos} {params.checkpoint} --device {resources.device}"
        " --threads {threads} --out {output.explain:q} 2>&1 | tee {log:q}"


rule efficiency:
    """Measure what one method costs, with the machine to itself."""
    input:
        checkpoint,
        method_code,
        fitted,
        code=sources("qualiclip.bench.measure.efficiency"),
    output:
        cost=paths.efficiency("{method}"),
        provenance=sidecar(paths.efficiency("{method}")),
    log:
        paths.log("efficiency/{method}"),
    threads: all_cores
    resources:
        gpu=method_gpu,
        device=DEVICE,
        mirror=MIRROR_ARG,
        mem_mb=memory,
    params:
        method=method_card,
        checkpoint=checkpoint_arg,
        fitted=fitted_arg,
        trust=trust_arg,
        mirrored=mirrored_weights(paths.efficiency),
        size=workspace.config.efficiency_size,
        digest=score_digest,
    shell:
        "{PYTHON} -m qualiclip.bench.measure.efficiency {params.method:q} --size {params.size} {params.checkpoint}"
        " {params.fitted} {params.trust} {resources.mirror} --mirrored {params.mirrored:q} --device {resources.device}"
        " --threads {threads} --out {output.cost:q} 2>&1 | tee {log:q}"


rule released_weights:
    """Compare the released weights with what they began with."""
    input:
        code=sources("qualiclip.bench.measure.released"),
    output:
        facts=paths.released_weights,
        provenance=sidecar(paths.released_weights),
    log:
        paths.log("released_weights"),
    resources:
        mirror=MIRROR_ARG,
        network=1,
        mem_mb=memory,
    shell:
        "{PYTHON} -m qualiclip.bench.measure.released {resources.mirror} --out {output.facts:q} 2>&1 | tee {log:q}"
