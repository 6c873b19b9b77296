# Correlations of score files with labels.


def metric_digest(wildcards):
    """The directions of scores and labels: all of the cards that the correlations depend on."""
    labels = dataset_of(wildcards).labels
    return digest([method_of(wildcards).higher_better, labels and labels.higher_better])


rule metrics:
    """Correlate one score file with the labels: whole set and test parts."""
    input:
        scores=paths.scores("{method}", "{dataset}"),
        index=paths.index("{dataset}"),
        code=sources("qualiclip.bench.metrics.correlate"),
    output:
        paths.metrics("{method}", "{dataset}"),
    log:
        paths.log("metrics/{method}/{dataset}"),
    wildcard_constraints:
        # score_refused writes the metrics of refused methods, too; the constraint looks ahead to the dataset
        method=f"(?!(?:{SEES_IMAGES})/(?:{LABELS_ONLY})[.])(?:{one_of(workspace.all_methods)})",
    localrule: True
    resources:
        mem_mb=500,
    params:
        method=method_card,
        dataset=dataset_card,
        digest=metric_digest,
        errors="--allow-errors" if workspace.config.allow_errors else "",
        resamples=f"--bootstrap {workspace.config.bootstrap}" if workspace.config.bootstrap else "",
    shell:
        "{PYTHON} -m qualiclip.bench.metrics.correlate {params.method:q} {params.dataset:q} --scores {input.scores:q}"
        " --index {input.index:q} {params.errors} {params.resamples} --out {output:q} 2>&1 | tee {log:q}"
