"""The solvers' values are the paper's, and a run by them does what the README says of it."""

from __future__ import annotations

import subprocess

import pytest
from conftest import CAFFE, ROOT

from caffe_files.prototxt import read_caffemodel, read_net

pytestmark = pytest.mark.caffe


def solver(name):
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    text = (ROOT / "solvers" / f"{name}.prototxt").read_text(encoding="utf-8")
    return text_format.Parse(text, caffe_pb2.SolverParameter())


def batch_size(path):
    return next(layer for layer in read_net(ROOT / path).layer if layer.name == "data").data_param.batch_size


# the paper's; AlexNet's number of iterations is ours
@pytest.mark.parametrize(
    ("name", "weight_decay", "iterations", "batch"),
    [
        ("resnet50_mtl", 0.0001, 120000, 20),
        ("resnet50_lesion", 0.0001, 120000, 20),
        ("resnet50_location", 0.0001, 120000, 20),
        ("alexnet_lesion", 0.0005, 12000, 256),
    ],
)
def test_the_papers_values(name, weight_decay, iterations, batch):
    paper = solver(name)
    assert (paper.type, paper.max_iter) == ("SGD", iterations)
    assert paper.base_lr == pytest.approx(0.001)
    assert paper.momentum == pytest.approx(0.9)
    assert paper.weight_decay == pytest.approx(weight_decay)
    assert (paper.lr_policy, paper.gamma) == ("multistep", pytest.approx(0.1))
    assert list(paper.stepvalue) == [iterations / 2, iterations * 5 / 6]
    assert batch_size(paper.train_net) == batch
    assert paper.test_iter[0] * batch_size(paper.test_net[0]) == 4000  # as its comment says


@pytest.mark.parametrize("path", sorted((ROOT / "solvers").glob("*.prototxt")), ids=lambda path: path.stem)
def test_a_solver_names_nets_that_are_there_and_seeds_its_run(path):
    described = solver(path.stem)
    for net in (described.train_net, described.test_net[0]):
        # work/ is what the demo makes
        assert (ROOT / net).is_file() or net.startswith("work/demo_mask/net/")
    assert described.random_seed == 1
    assert not described.HasField("solver_mode")  # the command line chooses the GPU


@pytest.mark.parametrize("name", ["tiny_mtl", "tiny_lesion", "tiny_location", "tiny_alexnet_lesion"])
def test_the_demos_tests_see_the_whole_test_set(name):
    tiny = solver(name)
    # a fifth of make_demo_data.py's 1,200 images
    assert tiny.test_iter[0] * batch_size(tiny.test_net[0]) == 240


def test_the_tiny_resnets_differ_by_their_heads_alone():
    """What the multi-task net gains over them must not come from another way of training."""
    mtl, *single = (solver(f"tiny_{heads}") for heads in ("mtl", "lesion", "location"))
    for each in (mtl, *single):
        for name in ("train_net", "test_net", "snapshot_prefix"):
            each.ClearField(name)
    assert single == [mtl, mtl]


def train(folder, name, net, weights=()):
    """Six iterations by the caffe program; the caffemodel's layers by name."""
    (folder / f"{name}.solver").write_text(
        f'train_net: "{net}" base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0001\n'
        f'random_seed: 1 max_iter: 6 snapshot_prefix: "{folder}/{name}"\n'
    )
    command = [CAFFE, "train", "-solver", str(folder / f"{name}.solver"), *map(str, weights)]
    subprocess.run(command, check=True, stderr=subprocess.PIPE)
    return {layer.name: layer for layer in read_caffemodel(folder / f"{name}_iter_6.caffemodel").layer if layer.blobs}


def test_frozen_statistics_stay_and_everything_else_learns(tiny_model, tmp_path):
    text = (tiny_model.folder / "train.prototxt").read_text()
    frozen = text.replace("moving_average_fraction: 0.98", "use_global_stats: true")
    (tmp_path / "frozen.prototxt").write_text(frozen)
    before = {layer.name: layer for layer in read_caffemodel(tiny_model.snapshot).layer if layer.blobs}
    after = train(tmp_path, "frozen", tmp_path / "frozen.prototxt", ["-weights", tiny_model.snapshot])
    same = {name for name, layer in before.items() if list(layer.blobs) == list(after[name].blobs)}
    assert same == {name for name, layer in before.items() if layer.type == "BatchNorm"}
    assert len(same) == 23


def test_a_seed_makes_a_run_repeatable(tiny_model, tmp_path):
    net = tiny_model.folder / "train.prototxt"
    first, second = train(tmp_path, "first", net), train(tmp_path, "second", net)
    assert all(list(first[name].blobs) == list(second[name].blobs) for name in first)
