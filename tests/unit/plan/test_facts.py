"""What a plan states of sets, licences, training and what is away; and that its page says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir

import pytest

from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.plan import downloads
from qualiclip.bench.plan.addresses import Answer
from qualiclip.bench.plan.costs import Cost, Speeds
from qualiclip.bench.plan.facts import plan
from qualiclip.bench.plan.jobs import Job
from qualiclip.bench.plan.page import gigabytes, hours, page
from qualiclip.bench.workspace import Workspace
from tests.support.commands import ROOT

SPEEDS = Speeds("a machine", "cpu", 1.0, {"start": Cost(1.0), "decode": Cost(), "laplacian": Cost(image=3.6)}, {})
JOBS = [
    Job("fetch", dataset="koniq10k", memory=4000),
    Job("fetch", dataset="cviu", memory=4000),
    Job("score", method="laplacian", dataset="koniq10k", memory=8000),
    Job("score", method="laplacian", dataset="cviu", memory=8000),
    Job("score", method="niqe", dataset="koniq10k", memory=8000),
    Job("score", method="sfd-iqa", dataset="koniq10k", memory=8000),
    Job("score", method="qalign", dataset="koniq10k", memory=8000),
    Job("score_precomputed", method="precomputed-niqe", dataset="koniq10k", memory=500),
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Iterator[Workspace]:
    empty = tmp_path_factory.mktemp("empty")
    with chdir(ROOT):
        yield Workspace(load_config({"scale": "paper", "results": str(empty), "data": str(empty / "raw")}))


@pytest.fixture(scope="module")
def facts(workspace: Workspace) -> dict:
    return plan(JOBS, downloads.needed(JOBS, workspace), workspace, SPEEDS, {})


def entry(facts: dict, title: str) -> dict:
    return next(s for s in facts["sets"] if s["set"] == title)


def test_a_set_is_counted_by_its_first_alternative_and_by_what_its_files_state(facts: dict):
    koniq = entry(facts, "KonIQ-10k")
    assert koniq["from"] == "download" and koniq["images"] == 10073
    # koniq10k.tgz, labels and three split files; the authors' own archive would take its place
    assert koniq["megabytes"]["known"] == pytest.approx(6350 + 1.15 + 0.56 + 0.081 + 0.16)
    assert koniq["megabytes"]["unknown"] == 0


def test_a_set_behind_a_form_is_by_hand_and_its_score_files_wait(facts: dict):
    assert entry(facts, "CVIU-17")["from"] == "by hand"
    assert facts["away"]["cviu"] == 1
    assert {f["owner"] for f in facts["by_hand"]} == {"cviu"}
    assert "Known wait: unknown" in page(facts, 2)


def test_a_set_made_of_one_that_is_away_is_away_too(workspace: Workspace):
    groups = downloads.needed([Job("fetch", dataset="waterloo")], workspace)
    assert downloads.away(groups, workspace) == {"waterloo", "waterloo_distorted"}


def test_a_file_in_the_mirror_needs_neither_a_network_nor_a_hand(workspace: Workspace, tmp_path):
    (tmp_path / "mirror/cviu").mkdir(parents=True)
    for name in ("cviu.zip", "cviu_scores.csv"):
        (tmp_path / "mirror/cviu" / name).write_bytes(b"")
    config = workspace.config.model_copy(update={"mirror": tmp_path / "mirror"})
    assert downloads.needed([Job("fetch", dataset="cviu")], Workspace(config)) == []


def test_scoring_is_summed_over_the_sets_and_unknown_where_nobody_measured(facts: dict):
    known = {s["method"]: s for s in facts["scorings"]}
    laplacian = known["mean absolute Laplacian"]
    assert (laplacian["sets"], laplacian["images"]) == (2, 10073 + 1620)
    assert laplacian["seconds"] == pytest.approx(2 * 1.0 + 3.6 * (10073 + 1620))
    assert known["NIQE"]["seconds"] is None and facts["unknown_jobs"]["score"] >= 1
    assert facts["memory_megabytes"] == 8000


def test_what_is_not_run_is_said_with_its_reason(facts: dict):
    assert any("SFD-IQA" in titles for titles in facts["not_run"].values())
    assert any("give trust=[qalign]" in reason for reason in facts["not_run"])
    assert facts["published"]["NIQE (published scores)"] == (0, 1)
    assert "scores were published for 0 of 1 sets" in page(facts, 2)


def test_licences_that_forbid_commercial_use_are_listed(facts: dict):
    forbidden = facts["licences"]["noncommercial"]
    assert any("NIQE" in titles for licence, titles in forbidden.items() if "PolyForm" in licence)
    assert "No commercial use: NIQE, Q-Align (OneAlign) (through pyiqa" in page(facts, 2)


def test_an_address_that_is_dead_or_disagrees_is_named(workspace: Workspace):
    groups = downloads.needed(JOBS, workspace)
    archive, labels = (
        next(f for g in groups for f in g if f.name.startswith(n)) for n in ("koniq10k.tgz", "koniq10k_d")
    )
    answers = {archive.address: Answer(9.0), labels.address: Answer(dead="HTTP 404 Not Found")}
    facts = plan(JOBS, groups, workspace, SPEEDS, {}, answers)
    assert entry(facts, "KonIQ-10k")["megabytes"]["known"] == pytest.approx(9 + 1.15 + 0.56 + 0.081 + 0.16)
    text = page(facts, 2)
    assert "dead: koniq10k, koniq10k_distributions_sets.csv: HTTP 404" in text and "the card says 6350 MB" in text


def test_the_facts_of_the_plan_alone_make_no_set_and_no_index_anew(workspace: Workspace):
    card = workspace.all_datasets["koniq10k"]
    changed = card.model_copy(
        update={
            "files": [f.model_copy(update={"megabytes": 1.0, "wait": "a week"}) for f in card.files],
            "images": card.images.model_copy(update={"megapixels": 1.0}),
            "unpacked_megabytes": 1.0,
        }
    )
    assert (changed.raw_digest(), changed.index_digest()) == (card.raw_digest(), card.index_digest())


def test_sizes_and_times_in_words():
    assert [gigabytes(v) for v in (None, 0.5, 94, 99.7, 44600)] == [
        "unknown",
        "0.5 MB",
        "94 MB",
        "0.0997 GB",
        "44.6 GB",
    ]
    assert [hours(v) for v in (None, 30, 600, 7200, 3.6e8)] == ["unknown", "30 s", "10 min", "2 h", "100,000 h"]


def test_trainings_that_differ_in_the_seed_share_a_row(workspace: Workspace):
    jobs = [Job("train", variant=v) for v in ("qualiclip", "qualiclip-seed1", "bn-only")]
    facts = plan(jobs, [], workspace, SPEEDS, {})
    assert {t["variant"]: (t["trainings"], t["steps"]) for t in facts["trainings"]} == {
        "qualiclip": (2, 83125),
        "bn-only": (1, 0),
    }
    assert "166,250" in page(facts, 2)
