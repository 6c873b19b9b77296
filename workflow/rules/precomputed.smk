# Scores that somebody else computed. The one kind that can be added to a release of scores: no image is read.


def own_scores(wildcards):
    """The CSV beside the card, where it is there."""
    card = method_of(wildcards)
    file = card.sibling(card.scores.format(dataset=wildcards.dataset)) if isinstance(card.scores, str) else None
    return [file] if file and file.is_file() else []


rule score_precomputed:
    """Bring precomputed per-image scores into a score file."""
    input:
        own_scores,
        index=paths.index("{dataset}"),
        code=sources("qualiclip.bench.score.precomputed"),
    output:
        scores=paths.scores("{method}", "{dataset}"),
        provenance=sidecar(paths.scores("{method}", "{dataset}")),
    log:
        paths.log("score_precomputed/{method}/{dataset}"),
    wildcard_constraints:
        method=methods_where(lambda m: bool(m.scores)),
    localrule: True
    resources:
        mirror=MIRROR_ARG,
        network=1,
        mem_mb=500,
    params:
        method=method_card,
        dataset=dataset_card,
        mirrored=mirrored_files,
        digest=score_digest,
    shell:
        "{PYTHON} -m qualiclip.bench.score.precomputed {params.method:q} {params.dataset:q} --index {input.index:q}"
        " {resources.mirror} --mirrored {params.mirrored:q} --out {output.scores:q} 2>&1 | tee {log:q}"
