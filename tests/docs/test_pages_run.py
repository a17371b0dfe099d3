"""The commands of README.md and the documents are typed as they stand, page after page, in a folder like a fresh clone.

Sixty drawn photographs stand in for the reader's own. What cannot be run here is listed with its reason, and what would
take long is shortened; everything else is run, so that a command that a page gains is run too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from documents import PAGES, commands_of
from made_checkpoint import write_checkpoint

pytestmark = [pytest.mark.caffe, pytest.mark.slow]

# what is not run, and why: each expression is found in the whole line
NOT_RUN = {
    r"^make (setup|torch|demo|test|experiment|pictures|caffe)\b": "makes the environment, or takes minutes: .ci/run",
    r"^docker |^export USER_ID": "needs Docker; tests/docker builds and runs the image by buildah",
    r"^pip install ": "changes this Python; tests/tools/test_wheel.py installs the package",
    r"fetch_weights\.py \w+ --out|resnet50_published": "downloads, or checks a file that cannot be had here",
    r"tools/calibrate\.py|--calibration": "needs 100 validation images; of sixty photographs there are five",
    r"--gpu 0": "days on a GPU",
    r"-weights ResNet-50-model\.caffemodel|-weights bvlc_alexnet": "days on a GPU, from weights that are not here",
    r"snapshots/resnet50_mtl_iter_120000": "needs the snapshot of days on a GPU",
    r"^tools/evaluate\.py scores\.npz": "needs the scores of that snapshot",
    r"--root DermaCon-IN": "needs a data set that its owner hands out",
    r"ISIC20|work/isic20|--root (PH2|HAM10000)": "needs data sets to be downloaded; tests/skinmtl/importers has some",
    r"PAD-UFES-20|work/pad": "needs a data set to be downloaded; tests/skinmtl/importers has its table",
    r"^caffe-torch train -solver solver\.prototxt|^torchrun": "needs several GPUs",
    r"configfile work/paper\.yaml|^snakemake |^pip install snakemake": "days on a GPU, or a cluster; tests/workflow",
    r"--fuzz-cases|tests/kills\.py": "more than half an hour; the suite runs the same with fewer cases",
    r"^(\.venv/bin/python )?benchmarks/": "minutes, and only right on a quiet machine: make bench",
}
# what is made shorter, so that all pages take three minutes; everything else is typed as it stands
SHORTER = {
    "--max-iter 200": "--max-iter 20",
    "--max-iter 400": "--max-iter 20",
    "--max-iter 500": "--max-iter 30",
    "--test-interval 50": "--test-interval 10",
    "--preset tiny": "--preset short.yaml",
    "--preset mask-demo": "--preset short_masks.yaml",
    "--out work/mtl/novelty.npz": "--keep 0.8 --out work/mtl/novelty.npz",  # five validation images
    "_iter_2000.": "_iter_20.",  # what is left of the tiny solvers' iterations
}
HAS_TORCH = (ROOT / ".venv/bin/caffe-torch").is_file() and list((ROOT / ".venv/lib").glob("*/site-packages/torch"))
SHELL = """
set -eEo pipefail
trap 'echo "FAILED: $BASH_COMMAND" >&2' ERR
"""


def reason_not_to_run(line: str) -> str | None:
    for pattern, reason in NOT_RUN.items():
        if re.search(pattern, line):
            return reason
    if line.startswith(".venv/bin/") and not HAS_TORCH:
        return "needs make torch"
    return None


# `make demo` with fewer photographs and iterations; a fold has 48, which is the test batch of the tiny nets
DEMO = """
tools/make_demo_data.py --count 240 --patients 240 --out work/demo/data
tools/make_folds.py --manifest work/demo/data/manifest.csv --out work/demo/folds.csv
data="--manifest work/demo/data/manifest.csv --images work/demo/data/images --folds work/demo/folds.csv --fold 0"
tools/make_lmdb.py $data --subset train --short-side 96 --out work/demo/train
tools/make_lmdb.py $data --subset test --short-side 73 --out work/demo/test
tools/make_prototxt.py --model resnet50_mtl --trunk tiny --crop 64 --batch-size 32 \\
    --solver solvers/tiny_mtl.prototxt --train-data work/demo/train --test-data work/demo/test --out work/demo/net
caffe train -solver work/demo/net/solver.prototxt
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What git has, with solvers that end early, after a `make demo` of that kind."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("tools", "python", "docker", "benchmarks", "workflow", ".caffe", ".venv", "docs", "Makefile"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    for name in ("prototxt", "solvers"):  # what a command writes to must not be the real one
        shutil.copytree(str(ROOT / name), str(folder / name))
    for solver in (folder / "solvers").glob("tiny_*.prototxt"):
        short = re.sub(r"max_iter: \d+", "max_iter: 20", solver.read_text(encoding="utf-8"))
        solver.write_text(short, encoding="utf-8")
    preset = (ROOT / "workflow/presets/tiny.yaml").read_text(encoding="utf-8")
    short = preset.replace("--max-iter 300 --test-interval 50", "--max-iter 20 --test-interval 10")
    short = short.replace("usual_models: [resnet50_lesion, resnet50_mtl]", "usual_models: [resnet50_mtl]")
    assert "--max-iter 20" in short and "[resnet50_mtl]" in short
    (folder / "short.yaml").write_text(short, encoding="utf-8")
    masks = (ROOT / "workflow/presets/mask-demo.yaml").read_text(encoding="utf-8")
    short = masks.replace("--max-iter 2000 --test-interval 500", "--max-iter 4 --test-interval 2")
    assert short != masks
    (folder / "short_masks.yaml").write_text(f"{short}usual_models: [full, class_alone]\n", encoding="utf-8")
    type_in(folder, DEMO.strip().splitlines())
    return folder


def type_in(clone: Path, lines: list[str]) -> None:
    """Types the lines into one shell; what it said is shown where a command fails."""
    script = SHELL + "\n".join(lines) + "\n"
    for long, short in SHORTER.items():
        script = script.replace(long, short)
    environment = dict(
        os.environ,
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        OPENBLAS_NUM_THREADS="1",
        OMP_NUM_THREADS="1",
    )
    command = ["bash", "-c", script]
    typed = subprocess.run(command, cwd=str(clone), env=environment, capture_output=True, text=True, timeout=600)
    assert typed.returncode == 0, f"{typed.stdout[-2000:]}\n{typed.stderr[-3000:]}"


def bring_what_a_reader_has(page: str, clone: Path) -> None:
    """What a page takes for granted, beside what the pages before it have made."""
    if page == "docs/training.md":  # weights, as downloaded
        write_checkpoint(clone / "work/weights/resnet50.a1_in1k.safetensors")
    if page in ("prototxt/README.md", "README.md"):  # their data/ is another than docs/training.md's
        shutil.rmtree(str(clone / "data"), ignore_errors=True)
    if page == "README.md":  # photographs
        shutil.copy(str(clone / "work/photos/manifest.csv"), str(clone))
        shutil.copytree(str(clone / "work/photos/images"), str(clone / "images"))
        shutil.copy(str(clone / "images/00000.jpg"), str(clone / "photo.jpg"))


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_after_those_of_the_pages_before(page, clone):
    bring_what_a_reader_has(page, clone)
    type_in(clone, [command.line for command in commands_of(page) if reason_not_to_run(command.line) is None])


def test_the_pages_know_where_the_demo_leaves_its_net():
    assert "weights=$out/net/tiny_mtl_iter_2000.caffemodel" in (ROOT / "tools/demo.sh").read_text(encoding="utf-8")
    assert [c for c in commands_of("docs/tutorial.md") if "work/demo/net/tiny_mtl_iter_2000.caffemodel" in c.line]


def test_each_reason_is_of_a_command_that_is_there():
    """A command that is gone needs no reason; one that changed is run again."""
    every = [command.line for page in PAGES for command in commands_of(page)]
    for pattern in NOT_RUN:
        assert [line for line in every if re.search(pattern, line)], pattern
    for long in SHORTER:
        assert [line for line in every if long in line], long
