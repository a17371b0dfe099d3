"""The committed models: three nets and a solver each, and one README whose commands and numbers are the real ones."""

from __future__ import annotations

import re
import shlex

import pytest
from conftest import ROOT
from documents import all_commands, as_tool, commands_of, simple_commands, text_of

from caffe_files.prototxt import read_net
from skinmtl.nets.phases import default_phases
from skinmtl.pretrained.net_check import Preprocessing
from skinmtl.pretrained.published import PUBLISHED

pytestmark = pytest.mark.once

README = text_of("prototxt/README.md")
ALL = sorted(path.name for path in (ROOT / "prototxt").iterdir() if path.is_dir())
MASKS = [name for name in ALL if name.endswith("_mask_rcnn")]
FOLDERS = [name for name in ALL if name not in MASKS]
LARGE = [name for name in FOLDERS if not name.startswith("tiny")]
HEADS = {"mtl": ["lesion", "location"], "lesion": ["lesion"], "location": ["location"]}
# the table of values: what -> the ResNets', AlexNet's
TABLE = README.partition("## Values of")[2].partition("\n## ")[0]
VALUES = {
    row[0]: row[1:3] for row in re.findall(r"^\| ([^|]*) \| ([^|]*) \| ([^|]*) \| [^|]* \|$", TABLE, re.MULTILINE)
}


def value(row, name):
    """The table's value for a model."""
    resnets, alexnet = VALUES[row]
    return resnets if alexnet == "the same" or not name.startswith("alexnet") else alexnet


def made_by(name, split):
    return re.match(r"# made by: (.*)", (ROOT / "prototxt" / name / f"{split}.prototxt").read_text()).group(1)


def test_the_papers_models_and_their_tiny_counterparts_are_there():
    assert ALL == [
        "alexnet_lesion",
        "resnet101_mask_rcnn",
        "resnet50_lesion",
        "resnet50_location",
        "resnet50_mask_rcnn",
        "resnet50_mtl",
        "tiny_alexnet_lesion",
        "tiny_lesion",
        "tiny_location",
        "tiny_mtl",
    ]
    for name in ALL:
        assert re.search(rf"^\| [^|]*`{name}`", README, re.MULTILINE), name


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


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_net_has_a_net_and_a_solver_for_each_phase(name):
    for split in ("train", "train_phase1", "train_phase2", "train_phase3", "test", "deploy"):
        assert read_net(ROOT / "prototxt" / name / f"{split}.prototxt").name == name
    for number, phase in enumerate(default_phases(name.partition("_")[0]), 1):
        solver = (ROOT / f"solvers/{name}_phase{number}.prototxt").read_text(encoding="utf-8")
        assert f'train_net: "prototxt/{name}/train_phase{number}.prototxt"' in solver
        assert f'test_net: "prototxt/{name}/test.prototxt"' in solver
        assert f"\nbase_lr: {phase['base_lr']} " in solver
        assert f"\nmax_iter: {phase['iterations']} " in solver
        assert f"solvers/{name}_phase{number}.prototxt" in README or name == "resnet101_mask_rcnn"


@pytest.mark.parametrize("name", ALL)
def test_the_readme_makes_the_net_by_the_command_in_the_nets_first_line(name, tool):
    assert len({made_by(name, split) for split in ("train", "test", "deploy")}) == 1
    making = [c.line for c in commands_of("prototxt/README.md") if f"--out prototxt/{name} " in c.line]
    assert making == [made_by(name, "train") + " --overwrite"]
    program, *flags = shlex.split(made_by(name, "train"))
    done = tool(program.partition("/")[2], *flags, "--check", cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_weights_that_are_fetched_are_known_and_used_by_their_names():
    typed = [words for command in all_commands() for words in simple_commands(command.line)]
    fetched = [
        tool[1] for tool in map(as_tool, typed) if tool and tool[0] == "fetch_weights" and "--list" not in tool[1]
    ]
    assert {words[0] for words in fetched} == {"timm_resnet50_a1", "bvlc_alexnet", "resnet50_published"}
    for words in fetched:
        file = PUBLISHED[words[0]].file
        others = [each for each in typed if "fetch_weights" not in each[0] and any(w.endswith(file) for w in each)]
        assert others or words[0] == "bvlc_alexnet", file
        if "--file" in words:
            assert words[words.index("--file") + 1] == file
    for name in ("bvlc_alexnet", "resnet50_published"):
        assert f"\n    {PUBLISHED[name].digest}\n" in README
        assert f"**`{PUBLISHED[name].file}`**" in README


def test_converted_weights_get_the_net_that_convert_weights_asks_for():
    flags = Preprocessing("3x3", "padded", (103.53, 116.28, 123.675)).flags
    assert [c for c in commands_of("docs/training.md") if flags in c.line and "make_prototxt.py" in c.line]
    assert f"`{flags}`" in README


@pytest.mark.parametrize("name", LARGE)
def test_the_readmes_numbers_are_the_solvers_and_the_nets(name):
    solver = (ROOT / f"solvers/{name}.prototxt").read_text(encoding="utf-8")
    train = {layer.name: layer for layer in read_net(ROOT / f"prototxt/{name}/train.prototxt").layer}
    for row, field in (("learning rate", "base_lr"), ("momentum", "momentum"), ("weight decay", "weight_decay")):
        assert re.search(rf"^{field}: {re.escape(value(row, name))}$", solver, re.MULTILINE), row
    iterations = int(re.search(r"^max_iter: (\d+)", solver, re.MULTILINE).group(1))
    assert value("iterations", name) == f"up to {iterations:,}"
    for step in re.findall(r"^stepvalue: (\d+)", solver, re.MULTILINE):
        assert f"{int(step):,}" in value("its fall, `caffe train`", name)
    assert int(value("batch size", name)) == train["data"].data_param.batch_size
    transform = train["data"].transform_param
    assert value("crop", name) == str(transform.crop_size)
    assert value("mean (B, G, R)", name) == ", ".join(f"{number:.7g}" for number in transform.mean_value)


def test_the_last_lines_are_told_in_the_form_of_caffes_log():
    assert "    Snapshotting to binary proto file" in README
    assert re.search(r"^    Iteration \d+, loss = [\d.]+$", README, re.MULTILINE)
    assert "    Optimization Done.\n" in README
