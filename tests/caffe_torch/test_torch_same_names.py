"""Layers of one name, as 15 public prototxts have them, BVLC's own mnist_autoencoder among them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from torch_agreement import NEEDS_CAFFE, net_of

from caffe_files.prototxt import read_caffemodel, read_solver
from caffe_torch.model_files import copy_weights, write_caffemodel
from caffe_torch.solver import Solver

pytestmark = pytest.mark.torch
TEXT = """
layer { name: 'data' type: 'DummyData' top: 'a' dummy_data_param { shape { dim: 2 dim: 3 } data_filler { value: 1 } } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'a' top: 'b' inner_product_param { num_output: 3
  weight_filler { type: 'gaussian' } } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'b' top: 'c' inner_product_param { num_output: 4
  weight_filler { type: 'gaussian' } } }
layer { name: 'loss' type: 'SigmoidCrossEntropyLoss' bottom: 'c' bottom: 'c' top: 'one' propagate_down: true
  propagate_down: false }
layer { name: 'loss' type: 'Power' bottom: 'b' top: 'two' loss_weight: 0.5 }
"""


@NEEDS_CAFFE
def test_a_net_with_layers_of_one_name_is_caffes(caffe):
    net = net_of(TEXT, "TRAIN")
    with torch.no_grad():
        for layer in net.layers:
            for blob in layer.blobs:
                blob.fill_(0.5)
    assert caffe.refusal(TEXT, "TRAIN") == ""
    # pycaffe shows the second of a name alone, so its fillers say what both hold
    theirs = caffe.answer(TEXT.replace("type: 'gaussian'", "value: 0.5"), "TRAIN", {})
    blobs = net_of(TEXT.replace("type: 'gaussian'", "value: 0.5"), "TRAIN")()
    for name in ("b", "c", "one", "two"):
        assert torch.allclose(blobs[name], torch.from_numpy(theirs[f"blob:{name}"]), rtol=1e-5), name


def test_each_has_weights_of_its_own_that_learn_and_come_back(tmp_path):
    (tmp_path / "solver.prototxt").write_text("net: 'x' base_lr: 0.1 lr_policy: 'fixed'")
    solver = Solver(read_solver(tmp_path / "solver.prototxt"), net_of(TEXT, "TRAIN"))
    before = [each.detach().clone() for each in solver.parameters]
    solver.step()
    assert [tuple(each.shape) for each in before] == [(3, 3), (3,), (4, 3), (4,)]
    assert all((one != other).any() for one, other in zip(before, solver.parameters))
    write_caffemodel(solver.net, tmp_path / "net.caffemodel")
    assert [layer.name for layer in read_caffemodel(tmp_path / "net.caffemodel").layer].count("fc") == 2
    again = net_of(TEXT, "TEST")
    assert copy_weights(again, tmp_path / "net.caffemodel") == []
    tested = net_of(TEXT, "TEST")
    tested.share_weights(solver.net)
    for net in (again, tested):
        assert all(torch.equal(one, other) for one, other in zip(net.parameters(), solver.parameters))
