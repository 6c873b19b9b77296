"""README, the pages of docs/ and examples/ say what is so: their commands and programs run, their links lead somewhere.

A block ```sh or ```python runs in a copy of a finished tree, unless the line directly above it is
`<!-- not run: <why> -->`. A marked ```python block must at least compile.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml

from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.methods.load import create
from tests.support.commands import ROOT, environment
from tests.support.photos import batch_of
from tests.support.trees import output_of

README, EXAMPLES = ROOT / "README.md", ROOT / "examples"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", EXAMPLES / "README.md"]
FENCE = re.compile(r"(?P<indent> *)(?P<marks>`{3,})(?P<language>\w*)$")
NOT_RUN = re.compile(r" *<!-- not run: (?P<why>.*) -->$")
LINK = re.compile(r"\]\((?!https?:)(?P<file>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")
LIMIT_S = 300


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. line: of its first line of code. why: it is not run, empty if it is run."""

    page: Path
    line: int
    language: str
    code: str
    why: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    lines, blocks, n = page.read_text(encoding="utf-8").splitlines(), [], 0
    while n < len(lines):
        if opening := FENCE.match(lines[n]):
            end = lines.index(opening["indent"] + opening["marks"], n + 1)
            code = textwrap.dedent("\n".join(lines[n + 1 : end]) + "\n")
            marked = NOT_RUN.match(lines[n - 1])
            blocks.append(Block(page, n + 2, opening["language"], code, marked["why"] if marked else ""))
            n = end
        n += 1
    return blocks


BLOCKS = [b for page in PAGES for b in blocks_of(page)]
COMMANDS = [b for b in BLOCKS if b.language == "sh" and not b.why]
PROGRAMS = [b for b in BLOCKS if b.language == "python"]


def by_place(blocks: list[Block]):
    """Parameters of a test: the blocks, named by where they stand."""
    return pytest.mark.parametrize("block", blocks, ids=[b.place for b in blocks])


# What runs.


@pytest.fixture(scope="module")
def tree(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a finished tree, with the pages and examples: what a reader has after the first `make`."""
    tree = Path(shutil.copytree(finished, tmp_path_factory.mktemp("docs") / "tree", symlinks=True))
    shutil.copy(README, tree)
    for folder in ("docs", "examples"):
        shutil.copytree(ROOT / folder, tree / folder)
    return tree


def run_in(tree: Path, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the tree, for at most LIMIT_S."""
    full = environment(tree, **changes)
    return subprocess.run(command, cwd=tree, env=full, capture_output=True, text=True, check=False, timeout=LIMIT_S)


@pytest.mark.dag
@by_place(COMMANDS)
def test_commands_run(block, tree, warm):
    done = run_in(tree, "bash", "-e", "-o", "pipefail", "-c", block.code, **warm)
    assert done.returncode == 0, f"{block.place}: exit status {done.returncode}\n{output_of(done)[-3000:]}"


@pytest.mark.dag
def test_python_programs_run(tree):
    """All in one interpreter, which imports torch once; each with its own names."""
    chosen = [(b.place, b.code) for b in PROGRAMS if not b.why]
    driver = f"for place, code in {chosen!r}:\n    exec(compile(code, place, 'exec'), {{'__name__': place}})"
    done = run_in(tree, sys.executable, "-c", driver)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.dag
def test_the_example_method_is_a_row_of_the_table(tree, warm):
    """Copied in as docs/add-a-method.md has it."""
    for file in (EXAMPLES / "my_method").iterdir():
        shutil.copy(file, tree / "baselines")
    done = run_in(tree, "snakemake", "--cores", "2", "table_zero_shot_authentic", **warm)
    assert done.returncode == 0, output_of(done)[-3000:]
    title = read_card(MethodCard, EXAMPLES / "my_method/my_method.yaml").title
    assert title in (tree / "results/mini/tables/zero_shot_authentic.md").read_text()


# What is written.


@by_place(PROGRAMS)
def test_python_programs_compile(block):
    compile(block.code, block.place, "exec")


@by_place([b for b in BLOCKS if b.language == "yaml"])
def test_yaml_is_valid(block):
    assert isinstance(yaml.safe_load(block.code), dict)


def test_a_block_that_is_not_run_says_why():
    assert COMMANDS and PROGRAMS
    for block in BLOCKS:
        assert not block.why or block.why.strip(), block.place


@pytest.mark.parametrize("page", LINKING, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        if link["file"].startswith("../../actions"):  # a page of GitHub beside the repository
            continue
        target = (page.parent / link["file"]).resolve() if link["file"] else page
        assert target.exists(), f"{page}: {link[0]}"
        if link["anchor"] and target.suffix == ".md":
            assert link["anchor"] in anchors(target), f"{page}: {link[0]}"


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_page_is_in_the_contents():
    contents = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in contents, page.name


def test_readme_is_short():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150 and max(map(len, lines)) <= 120


# The examples.


def test_the_example_method_scores_photos(photos, tmp_path):
    """A copy in another folder: the card names its class beside itself."""
    for file in (EXAMPLES / "my_method").iterdir():
        shutil.copy(file, tmp_path)
    card = read_card(MethodCard, tmp_path / "my_method.yaml")
    method = create(card)
    method.load("cpu")
    scores = method.score(batch_of(photos[:3]))
    assert scores.shape == (3,) and torch.isfinite(scores).all()
    flat = method.score(batch_of(torch.full((1, 3, 64, 64), 0.5)))
    assert (flat < scores).all() == card.higher_better, "a flat image has the least contrast"


def test_the_class_in_readme_scores_photos(photos):
    """The class of "Add a method in three steps"."""
    code = next(b.code for b in PROGRAMS if b.page == README and b.code.startswith("class "))
    names: dict[str, type] = {}
    exec(code, names)
    method = names["MyMethod"]()
    method.load("cpu")
    assert torch.isfinite(method.score(batch_of(photos[:3]))).all()


def test_the_card_in_readme_is_one(tmp_path):
    """And the one in docs/add-a-dataset.md."""
    method = next(b for b in BLOCKS if b.page == README and b.language == "yaml")
    photos = next(b for b in BLOCKS if b.page.name == "add-a-dataset.md" and b.language == "yaml")
    for model, block in ((MethodCard, method), (DatasetCard, photos)):
        path = tmp_path / "card.yaml"
        path.write_text(block.code)
        assert read_card(model, path).title


def test_the_example_dataset_is_a_card_and_its_labels():
    import pandas as pd

    card = read_card(DatasetCard, EXAMPLES / "my_dataset/my_dataset.yaml")
    labels = pd.read_csv(ROOT / card.folder / card.labels.file)
    assert {card.labels.image, card.labels.mos, card.labels.group} <= set(labels)
    assert labels[card.labels.mos].between(*card.labels.range).all()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.yaml")), ids=lambda p: p.stem)
def test_examples_name_their_schema(path):
    """In the first line, for editors; the copy that examples/README.md describes has one folder less to climb."""
    first = path.read_text(encoding="utf-8").splitlines()[0]
    schema = re.fullmatch(r"# yaml-language-server: \$schema=(.*)", first)
    assert schema and (path.parent / schema[1]).is_file()
