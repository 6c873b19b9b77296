# Figures, from score files.


def figure_input(wildcards):
    return space.figure_inputs(space.all_figures[wildcards.figure])


def figure_digest(wildcards):
    return space.figure_digest(space.all_figures[wildcards.figure])


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
        LOGS + "/figures/{figure}.log",
    benchmark:
        BENCH + "/figures/{figure}.tsv"
    resources:
        mem_mb=1000,
    params:
        card="workflow/figures/{figure}.yaml",
        said=SAID,
        digest=figure_digest,
    shell:
        "python -m qualiclip.bench.figures {params.card} --config {params.said} --out {output.png} 2>&1 | tee {log}"


for _figure in space.all_figures.values():

    rule:
        name:
            f"figure_{_figure.name}"
        input:
            space.figure(_figure),
