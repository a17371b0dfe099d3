"""What the pages say of the project is what the project is: its lists, counts, versions and limits."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT
from documents import PAGES, text_of

from skinmtl.importers.registry import importers
from skinmtl.nets.multi_task import MODELS
from skinmtl.pretrained.checkpoint import SAFE_TORCH

MAKEFILE = (ROOT / "Makefile").read_text()
NUMBERS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
NUMBERS += ["eleven", "twelve"]


def names_in_tables(text):
    """What stands between ` in the first cells of tables."""
    cells = re.findall(r"(?m)^\| (`[^|]*)\|", text)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def section(page, heading):
    return text_of(page).split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_readme_fits_on_three_screens():
    assert len(text_of("README.md").splitlines()) <= 120


def test_every_public_data_set_is_named_and_counted():
    public = sorted(set(importers()) - {"csv"})
    table = section("docs/data.md", "From a public data set, or from a table of your own")
    assert sorted(names_in_tables(table)) == public
    assert f"for {NUMBERS[len(public)]} public data sets" in text_of("README.md")


def test_every_model_and_preset_is_named():
    assert set(MODELS) <= set(names_in_tables(text_of("prototxt/README.md")))
    table = section("docs/the-whole-experiment.md", "In one command")
    named = [name for name in names_in_tables(table) if not name.startswith("--")]
    assert sorted(named) == sorted(path.stem for path in (ROOT / "workflow/presets").glob("*.yaml"))


def test_every_benchmark_has_its_section_and_make_bench_runs_all_but_that_of_a_gpu():
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py") if "\ndef main(" in path.read_text()}
    headings = re.findall(r"(?m)^## (.*\.py)$", text_of("docs/benchmarks.md"))
    told = {name for heading in headings for name in heading.split(", ")}
    assert told == scripts - {"in_caffe.py"}  # which others start
    bench = MAKEFILE.split("\nbench:")[1].split("\n\n")[0]
    assert set(re.findall(r"benchmarks/([a-z_]+\.py)", bench)) == told - {"gpu.py"}


def test_the_rooms_and_files_that_contributors_are_told_of_are_there():
    text = text_of("docs/CONTRIBUTING.md")
    rooms = re.search(r"The rooms of `skinmtl` follow the data: (.*?)\n\n", text, re.DOTALL).group(1)
    there = [path.parent.name for path in (ROOT / "python/skinmtl").glob("*/__init__.py")]
    assert sorted(re.findall(r"`([a-z_]+)`", rooms)) == sorted(there)
    for name in names_in_tables(text.split("Inside `caffe_torch`:")[1]):
        assert (ROOT / "python/caffe_torch" / name).exists(), name


def test_the_versions_of_pytorch_that_pages_name_are_those_of_the_code():
    tested = re.search(r"torch==([0-9.]+)", MAKEFILE).group(1)
    assert f"PyTorch {tested} of PyPI" in text_of("docs/docker.md")
    assert "PyTorch {}.{} or later to be read".format(*SAFE_TORCH) in text_of("docs/training.md")


def test_what_make_demo_reaches_is_the_same_on_every_page():
    figures = re.search(r"figure +value  without looking\n(?:.+\n){4}", text_of("README.md")).group()
    assert figures in text_of("docs/install.md")


@pytest.mark.parametrize("page", PAGES)
def test_less_than_fp32_is_nowhere_called_faster_on_every_machine(page):
    for paragraph in re.split(r"\n\n|\n(?=\|)", text_of(page)):
        if re.search(r"-precision", paragraph) and "faster" in paragraph:
            assert "in hardware" in paragraph, paragraph
