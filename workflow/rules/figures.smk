# Figures, from score files.


rule views:
    """Grad-CAM and features of one model on photos."""
    input:
        checkpoint,
        method_code,
        index=space.index(photos),
        code=sources("qualiclip.bench.views"),
    output:
        views=OUT / "views/{method}.npz",
        provenance=OUT / "views/{method}.npz.provenance.json",
    log:
        LOGS / "views/{method}.log",
    benchmark:
        BENCH / "views/{method}.tsv"
    resources:
        gpu=card_gpu,
        device=DEVICE,
        mem_mb=memory,
    params:
        cards=f"baselines/{{method}}.yaml datasets/{photos.name}.yaml",
        n_photos=space.config.photo_count,
        checkpoint=checkpoint_argument,
        digest=score_digest,
        raw=RAW,
    shell:
        "python -m qualiclip.bench.views {params.cards} --index {input.index} --raw {params.raw} --count {params.n_photos}"
        " {params.checkpoint} --device {resources.device} --threads {threads} --out {output.views} 2>&1 | tee {log}"


rule figure:
    """Draw one figure as PNG and PDF, with its numbers as CSV."""
    input:
        figure_input,
        code=sources("qualiclip.bench.figures"),
    output:
        png=OUT / "figures/{figure}.png",
        pdf=OUT / "figures/{figure}.pdf",
        csv=OUT / "figures/{figure}.csv",
        provenance=OUT / "figures/{figure}.png.provenance.json",
    log:
        LOGS / "figures/{figure}.log",
    benchmark:
        BENCH / "figures/{figure}.tsv"
    localrule: True
    resources:
        mem_mb=1000,
    params:
        card="workflow/figures/{figure}.yaml",
        said=SAID,
        digest=figure_digest,
    shell:
        "python -m qualiclip.bench.figures {params.card} --config {params.said} --out {output.png} 2>&1 | tee {log}"


for _figure in space.figures():

    rule:
        name:
            f"figure_{_figure.name}"
        input:
            space.figure(_figure),
