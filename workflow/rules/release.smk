# What leaves a run: one archive of its scores, and a static site.

from qualiclip.bench.provenance import revision
from qualiclip.bench.release.pack import members

SITE = paths.site(f"{workspace.config.scale}-{revision()}")


rule release:
    """Pack what tables, figures and the page are made from into one archive, without images."""
    input:
        members(workspace),
        code=sources("qualiclip.bench.release.pack"),
    output:
        paths.release,
    log:
        paths.log("release"),
    localrule: True
    resources:
        mem_mb=500,
    params:
        config=config_args,
        digest=digest([(d.name, d.version, d.labels_travel) for d in workspace.datasets()]),
    shell:
        "{PYTHON} -m qualiclip.bench.release.pack --config {params.config} --out {output:q} 2>&1 | tee {log:q}"


rule site:
    """Copy page, tables, figures and release into a static folder, beside those of other runs."""
    input:
        paths.report,
        paths.results,
        paths.release,
        [paths.table(t.name) for t in workspace.tables()],
        [paths.figure(f.name) for f in workspace.figures()],
        code=sources("qualiclip.bench.release.site"),
        template="qualiclip/bench/release/site.html.jinja",
    output:
        record=SITE / "run.json",
        contents=SITE.parent / "index.html",
    log:
        paths.log("site"),
    localrule: True
    resources:
        mem_mb=500,
    params:
        config=config_args,
    shell:
        "{PYTHON} -m qualiclip.bench.release.site --config {params.config} --out {output.record:q} 2>&1 | tee {log:q}"
