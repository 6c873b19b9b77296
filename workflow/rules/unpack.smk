# A release of scores in place of datasets, training and scoring: `--config release=FILE`.


rule unpack:
    """Unpack a release, each member checked."""
    input:
        release=workspace.config.release,
        code=sources("qualiclip.bench.release.unpack"),
    output:
        [paths.root / name for name in workspace.release.members],
        manifest=paths.release_manifest,
    log:
        paths.log("unpack"),
    localrule: True
    resources:
        mem_mb=500,
    shell:
        "{PYTHON} -m qualiclip.bench.release.unpack {input.release:q} --out {output.manifest:q} 2>&1 | tee {log:q}"
