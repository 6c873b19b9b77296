# The page that shows it all.


rule report:
    """Build the self-contained report."""
    input:
        [space.table(t) for t in space.all_tables.values()],
        [space.figure(f) for f in space.figures()],
        [space.metrics(m, d) for m, d in space.scored()],
        code=sources("qualiclip.bench.report"),
        template="qualiclip/bench/report.html.jinja",
    output:
        space.report,
    log:
        LOGS / "report.log",
    benchmark:
        BENCH / "report.tsv"
    localrule: True
    resources:
        mem_mb=1000,
    params:
        said=SAID,
        digest=digest([m.model_dump() for m in space.methods()]),
    shell:
        "python -m qualiclip.bench.report --config {params.said} --out {output} 2>&1 | tee {log}"
