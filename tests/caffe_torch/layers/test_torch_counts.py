"""How many bottoms and tops a layer has, and which tops it makes by itself, are BVLC Caffe's."""

from __future__ import annotations

import re
import subprocess

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from torch_agreement import NEEDS_CAFFE, net_of

from caffe_files.errors import InputError
from caffe_torch.command import main
from caffe_torch.layers import LAYERS

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
# Data opens its source before Caffe counts, and Python has as many as its class says
COUNTED = sorted({*LAYERS} - {"Data", "Python"})


def refused(text, phase="TEST"):
    try:
        net_of(text, phase)()
    except InputError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


@pytest.mark.parametrize("kind", COUNTED)
def test_numbers_of_bottoms_and_tops_are_caffes(caffe, kind):
    """Both count before they read a setting."""
    for bottoms in range(4):
        for tops in range(4):
            inputs = [f"input: '{name}' input_shape {{ dim: 2 dim: 3 dim: 4 dim: 4 }}" for name in "abc"]
            names = [*(f"bottom: '{name}'" for name in "abc"[:bottoms]), *(f"top: '{name}'" for name in "xyz"[:tops])]
            text = "\n".join([*inputs, f"layer {{ name: 'layer' type: '{kind}' {' '.join(names)} }}"])
            theirs, ours = caffe.refusal(text), refused(text)
            if kind == "Pooling" and tops == 2:
                continue  # MAX alone has a second: see test_pooling
            counted = re.search(r"\d (bottoms|tops) (where it (takes|gives)|for \d bottoms)", ours)
            assert bool(counted) == bool(re.search(rf"{kind} Layer (takes|produces)", theirs)), (text, ours, theirs)


CONSTANT = """
layer { name: 'data' type: 'DummyData' top: 'a' top: 'label' dummy_data_param { shape { dim: 4 dim: 3 }
  shape { dim: 4 } data_filler { value: 1 } data_filler { value: 1 } } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'a' top: 'fc' inner_product_param { num_output: 2 } }
layer { name: 'one' type: 'SoftmaxWithLoss' bottom: 'fc' bottom: 'label' top: 'one' }
"""
UNNAMED = "layer { name: 'two' type: 'SoftmaxWithLoss' bottom: 'fc' bottom: 'label' loss_weight: %s }"


def logged(folder, capfd):
    """The lines of losses and outputs of `caffe train` and of this engine."""
    (folder / "solver.prototxt").write_text(
        f'train_net: "{folder}/net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 3 display: 1 '
        f"snapshot_after_train: false solver_mode: CPU snapshot_prefix: '{folder}/s'"
    )
    command = [str(PYTHON.with_name("caffe")), "train", "-solver", str(folder / "solver.prototxt")]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    capfd.readouterr()
    assert main(command[1:]) == 0
    wanted = re.compile(r"Iteration \d.*, loss = .*|Train net output #.*")
    return [
        [re.sub(r"\(\S+ iter/s.*iters\)", "", line) for line in wanted.findall(text)]
        for text in (theirs, capfd.readouterr().err)
    ]


def test_a_loss_without_a_top_counts(tmp_path, capfd):
    (tmp_path / "net.prototxt").write_text(CONSTANT + UNNAMED % 1)
    theirs, ours = logged(tmp_path, capfd)
    assert [line.split()[-1] for line in ours if line.startswith("Iteration")][:3] == [
        "1.38629",
        "0.742201",
        "0.483715",
    ]
    assert ours == theirs


def test_the_weight_of_a_loss_without_a_top_is_its_own(tmp_path, capfd):
    (tmp_path / "net.prototxt").write_text(CONSTANT + UNNAMED % -0.5 + UNNAMED.replace("two", "three") % 3)
    theirs, ours = logged(tmp_path, capfd)
    assert len(ours) > 6
    assert ours == theirs


def test_a_loss_in_the_middle_of_a_net_is_logged_under_the_name_that_caffe_gives_it(tmp_path, capfd):
    """Caffe splits the blob: the loss is a part that no layer reads, and so an output."""
    middle = "layer { name: 'p' type: 'Power' bottom: 'fc' top: 'p' loss_weight: 0.5 power_param { shift: 1 } }"
    after = "layer { name: 'q' type: 'Power' bottom: 'p' top: 'q' } layer { name: 's' type: 'Silence' bottom: 'q' }"
    (tmp_path / "net.prototxt").write_text(CONSTANT + middle + after)
    theirs, ours = logged(tmp_path, capfd)
    assert any("p_p_0_split_0 = 1 (* 0.5 = 0.5 loss)" in line for line in ours)
    assert ours == theirs


def test_an_automatic_top_is_no_part_of_the_file_that_is_written(tmp_path):
    from caffe_files.prototxt import read_caffemodel
    from caffe_torch.model_files import write_caffemodel

    write_caffemodel(net_of(CONSTANT + UNNAMED % 1), tmp_path / "net.caffemodel")
    assert list(read_caffemodel(tmp_path / "net.caffemodel").layer[-1].top) == []


@pytest.mark.parametrize("weights", ["", "loss_weight: 1", "loss_weight: 1 loss_weight: 0"])
def test_no_second_top_of_a_softmax_with_loss_is_made(caffe, weights):
    """Caffe has a place for it, but hands its own Softmax the weights of both."""
    text = CONSTANT.replace("top: 'one'", f"top: 'one' top: 'two' {weights}")
    assert "once per top blob" in caffe.refusal(text)
    assert "a second top" in refused(text)
