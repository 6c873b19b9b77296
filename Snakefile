# The QualiCLIP benchmark. `snakemake --cores 8 all` runs a whole scale; see README.md.
#
# Where every file lies is defined in qualiclip/bench/paths.py, what it holds in qualiclip/bench/formats.py.
# Beside score files, checkpoints, tables and figures: <file>.provenance.json

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"


if workspace.release:

    include: "workflow/rules/unpack.smk"  # in place of all that needs images

else:

    include: "workflow/rules/data.smk"
    include: "workflow/rules/train.smk"
    include: "workflow/rules/score.smk"
    include: "workflow/rules/measure.smk"


include: "workflow/rules/precomputed.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/release.smk"
include: "workflow/rules/plan.smk"


rule all:
    default_target: True
    input:
        paths.report,
        paths.results,
        [paths.table(t.name) for t in workspace.tables()],
        [paths.figure(f.name) for f in workspace.figures()],
        # named although the tables need them: otherwise one that was removed comes back only with its table
        [f(m.name, d.name) for m, d in workspace.scored() for f in (paths.scores, paths.metrics)],
        [paths.weights(m.variant) for m, _ in workspace.scored() if m.variant and not workspace.release],
