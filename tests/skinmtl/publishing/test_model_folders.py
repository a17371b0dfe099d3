"""Each model's folder: three nets, a solver, and a README whose commands and numbers are the real ones."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

from caffe_files.prototxt import read_net
from skinmtl.pretrained.net_check import Preprocessing
from skinmtl.pretrained.published import PUBLISHED

FOLDERS = sorted(path.name for path in (ROOT / "prototxt").iterdir() if path.is_dir())
TOOLS = r"tools/\w+\.py"
FETCHES = re.compile(r"tools/fetch_weights\.py (?!.*--file)")
HEADS = {"mtl": ["lesion", "location"], "lesion": ["lesion"], "location": ["location"]}
# runs commands one after the other in one process, each in its own empty folder, and prints their exit statuses
RUNNER = """
import json, os, runpy, sys
out, statuses = os.fdopen(os.dup(1), "w"), []
for number, words in enumerate(json.loads(sys.argv[1])):
    os.mkdir(str(number))
    os.chdir(str(number))
    sys.argv = words
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        statuses.append(end.code or 0)
    os.chdir("..")
json.dump(statuses, out)
"""


def readme(name):
    return (ROOT / "prototxt" / name / "README.md").read_text(encoding="utf-8")


def commands(name, program):
    """The README's commands that begin with `program`, each in one line and in single spaces."""
    text = readme(name).replace("\\\n", " ")
    found = re.findall(rf"^    ({program} .*)$", text, re.MULTILINE)
    return [" ".join(line.split()) for line in found]


def made_by(name, split):
    return re.match(r"# made by: (.*)", (ROOT / "prototxt" / name / f"{split}.prototxt").read_text()).group(1)


def test_the_papers_models_and_their_tiny_counterparts_are_there():
    assert FOLDERS == [
        "alexnet_lesion",
        "resnet50_lesion",
        "resnet50_location",
        "resnet50_mtl",
        "tiny_alexnet_lesion",
        "tiny_lesion",
        "tiny_location",
        "tiny_mtl",
    ]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_has_three_nets_of_its_name_and_a_solver(name):
    heads = HEADS[name.rpartition("_")[2]]
    for split in ("train", "test", "deploy"):
        net = read_net(ROOT / "prototxt" / name / f"{split}.prototxt")
        assert net.name == name
        layers = [layer.name for layer in net.layer]
        assert [layer for layer in layers if layer.startswith("fc_")] == [f"fc_{head}" for head in heads]
        other = {"lesion", "location"} - set(heads)
        assert not [layer for layer in layers for head in other if head in layer]
    solver = (ROOT / f"solvers/{name}.prototxt").read_text(encoding="utf-8")
    assert f'train_net: "prototxt/{name}/train.prototxt"' in solver
    assert f'test_net: "prototxt/{name}/test.prototxt"' in solver
    assert readme(name).startswith(f"# {name}: ")


@pytest.mark.parametrize("name", FOLDERS)
def test_the_readme_makes_the_net_by_the_command_in_the_nets_first_line(name, tool):
    assert len({made_by(name, split) for split in ("train", "test", "deploy")}) == 1
    making = [line for line in commands(name, "tools/make_prototxt.py") if f"--out prototxt/{name}" in line]
    assert making == [made_by(name, "train")]
    program, *flags = shlex.split(making[0])
    done = tool(program.partition("/")[2], *flags, "--check", cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def statuses(tmp_path_factory):
    """Every command of every README -> its exit status in an empty folder; none that would fetch from afar."""
    lines = sorted({line for name in FOLDERS for line in commands(name, TOOLS) if not FETCHES.match(line)})
    words = [shlex.split(line) for line in lines]
    absolute = [[str(ROOT / program), *flags] for program, *flags in words]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps(absolute)],
        cwd=str(tmp_path_factory.mktemp("empty")),
        env=dict(os.environ, PYTHONPATH=str(ROOT / "tools")),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return dict(zip(lines, json.loads(done.stdout.splitlines()[-1])))


@pytest.mark.parametrize("name", FOLDERS)
def test_the_readmes_commands_are_ones_that_the_tools_understand(name, statuses):
    """In an empty folder each finds no input (1) or needs none (0); a flag that the tool has not is status 2."""
    lines = [line for line in commands(name, TOOLS) if not FETCHES.match(line)]
    used = {line.split()[0] for line in lines}
    assert used >= {f"tools/{tool}.py" for tool in ("make_prototxt", "check_weights", "train", "score", "evaluate")}
    assert not {line: statuses[line] for line in lines if statuses[line] not in (0, 1)}


@pytest.mark.parametrize("name", [name for name in FOLDERS if not name.startswith("tiny")])
def test_the_weights_that_a_readme_fetches_are_known_and_used_by_their_names(name):
    fetched = [shlex.split(line) for line in commands(name, r"tools/fetch_weights\.py")]
    assert fetched
    for words in fetched:
        file = PUBLISHED[words[1]].file
        assert [line for line in commands(name, TOOLS) if file in shlex.split(line) and "fetch_weights" not in line]
        if "--file" in words:
            assert words[words.index("--file") + 1] == file
        if not PUBLISHED[words[1]].file.endswith(".safetensors"):
            assert PUBLISHED[words[1]].digest in readme(name)


def test_converted_weights_get_the_net_that_convert_weights_asks_for():
    (line,) = [line for line in commands("resnet50_mtl", "tools/make_prototxt.py") if "--stride-on" in line]
    assert Preprocessing("3x3", "padded", (103.53, 116.28, 123.675)).flags in line


@pytest.mark.parametrize("name", FOLDERS)
def test_the_readmes_caffe_commands_name_its_solver_and_weights_that_it_explains(name):
    (train,) = commands(name, "caffe train")
    words = shlex.split(train.partition(" 2>&1")[0])
    assert words[words.index("-solver") + 1] == f"solvers/{name}.prototxt"
    if name.startswith("tiny"):
        assert "-weights" not in words
    else:
        weights = words[words.index("-weights") + 1]
        assert re.search(rf"## Pretrained weights\n\n`{weights}`", readme(name))
        assert re.search(r"\n    [0-9a-f]{40}\n", readme(name))


@pytest.mark.parametrize("name", [name for name in FOLDERS if not name.startswith("tiny")])
def test_the_readmes_numbers_are_the_solvers_and_the_nets(name):
    solver = (ROOT / f"solvers/{name}.prototxt").read_text(encoding="utf-8")
    train = {layer.name: layer for layer in read_net(ROOT / f"prototxt/{name}/train.prototxt").layer}
    rows = dict(re.findall(r"^\| ([^|]*) \| ([^|]*) \|", readme(name), re.MULTILINE))
    for row, field in (("learning rate", "base_lr"), ("momentum", "momentum"), ("weight decay", "weight_decay")):
        assert re.search(rf"^{field}: {re.escape(rows[row])}$", solver, re.MULTILINE), row
    iterations = int(re.search(r"^max_iter: (\d+)", solver, re.MULTILINE).group(1))
    assert rows["iterations"] == f"up to {iterations:,}"
    for step in re.findall(r"^stepvalue: (\d+)", solver, re.MULTILINE):
        assert f"{int(step):,}" in rows["its fall"]
    assert f"_iter_{iterations}." in readme(name)
    assert int(rows["batch size"]) == train["data"].data_param.batch_size
    transform = train["data"].transform_param
    assert f"crop of {transform.crop_size} at random" in rows["images"]
    assert rows["mean (B, G, R)"] == ", ".join(f"{value:.7g}" for value in transform.mean_value)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_last_lines_are_told_in_the_form_of_caffes_log(name):
    text = readme(name)
    assert "    Snapshotting to binary proto file" in text
    assert re.search(r"^    Iteration \d+, loss = [\d.]+$", text, re.MULTILINE)
    assert "    Optimization Done.\n" in text
