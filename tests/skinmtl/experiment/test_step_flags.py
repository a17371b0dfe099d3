"""A preset's words for the steps are parsed by the steps' own parsers before an experiment makes anything."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

from skinmtl.experiment.configuration import configure
from skinmtl.experiment.presets import NAMES, PRESETS
from skinmtl.experiment.request import Request
from skinmtl.experiment.step_flags import step_lines

pytest.importorskip("yaml", reason="presets are YAML, which comes with Snakemake: make .venv/ready")
ENGINE = (
    "caffe" if importlib.util.find_spec("caffe") or (PRESETS.parents[1] / ".caffe/bin/python3").exists() else "torch"
)
TINY = "solver: solvers/tiny_mtl.prototxt"
GOOD = f"models: {{resnet50_mtl: {{net: --trunk tiny --crop 64, {TINY}}}}}\n"
FAULTS = {
    f"models: {{resnet50_mtl: {{net: --trunk tiny --bath-size 32, {TINY}}}}}": (
        "models.resnet50_mtl.net: unrecognized arguments: --bath-size 32"
    ),
    f"net: --trunk tiny --crop 0\nmodels: {{resnet50_mtl: {{{TINY}}}}}": (
        "net: argument --crop: '0' is not a whole number from 1"
    ),
    f"{GOOD}train: --max-iter 9\nvariants: {{slow: {{train: --schedule slow}}}}": (
        "variants.slow.train: argument --schedule: invalid choice: 'slow'"
    ),
    f"{GOOD}variants: {{other: {{net: --scales 90 73}}}}": (
        "variants.other.net: --scales and --seed go with --online-jitter"
    ),
    f"{GOOD}variants: {{again: {{train_images: --balance 2}}}}": (
        "variants.again.train_images: argument --balance: '2' is not a number above 0 and below 1"
    ),
    f"{GOOD}train_images: --jitter 96 73": "train_images: --jitter: MIN is larger than MAX",
    f"{GOOD}train: --seed '1": 'train: "--seed \'1": No closing quotation',
    f"{GOOD}train: --help": "train: asks for help",
}


TAKEN = {
    f"{GOOD}train_images: --jitter 73 96 --subset test": "train_images: --subset",
    f"{GOOD}variants: {{again: {{train_images: --fold=1}}}}": "variants.again.train_images: --fold=1",
    f"{GOOD}train: --out elsewhere": "train: --out",
    f"models: {{resnet50_mtl: {{net: --trunk tiny --test-data x, {TINY}}}}}": "models.resnet50_mtl.net: --test-data",
}


@pytest.fixture
def data(make_dataset):
    return make_dataset(6)


@pytest.mark.once
@pytest.mark.skipif(importlib.util.find_spec("snakemake") is None, reason="this Python has no Snakemake")
@pytest.mark.parametrize("preset", FAULTS)
def test_a_flag_that_a_step_does_not_take_is_named_with_its_setting(tool, refused, data, tmp_path, preset):
    (tmp_path / "mine.yaml").write_text(f"{preset}\n")
    words = (data.manifest, "--images", data.images, "--out", tmp_path / "out", "--folds", 3, "--engine", ENGINE)
    done = tool("run.py", *words, "--preset", tmp_path / "mine.yaml")
    refused(done, f"--preset {tmp_path / 'mine.yaml'}: {FAULTS[preset]}", "; correct it")
    assert not (tmp_path / "out").exists()


@pytest.mark.once
@pytest.mark.skipif(importlib.util.find_spec("snakemake") is None, reason="this Python has no Snakemake")
@pytest.mark.parametrize("preset", TAKEN)
def test_what_the_workflow_says_itself_no_preset_may_say(tool, refused, data, tmp_path, preset):
    (tmp_path / "mine.yaml").write_text(f"{preset}\n")
    words = (data.manifest, "--images", data.images, "--out", tmp_path / "out", "--folds", 3, "--engine", ENGINE)
    done = tool("run.py", *words, "--preset", tmp_path / "mine.yaml")
    refused(done, f"--preset {tmp_path / 'mine.yaml'}: {TAKEN[preset]} is the workflow's own; leave it out")
    assert not (tmp_path / "out").exists()


PARSE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from step_parsers import fault_of
print(json.dumps([fault_of(step, words) for step, words in json.load(sys.stdin)]))
"""


@pytest.mark.once
def test_the_words_of_our_own_presets_are_taken(data, tmp_path):
    (tmp_path / "w.caffemodel").write_bytes(b"weights")
    asked = []
    for preset in (name for name in NAMES if not name.startswith("mask")):
        given = () if preset in ("demo", "tiny") else ((None, tmp_path / "w.caffemodel"),)
        request = Request(data.manifest, data.images, tmp_path / "out", preset, 3, (), None, given, "fp32", None, 1)
        for line in step_lines(configure(request, "caffe", tmp_path)):
            words = [word for text in line.said.values() for word in shlex.split(text)]
            asked.append((line.step, [*line.workflows, *words]))
    assert {step for step, _ in asked} == {"make_lmdb", "make_prototxt", "train"} and len(asked) > 20
    command = [sys.executable, "-c", PARSE, str(ROOT / "tools")]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True)
    assert json.loads(done.stdout) == [""] * len(asked)
