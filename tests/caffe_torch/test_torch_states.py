"""Which layers a net has, by its state, and which nets a solver has: as `caffe train` and pycaffe have it."""

from __future__ import annotations

import re
import subprocess

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from torch_agreement import NEEDS_CAFFE, net_of

from caffe_torch.command import main
from caffe_torch.inference import Inference

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]


def constant(name, rule="", value=1):
    settings = f"dummy_data_param {{ shape {{ dim: 1 }} data_filler {{ value: {value} }} }}"
    return f"layer {{ name: '{name}' type: 'DummyData' top: '{name}' {settings} {rule} }}\n"


RULES = {
    "train": "include { phase: TRAIN }",
    "test": "include { phase: TEST }",
    "level one": "include { min_level: 1 }",
    "level two": "include { min_level: 2 }",
    "of net": "include { stage: 'net' }",
    "of solver": "include { stage: 'solver' }",
    "of both": "include { stage: 'net' stage: 'solver' }",
    "not of net": "exclude { stage: 'net' }",
    "always": "",
}
NET = "".join(constant(name, rule) for name, rule in RULES.items())
STATES = [
    "",
    "state { level: 1 stage: 'net' }",
    "state { phase: TEST }",
    "state { stage: 'net' level: 2 phase: TRAIN }",
]


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("state", STATES)
def test_a_net_that_is_opened_by_itself(caffe, phase, state):
    ours = net_of(state + NET, phase)
    theirs = caffe.answer(state + NET, phase, {})
    assert {f"blob:{name}" for name in ours.shapes} == set(theirs)
    if phase == "TEST":
        inference = Inference(ours_param(state + NET), None)
        assert {f"blob:{name}" for name in inference.shapes} == set(theirs)


def ours_param(text):
    from google.protobuf import text_format

    from caffe_files.schema import caffe_messages

    return text_format.Parse(text, caffe_messages().NetParameter())


def shown(folder, solver, capfd, *flags):
    """The outputs of training and test nets that `caffe train`, and then this engine, logs."""
    (folder / "solver.prototxt").write_text(
        f"{solver} base_lr: 0.1 lr_policy: 'fixed' max_iter: 1 display: 1 snapshot_after_train: false "
        f"solver_mode: CPU snapshot_prefix: '{folder}/s'"
    )
    command = [str(PYTHON.with_name("caffe")), "train", "-solver", str(folder / "solver.prototxt"), *flags]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    capfd.readouterr()
    assert main(command[1:]) == 0
    wanted = re.compile(r"Testing net \(#\d+\)|(?:Train|Test) net output #\d+: .* = \S+")
    return wanted.findall(theirs), wanted.findall(capfd.readouterr().err)


@pytest.mark.parametrize("flags", [(), ("-level", "2", "-stage", "solver")])
@pytest.mark.parametrize("given", ["", "train_state { level: 2 stage: 'solver' } test_state { stage: 'solver' }"])
@pytest.mark.parametrize("state", STATES)
def test_a_solvers_nets(tmp_path, capfd, state, given, flags):
    (tmp_path / "net.prototxt").write_text(state + NET + LOSS)
    solver = f"net: '{tmp_path}/net.prototxt' {given} test_iter: 1 test_interval: 1"
    theirs, ours = shown(tmp_path, solver, capfd, *flags)
    assert len(ours) > 6
    assert ours == theirs


# `caffe train` makes a gradient of what has none as well; this engine does not
LOSS = """
layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param { shape { dim: 1 dim: 2 } } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'data' top: 'fc' inner_product_param { num_output: 1 } loss_weight: 1 }
"""


@pytest.mark.parametrize(
    "nets",
    [
        "net_param { NET }",
        "net_param { NET } test_iter: 1 test_interval: 1",
        "train_net_param { NET } test_net_param { NET } test_iter: 1 test_interval: 1",
        "train_net: 'FOLDER/net.prototxt' test_net_param { NET } test_net: 'FOLDER/net.prototxt' test_iter: 1 "
        "test_iter: 1 test_interval: 1",
        "net: 'FOLDER/net.prototxt' test_net_param { OTHER } test_iter: 1 test_iter: 1 test_interval: 1",
        "net_param { input: 'no shape' NET }",
    ],
)
def test_a_net_may_stand_in_the_solver(tmp_path, capfd, nets):
    (tmp_path / "net.prototxt").write_text(NET + LOSS)
    solver = nets.replace("NET", NET + LOSS).replace("OTHER", constant("other", value=3))
    theirs, ours = shown(tmp_path, solver.replace("FOLDER", str(tmp_path)), capfd)
    assert ours == theirs
    assert ours


@pytest.mark.parametrize(
    ("nets", "words"),
    [
        ("test_iter: 1", "names no net"),
        ("net: 'a' net_param { }", "names net_param and net"),
        ("net_param { } train_net_param { }", "names train_net_param and net_param"),
        ("train_net: 'net.prototxt' test_iter: 1 test_interval: 1", "1 test_iter for 0 test nets"),
        ("net: 'net.prototxt' test_net: 'net.prototxt'", "0 test_iter for 1 test nets"),
    ],
)
def test_a_solver_with_no_net_or_too_many_is_refused_by_both(tmp_path, monkeypatch, capfd, nets, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET + LOSS)
    (tmp_path / "solver.prototxt").write_text(f"{nets} base_lr: 0.1 lr_policy: 'fixed' max_iter: 1 solver_mode: CPU")
    command = [str(PYTHON.with_name("caffe")), "train", "-solver", "solver.prototxt"]
    assert "Check failed" in subprocess.run(command, capture_output=True, text=True).stderr
    assert main(command[1:]) == 1
    assert words in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("input: 'a' layer { name: 'a' type: 'Input' top: 'a' input_param { shape { dim: 2 } } }", {"a": (2,)}),
        ("input: 'a' input_shape { dim: 3 } input_dim: 1 input_dim: 2 input_dim: 1 input_dim: 1", {"a": (3,)}),
        (
            "input_shape { dim: 3 } layer { name: 'a' type: 'Input' top: 'b' input_param { shape { dim: 2 } } }",
            {"b": (2,)},
        ),
    ],
)
def test_old_inputs_are_read_as_caffe_reads_them(caffe, text, shapes):
    theirs = caffe.answer(text, "TEST", {})
    assert {name[5:]: values.shape for name, values in theirs.items()} == net_of(text).shapes == shapes
