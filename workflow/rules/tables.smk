# Tables, from metrics and indexes.


rule degraded:
    """Degrade photos by every type and level, and measure the change."""
    input:
        index=space.index(photos),
        code=sources("qualiclip.bench.degraded"),
    output:
        images=space.degraded,
        csv=space.degraded.with_suffix(".csv"),
        provenance=f"{space.degraded}.provenance.json",
    log:
        LOGS / "degraded.log",
    benchmark:
        BENCH / "degraded.tsv"
    resources:
        mem_mb=4000,
    params:
        card=f"datasets/{photos.name}.yaml",
        n_photos=min(space.config.photo_count, 100),
        raw=RAW,
    shell:
        "python -m qualiclip.bench.degraded {params.card} --index {input.index} --raw {params.raw}"
        " --count {params.n_photos} --threads {threads} --out {output.images} 2>&1 | tee {log}"


rule efficiency:
    """Measure what one method costs, with the machine to itself."""
    input:
        checkpoint,
        method_code,
        fitted,
        code=sources("qualiclip.bench.efficiency"),
    output:
        cost=OUT / "efficiency/{method}.json",
        provenance=OUT / "efficiency/{method}.json.provenance.json",
    log:
        LOGS / "efficiency/{method}.log",
    benchmark:
        BENCH / "efficiency/{method}.tsv"
    threads: all_cores
    resources:
        gpu=card_gpu,
        device=DEVICE,
        mirror=MIRROR,
        mem_mb=memory,
    params:
        card="baselines/{method}.yaml",
        checkpoint=checkpoint_argument,
        fitted=fitted_argument,
        size=space.config.efficiency_size,
        digest=score_digest,
    shell:
        "python -m qualiclip.bench.efficiency {params.card} --size {params.size} {params.checkpoint} {params.fitted}"
        " {resources.mirror} --device {resources.device} --threads {threads} --out {output.cost} 2>&1 | tee {log}"


rule table:
    """Render one table as Markdown, CSV and LaTeX."""
    input:
        table_input,
        code=sources("qualiclip.bench.tables"),
    output:
        md=OUT / "tables/{table}.md",
        csv=OUT / "tables/{table}.csv",
        tex=OUT / "tables/{table}.tex",
        provenance=OUT / "tables/{table}.md.provenance.json",
    log:
        LOGS / "tables/{table}.log",
    benchmark:
        BENCH / "tables/{table}.tsv"
    localrule: True
    resources:
        mem_mb=500,
    params:
        card="workflow/tables/{table}.yaml",
        said=SAID,
        digest=table_digest,
    shell:
        "python -m qualiclip.bench.tables {params.card} --config {params.said} --out {output.md} 2>&1 | tee {log}"


for _table in space.all_tables.values():

    rule:
        name:
            f"table_{_table.name}"
        input:
            space.table(_table),
