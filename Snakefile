# The QualiCLIP benchmark. `snakemake --cores 8 all` runs a whole scale; see README.md.
#
# Path grammar (results root and raw root can be moved with --config results=DIR data=DIR):
#   datasets/raw/<dataset>/...                       downloaded or made, verified, extracted
#   results/<scale>/index/<dataset>.csv              image, width, height [, mos, std, ref, group, split_00 .. split_09]
#   results/<scale>/checkpoints/<variant>/           weights.safetensors, train.json
#   results/<scale>/scores/<method>/<dataset>.csv    image, score, error: one row per indexed image, in its order;
#                                                    [split_00 .. split_09: test parts, by a model trained in the split]
#   results/<scale>/features/<encoder>/<dataset>.npz image, features, error: shared by methods trained within splits
#   results/<scale>/learned/<method>/<dataset>.safetensors   what those have learned, a model a split
#   results/<scale>/metrics/<method>/<dataset>.csv   split, metric, value, n
#   results/<scale>/intensity/<method>.csv           image, group, type, intensity, score
#   results/<scale>/tables/<id>.md .csv .tex         figures/<id>.png .pdf .csv
#   results/<scale>/report.html
# Beside score files, checkpoints, tables and figures: <file>.provenance.json

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        space.report,
        [space.table(t) for t in space.all_tables.values()],
        [space.figure(f) for f in space.figures()],
        # named here although the tables need them: else one that was removed comes back only with its table
        [f(m, d) for m, d in space.scored() for f in (space.scores, space.metrics)],
        [space.checkpoint(m.variant) / "weights.safetensors" for m, _ in space.scored() if m.variant],
