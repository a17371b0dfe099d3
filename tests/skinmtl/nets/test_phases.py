"""Phases: what is frozen stays bit for bit in stock Caffe, and what is not learns."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_files.errors import InputError
from caffe_files.prototxt import message_text, read_net
from caffe_files.schema import caffe_messages
from skinmtl.nets.multi_task import NetOptions, make_net
from skinmtl.nets.phases import default_phases, frozen

NET = """
layer { name: "data" type: "DummyData" top: "data" top: "wanted" dummy_data_param {
    shape { dim: 4 dim: 3 dim: 6 dim: 6 } shape { dim: 4 dim: 2 }
    data_filler { type: "gaussian" std: 3 } data_filler { type: "gaussian" std: 1 } } }
layer { name: "res1" type: "Convolution" bottom: "data" top: "res1"
    convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn1" type: "BatchNorm" bottom: "res1" top: "res1" }
layer { name: "scale1" type: "Scale" bottom: "res1" top: "res1" scale_param { bias_term: true } }
layer { name: "res2" type: "Convolution" bottom: "res1" top: "res2"
    convolution_param { num_output: 4 kernel_size: 3 bias_term: false weight_filler { type: "xavier" } } }
layer { name: "fc" type: "InnerProduct" bottom: "res2" top: "fc" param { lr_mult: 10 } param { lr_mult: 20 }
    inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "wanted" top: "loss" }
"""
SOLVER = 'train_net: "train.prototxt" base_lr: 0.01 momentum: 0.9 weight_decay: 0.01 lr_policy: "fixed" max_iter: 9'


def net():
    return text_format.Parse(NET, caffe_messages().NetParameter())


def rates(message):
    return {layer.name: [param.lr_mult for param in layer.param] for layer in message.layer if len(layer.param)}


def test_all_other_weights_have_a_rate_and_a_decay_of_nothing():
    made = frozen(net(), ["fc*"])
    assert rates(made) == {"res1": [0, 0], "scale1": [0, 0], "res2": [0], "fc": [10, 20]}
    decays = {layer.name: [param.decay_mult for param in layer.param] for layer in made.layer if len(layer.param)}
    assert decays == {"res1": [0, 0], "scale1": [0, 0], "res2": [0], "fc": [1, 1]}


def test_a_net_of_which_all_learns_is_as_it_was_and_the_given_one_always():
    given = net()
    assert frozen(given, ["*"]) == given
    frozen(given, ["fc"])
    assert given == net()


def test_a_pattern_that_fits_nothing_is_refused():
    with pytest.raises(InputError, match="'res9\\*' fits no layer of the net that learns"):
        frozen(net(), ["fc", "res9*"])
    with pytest.raises(InputError, match="'loss' fits no layer"):
        frozen(net(), ["loss"])
    with pytest.raises(InputError, match="'mask_\\*' fits no layer"):
        frozen(net(), ["mask_*", "rpn_*"])


def test_a_head_that_the_net_has_not_is_no_fault_beside_one_that_it_has():
    assert frozen(net(), ["mask_*", "fc"]) == frozen(net(), ["fc"])


def test_layers_that_share_a_weight_learn_together_or_not_at_all():
    given = net()
    twice = given.layer.add(name="again", type="Convolution", bottom=["data"], top=["again"])
    twice.CopyFrom(given.layer[1])
    twice.name, twice.top[0] = "again", "again"
    for layer in (given.layer[1], twice):
        layer.param.add(name="shared_w")
        layer.param.add(name="shared_b")
    assert rates(frozen(given, ["res1", "again"]))["again"] == [1, 1]
    assert rates(frozen(given, ["fc"]))["again"] == [0, 0]
    with pytest.raises(InputError, match="res1 and again share the weight shared_w"):
        frozen(given, ["again"])


def test_the_default_phases_are_matterports_heads_then_stages_4_and_up_then_all():
    heads, stages, everything = default_phases("resnet50")
    assert [phase["base_lr"] for phase in (heads, stages, everything)] == [0.001, 0.001, 0.0001]
    assert np.cumsum([phase["iterations"] for phase in (heads, stages, everything)]).tolist() == [40000, 120000, 160000]
    assert set(heads["trainable"]) < set(stages["trainable"])
    assert everything["trainable"] == ["*"]


def test_a_trunk_without_published_weights_is_never_frozen():
    assert [phase["trainable"] for phase in default_phases("tiny")] == [["*"]]


def test_stages_4_and_up_are_all_layers_of_the_published_trunk_from_res4a_on():
    options = NetOptions("resnet50_mtl", "resnet50", 224, 3, 4, "train", "test", 2, 2, frozen_batch_norm=True)
    made = make_net(options, "train")
    order = [layer.name for layer in made.layer]
    of_frozen = rates(frozen(made, default_phases("resnet50")[1]["trainable"]))
    still = [name for name, of_layer in of_frozen.items() if not any(of_layer)]
    assert max(map(order.index, still)) < order.index("res4a_branch1")
    assert len(still) == 2 * (1 + (1 + 3 * 3) + (1 + 4 * 3))  # each convolution, and its scale


@pytest.mark.caffe
def test_in_stock_caffe_what_is_frozen_stays_bit_for_bit_and_the_rest_learns(tmp_path, monkeypatch):
    import caffe

    monkeypatch.chdir(tmp_path)
    (tmp_path / "solver.prototxt").write_text(SOLVER)

    def trained(message, weights=None):
        (tmp_path / "train.prototxt").write_text(message_text(message))
        solver = caffe.SGDSolver("solver.prototxt")
        if weights:
            solver.net.copy_from(weights)
        before = {name: [blob.data.copy() for blob in blobs] for name, blobs in solver.net.params.items()}
        solver.step(3)
        after = {name: [blob.data.copy() for blob in blobs] for name, blobs in solver.net.params.items()}
        solver.net.save("trained.caffemodel")
        return {name for name in before if all(map(np.array_equal, before[name], after[name]))}

    assert trained(frozen(net(), ["*"])) == set()  # and BatchNorm has statistics from here on
    assert trained(frozen(net(), ["fc"]), "trained.caffemodel") == {"res1", "bn1", "scale1", "res2"}
    assert trained(frozen(net(), ["res2", "fc"]), "trained.caffemodel") == {"res1", "bn1", "scale1"}
    assert read_net(tmp_path / "train.prototxt").layer[2].batch_norm_param.use_global_stats
