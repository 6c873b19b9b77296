# Tables, from metrics and indexes.


def table_input(wildcards):
    return space.table_inputs(space.all_tables[wildcards.table])


def table_digest(wildcards):
    """What a table says of its cards, apart from the numbers."""
    return space.table_digest(space.all_tables[wildcards.table])


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
        LOGS + "/tables/{table}.log",
    benchmark:
        BENCH + "/tables/{table}.tsv"
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
