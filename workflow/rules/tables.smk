# Tables, from metrics, score files and indexes.


def table_card(wildcards):
    return workspace.all_tables[wildcards.table].path


def table_inputs(wildcards):
    return table_kinds.inputs(workspace.all_tables[wildcards.table], workspace)


def table_code(wildcards):
    """The renderer, and the module of the table's kind."""
    return [*sources("qualiclip.bench.tables.render"), *sources(TABLE_MODULES[wildcards.table])]


def table_digest(wildcards):
    return table_kinds.words_digest(workspace.all_tables[wildcards.table], workspace)


rule table:
    """Render one table as Markdown, CSV, LaTeX and JSON."""
    input:
        table_inputs,
        code=table_code,
    output:
        md=paths.table("{table}"),
        others=[paths.table("{table}").with_suffix(s) for s in (".csv", ".tex", ".json")],
        provenance=sidecar(paths.table("{table}")),
    log:
        paths.log("tables/{table}"),
    localrule: True
    resources:
        mem_mb=500,
    params:
        card=table_card,
        config=config_args,
        digest=table_digest,
    shell:
        "{PYTHON} -m qualiclip.bench.tables.render {params.card:q} --config {params.config} --out {output.md:q}"
        " 2>&1 | tee {log:q}"


rule results:
    """Collect the numbers behind all tables of correlations and ablations in one file."""
    input:
        tables=[paths.table(t.name).with_suffix(".csv") for t in workspace.tables() if t.rows and t.columns],
        code=sources("qualiclip.bench.tables.tidy"),
    output:
        paths.results,
    log:
        paths.log("results"),
    localrule: True
    resources:
        mem_mb=500,
    shell:
        "{PYTHON} -m qualiclip.bench.tables.tidy {input.tables:q} --out {output:q} 2>&1 | tee {log:q}"


for _name in workspace.all_tables:

    rule:
        name:
            f"table_{_name}"
        input:
            paths.table(_name),
