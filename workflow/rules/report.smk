# The page that shows it all.


rule report:
    """Build the self-contained report, and the LaTeX file that includes all tables."""
    input:
        paths.results,
        [paths.table(t.name) for t in workspace.tables()],
        [paths.figure(f.name) for f in workspace.figures()],
        [paths.metrics(m.name, d.name) for m, d in workspace.scored()],
        code=sources("qualiclip.bench.report.page"),
        template=[f"qualiclip/bench/report/report.{s}" for s in ("html.jinja", "css", "js")],
    output:
        page=paths.report,
        latex=paths.latex_index,
    log:
        paths.log("report"),
    localrule: True
    resources:
        mem_mb=1000,
    params:
        config=config_args,
        digest=digest([m.model_dump() for m in workspace.methods()]),
    shell:
        "{PYTHON} -m qualiclip.bench.report.page --config {params.config} --out {output.page:q} 2>&1 | tee {log:q}"
