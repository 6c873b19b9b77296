"""Jobs, as a dry run of Snakemake prints them."""

from __future__ import annotations

from qualiclip.bench.plan.jobs import Job, parse

PRINTED = """Building DAG of jobs...
[Wed Nov 25 20:01:28 2026]
rule score:
    input: results/mini/index/spaq.csv, qualiclip/io.py
    output: results/mini/scores/clipiqa+/spaq.csv, results/mini/scores/clipiqa+/spaq.csv.provenance.json
    log: results/mini/logs/score/clipiqa+/spaq.log
    jobid: 505
    reason: Missing output files: results/mini/scores/clipiqa+/spaq.csv
    wildcards: method=clipiqa+, dataset=spaq
    threads: 2
    resources: tmpdir=/tmp, gpu=1, device=auto, mirror=, mem_mb=8000, mem=8 GB, mem_mib=7630
[Wed Nov 25 20:01:28 2026]
localrule table:
    input: a.csv
    output: results/mini/tables/datasets.md
    jobid: 3
    wildcards: table=datasets
    resources: tmpdir=/tmp, mem_mb=500, mem=500 MB, mem_mib=477
rule all:
    input: results/mini/report.html
    jobid: 0
    resources: tmpdir=/tmp
Job stats:
job      count
"""


def test_the_jobs_of_a_dry_run_are_read_with_their_cards_and_resources():
    assert parse(PRINTED) == [
        Job("score", method="clipiqa+", dataset="spaq", gpu=True, memory=8000),
        Job("table", memory=500),
    ]
