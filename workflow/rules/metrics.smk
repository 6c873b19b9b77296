# Correlations of score files with labels.


rule metrics:
    """Correlate one score file with the labels: whole set and test splits."""
    input:
        scores=OUT / "scores/{method}/{dataset}.csv",
        index=OUT / "index/{dataset}.csv",
        code=sources("qualiclip.bench.correlate"),
    output:
        OUT / "metrics/{method}/{dataset}.csv",
    log:
        LOGS / "metrics/{method}/{dataset}.log",
    benchmark:
        BENCH / "metrics/{method}/{dataset}.tsv"
    localrule: True
    resources:
        mem_mb=500,
    params:
        cards="baselines/{method}.yaml datasets/{dataset}.yaml",
        digest=metric_digest,
        errors="--allow-errors" if space.config.allow_errors else "",
        resamples=f"--bootstrap {space.config.bootstrap}" if space.config.bootstrap else "",
    shell:
        "python -m qualiclip.bench.correlate {params.cards} --scores {input.scores} --index {input.index}"
        " {params.errors} {params.resamples} --out {output} 2>&1 | tee {log}"
