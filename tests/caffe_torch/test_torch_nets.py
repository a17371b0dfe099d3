"""Whole nets in caffe_torch: every blob as BVLC Caffe computes it; which layers a phase, a level and stages choose."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from conftest import ROOT
from google.protobuf import text_format

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from caffe_files.schema import caffe_messages
from caffe_torch.net import Net
from caffe_torch.states import chosen_layers, state_alone

pytestmark = pytest.mark.torch
needs_caffe = pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")


@needs_caffe
@pytest.mark.parametrize("model", ["resnet50_mtl", "alexnet_lesion", "tiny_mtl", "tiny_alexnet_lesion"])
def test_every_blob_of_a_deploy_net_is_caffes(caffe, model):
    path = ROOT / "prototxt" / model / "deploy.prototxt"
    random = torch.Generator().manual_seed(1)
    net = Net(read_net(path, strict=True), "TEST")
    arrays = {}
    with torch.no_grad():
        for layer in net.layers:
            for number, blob in enumerate(layer.blobs):
                if layer.param.type == "BatchNorm":
                    blob.uniform_(0.5, 1.5, generator=random)
                elif blob.dim() > 1:  # so that numbers stay of one size down the net
                    blob.normal_(0, (2 / blob[0].numel()) ** 0.5, generator=random)
                else:
                    blob.uniform_(-0.5, 0.5, generator=random)
                arrays[f"weight:{layer.name}:{number}"] = blob.detach().numpy().copy()
        data = torch.randn(net.shapes["data"], generator=random) * 50
        found = net({"data": data})
    arrays["blob:data"] = data.numpy()
    expected = caffe.answer(path.read_text(), "TEST", arrays)
    compared = 0
    for name, blob in found.items():
        theirs = expected[f"blob:{name}"]
        assert np.abs(blob.numpy() - theirs).max() <= 1e-4 * np.abs(theirs).max(), name
        compared += 1
    assert compared == sum(not name.rpartition("_split_")[1] for name in expected if name.startswith("blob:"))


def net_of(text):
    net = caffe_messages().NetParameter()
    text_format.Parse(text, net)
    return net


RULES = """
layer { name: 'always' type: 'Silence' }
layer { name: 'train' type: 'Silence' include { phase: TRAIN } }
layer { name: 'not test' type: 'Silence' exclude { phase: TEST } }
layer { name: 'staged' type: 'Silence' include { stage: 'a' not_stage: 'b' } }
layer { name: 'high' type: 'Silence' include { min_level: 2 max_level: 3 } include { phase: TEST } }
"""


@pytest.mark.parametrize(
    ("phase", "level", "stages", "chosen"),
    [
        ("TRAIN", 0, (), ["always", "train", "not test"]),
        ("TEST", 0, (), ["always", "high"]),
        ("TRAIN", 2, ("a",), ["always", "train", "not test", "staged", "high"]),
        ("TRAIN", 4, ("a", "b"), ["always", "train", "not test"]),
    ],
)
def test_the_layers_that_a_state_chooses(phase, level, stages, chosen):
    net = net_of(RULES)
    assert [layer.name for layer in chosen_layers(net, state_alone(net, phase, level, stages))] == chosen


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'y' }", "no layer before it has the top 'x'"),
        ("layers { name: 'a' }", "before 2014"),
        ("layer { name: 'a' include { } exclude { } }", "include and exclude"),
        ("input: 'a' input: 'b' input_shape { dim: 2 }", "1 shapes for 2 inputs"),  # Caffe reads beyond its memory
    ],
)
def test_a_net_that_does_not_hang_together_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        Net(net_of(text), "TEST")


def test_old_inputs_are_an_input_layer():
    net = Net(net_of("input: 'a' input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4"), "TEST")
    assert net.shapes == {"a": (1, 2, 3, 4)}


def test_layers_that_share_a_parameter_have_one_and_learn_it_once():
    shared = "inner_product_param { num_output: 3 bias_term: false weight_filler { type: 'xavier' } }"
    text = f"""
        layer {{ name: 'data' type: 'Input' top: 'data' input_param {{ shape {{ dim: 2 dim: 3 }} }} }}
        layer {{ name: 'one' type: 'InnerProduct' bottom: 'data' top: 'one' param {{ name: 'w' lr_mult: 2 }} {shared} }}
        layer {{ name: 'two' type: 'InnerProduct' bottom: 'one' top: 'two' param {{ name: 'w' }} {shared} }}"""
    net = Net(net_of(text), "TRAIN")
    assert [(one.layer, one.lr_mult) for one in net.learned] == [("one", 2)]
    assert net.layer("one").blob0 is net.layer("two").blob0
    net({"data": torch.ones(2, 3)})["two"].sum().backward()
    assert net.layer("one").blob0.grad is not None


def test_an_unknown_field_is_named(tmp_path):
    (tmp_path / "net.prototxt").write_text("layer { name: 'a' type: 'ReLU' relu_param { slope: 1 } }")
    with pytest.raises(InputError, match="slope"):
        read_net(tmp_path / "net.prototxt", strict=True)
