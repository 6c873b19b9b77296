# Figures, from score files and from what was measured on photos.


def figure_card(wildcards):
    return workspace.all_figures[wildcards.figure].path


def figure_inputs(wildcards):
    return figure_kinds.inputs(workspace.all_figures[wildcards.figure], workspace)


def figure_code(wildcards):
    """The drawing job, and the module of the figure's kind."""
    return [*sources("qualiclip.bench.figures.draw"), *sources(FIGURE_MODULES[wildcards.figure])]


def figure_digest(wildcards):
    return figure_kinds.words_digest(workspace.all_figures[wildcards.figure], workspace)


rule figure:
    """Draw one figure as PNG and as PDF in two widths, with its numbers as CSV."""
    input:
        figure_inputs,
        code=figure_code,
    output:
        png=paths.figure("{figure}"),
        column=paths.figure_column("{figure}"),
        others=[paths.figure("{figure}").with_suffix(s) for s in (".pdf", ".tex", ".csv")],
        provenance=sidecar(paths.figure("{figure}")),
    log:
        paths.log("figures/{figure}"),
    localrule: True
    resources:
        mem_mb=1000,
    params:
        card=figure_card,
        config=config_args,
        digest=figure_digest,
    shell:
        "{PYTHON} -m qualiclip.bench.figures.draw {params.card:q} --config {params.config} --out {output.png:q}"
        " 2>&1 | tee {log:q}"


for _figure in workspace.figures():

    rule:
        name:
            f"figure_{_figure.name}"
        input:
            paths.figure(_figure.name),
