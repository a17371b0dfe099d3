"""Parameters that several layers share: multipliers, shapes and training as in BVLC Caffe."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from torch_agreement import NEEDS_CAFFE, net_of

from caffe_files.blobs import blob_values
from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel, read_net, read_solver
from caffe_torch.model_files import copy_weights, write_caffemodel
from caffe_torch.net import Net
from caffe_torch.solver import Solver

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
NET = """
layer { name: 'data' type: 'DummyData' top: 'a' top: 'b' dummy_data_param { shape { dim: 2 dim: 4 dim: 1 dim: 1 }
  shape { dim: 2 dim: 2 dim: 2 dim: 1 } data_filler { value: 0.5 } data_filler { value: -0.3 } } }
layer { name: 'one' type: 'Convolution' bottom: 'a' top: 'one' param { name: 'w' ONE }
  convolution_param { num_output: 2 kernel_size: 1 bias_term: false } }
layer { name: 'two' type: 'InnerProduct' bottom: 'b' top: 'two' param { name: 'w' TWO } param { name: 'bias' }
  inner_product_param { num_output: 2 } }
layer { name: 'flat' type: 'Flatten' bottom: 'one' top: 'flat' }
layer { name: 'sum' type: 'Eltwise' bottom: 'flat' bottom: 'two' top: 'sum' }
layer { name: 'label' type: 'DummyData' top: 'label' dummy_data_param { shape { dim: 2 } } }
layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'sum' bottom: 'label' top: 'loss' }
"""


def text(one, two):
    return NET.replace("ONE", one).replace("TWO", f"share_mode: PERMISSIVE {two}")


@pytest.mark.parametrize(
    ("one", "two", "learned"),
    [
        ("", "lr_mult: 3 decay_mult: 0.5", (3, 0.5)),
        ("lr_mult: 2", "decay_mult: 0", (2, 0)),
        ("lr_mult: 2 decay_mult: 2", "", (2, 2)),
        ("", "lr_mult: 0", (0, 1)),
    ],
)
def test_what_the_second_user_alone_says_holds_for_both_and_shapes_may_differ(tmp_path, one, two, learned):
    """Four iterations of `caffe train` on weights of 2 x 4 x 1 x 1 that are 2 x 4 elsewhere."""
    (tmp_path / "net.prototxt").write_text(text(one, two))
    (tmp_path / "solver.prototxt").write_text(
        f"train_net: '{tmp_path}/net.prototxt' base_lr: 0.2 lr_policy: 'fixed' momentum: 0.9 weight_decay: 0.01 "
        f"max_iter: 4 solver_mode: CPU snapshot_prefix: '{tmp_path}/theirs'"
    )
    net = Net(read_net(tmp_path / "net.prototxt", strict=True), "TRAIN")
    assert [(each.lr_mult, each.decay_mult) for each in net.learned] == [learned, (1, 1)]
    with torch.no_grad():
        for number, blob in enumerate(net.parameters()):
            values = np.random.RandomState(number).standard_normal(tuple(blob.shape))
            blob.copy_(torch.from_numpy(values.astype(np.float32)))
    write_caffemodel(net, tmp_path / "first.caffemodel")
    command = [str(PYTHON.with_name("caffe")), "train", "-solver", str(tmp_path / "solver.prototxt")]
    subprocess.run([*command, "-weights", str(tmp_path / "first.caffemodel")], check=True, capture_output=True)
    solver = Solver(read_solver(tmp_path / "solver.prototxt"), net)
    for _ in range(4):
        solver.step()
    solver.snapshot(str(tmp_path / "ours"))
    ours, theirs = (read_caffemodel(tmp_path / f"{whose}_iter_4.caffemodel").layer for whose in ("ours", "theirs"))
    theirs = {layer.name: layer for layer in theirs}
    for layer in ours:
        for blob, expected in zip(layer.blobs, theirs[layer.name].blobs):
            assert blob.shape == expected.shape
            assert np.allclose(blob_values(blob), blob_values(expected), rtol=1e-5, atol=1e-6), layer.name
    again = Net(read_net(tmp_path / "net.prototxt"), "TEST").to(memory_format=torch.channels_last)
    copy_weights(again, tmp_path / "theirs_iter_4.caffemodel")
    again.share_weights(net)
    assert torch.equal(again.layer("two").blob0, net.layer("one").blob0.reshape(2, 4))


@pytest.mark.parametrize(
    ("one", "two", "theirs", "ours"),
    [
        ("lr_mult: 2", "lr_mult: 3", "mismatched lr_mult", "another lr_mult"),
        ("", "decay_mult: 2", "", ""),
        ("", "share_mode: STRICT", "shape mismatch", r"shares 'w', \(2, 4, 1, 1\)"),
    ],
)
def test_what_does_not_go_together_is_refused_by_both(caffe, one, two, theirs, ours):
    net = text(one, two).replace("share_mode: PERMISSIVE share_mode", "share_mode")
    assert (theirs in caffe.refusal(net)) if theirs else (caffe.refusal(net) == "")
    if not ours:
        net_of(net)
        return
    with pytest.raises(InputError, match=ours):
        net_of(net)
