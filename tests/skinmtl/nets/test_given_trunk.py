"""A published net as trunk: its layers, names and weights are kept, and what the heads stand on is what it computes."""

from __future__ import annotations

import numpy as np
import pytest
from papers_nets import options
from published_nets import NETS, write_net, write_weights

from caffe_files.prototxt import message_text, read_net
from skinmtl.nets.given_trunk import read_given_trunk
from skinmtl.nets.layer_shapes import top_shapes
from skinmtl.nets.multi_task import make_net
from skinmtl.nets.net_probe import NetShapes
from skinmtl.nets.weights import compare_weights

HEADS = {"fc_lesion", "fc_location"}
OURS = HEADS | {"data", "lesion_prob", "location_prob", "global_pool"}


def trunk_of(name, folder, **how):
    return read_given_trunk(write_net(name, folder), how.pop("features", NETS[name].features), **how)


def net_on(trunk, split="deploy", **changes):
    changes = {"crop": trunk.side, "lesions": 3, "locations": 4, **changes}
    return make_net(options(given=trunk, trunk=trunk.name, **changes), split)


def lines_of(trunk):
    return trunk.path.read_text().splitlines()


def built(net, path, weights):
    """The net in real Caffe, and how its weights fit."""
    import caffe

    path.write_text(message_text(net))
    opened = caffe.Net(str(path), caffe.TEST)
    params = {name: [list(blob.data.shape) for blob in blobs] for name, blobs in opened.params.items()}
    opened.copy_from(str(weights))
    return opened, compare_weights(NetShapes(params, {}), weights)


@pytest.mark.caffe
@pytest.mark.parametrize("name", NETS)
def test_the_shapes_are_those_that_caffe_computes(name, tmp_path):
    import caffe

    deploy = write_net(name, tmp_path)
    opened, net = caffe.Net(str(deploy), caffe.TEST), read_net(deploy)
    sides = {blob: tuple(opened.blobs[blob].data.shape) for blob in opened.inputs}
    for layer in net.layer:
        if layer.type != "Input":
            sides.update(zip(layer.top, top_shapes(layer, [sides[blob] for blob in layer.bottom])))
    assert sides == {blob: tuple(opened.blobs[blob].data.shape) for blob in sides}
    assert {top for layer in net.layer for top in layer.top} <= set(sides)


@pytest.mark.caffe
@pytest.mark.parametrize("name", NETS)
def test_published_weights_fill_the_trunk_and_the_heads_stand_on_what_the_published_net_computes(name, tmp_path):
    import caffe

    taken = NETS[name]
    deploy = write_net(name, tmp_path)
    weights = write_weights(deploy, tmp_path / "published.caffemodel")
    published = caffe.Net(str(deploy), str(weights), caffe.TEST)
    trunk = read_given_trunk(deploy, taken.features)
    ours, report = built(net_on(trunk), tmp_path / "ours.prototxt", weights)
    assert (set(report.initial), report.disagreeing) == (HEADS, ())
    image = np.random.RandomState(2).normal(0, 60, (1, 3, taken.side, taken.side)).astype(np.float32)
    published.blobs[published.inputs[0]].reshape(*image.shape)
    published.blobs[published.inputs[0]].data[...] = image
    published.forward()
    ours.blobs["data"].data[...] = image
    ours.forward()
    expected = published.blobs[taken.features].data[0]
    expected = expected.mean(axis=(1, 2)) if taken.spatial else expected.ravel()
    features = ours.blobs[trunk.fitted(taken.side).features].data[0].ravel()
    assert features.shape == (taken.numbers,)
    assert np.abs(expected).max() > 0.01  # nothing has died out on the way
    assert np.allclose(features, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.caffe
@pytest.mark.parametrize("name", NETS)
def test_at_another_crop_an_average_over_all_places_stays_one_and_what_cannot_fit_is_said(name, tmp_path):
    taken, trunk = NETS[name], trunk_of(name, tmp_path)
    weights = write_weights(trunk.path, tmp_path / "published.caffemodel")
    said = "\n".join(trunk.fitted(taken.other_crop).notes)
    path = tmp_path / "ours.prototxt"
    if taken.of_one_crop:
        from skinmtl.engines.engine import Engine

        path.write_text(message_text(net_on(trunk, crop=taken.other_crop)))
        report = compare_weights(Engine().shapes(path), weights)
        assert [line.partition(":")[0] for line in report.disagreeing] == list(taken.of_one_crop)
        assert all(f"do not fit {layer}" in said for layer in taken.of_one_crop)
        return
    ours, report = built(net_on(trunk, crop=taken.other_crop), path, weights)
    assert (set(report.initial), report.disagreeing) == (HEADS, ())
    found = trunk.fitted(taken.other_crop)
    assert ours.blobs[found.features].data.size == taken.numbers
    maps = ours.blobs[taken.maps].data
    ours.blobs["data"].data[...] = np.random.RandomState(2).normal(0, 60, ours.blobs["data"].data.shape)
    ours.forward()
    assert np.allclose(ours.blobs[found.features].data[0].ravel(), maps[0].mean(axis=(1, 2)), rtol=1e-3, atol=1e-5)
    numbered = any(
        f"name: '{taken.features}' type: 'Pooling'" in line and "kernel_size" in line for line in lines_of(trunk)
    )
    assert (f"{taken.features} averages" in said) == numbered


@pytest.mark.parametrize("name", NETS)
def test_names_layers_and_maps_are_the_published_nets_own(name, tmp_path):
    taken, trunk = NETS[name], trunk_of(name, tmp_path)
    made = {layer.name: layer for layer in net_on(trunk).layer}
    given = {layer.name: layer for layer in read_net(trunk.path).layer}
    own = [name for name in made if name not in OURS]
    assert own == [name for name in given if name in own]  # in their order
    for name in own:
        assert made[name].type == given[name].type
        assert [top for top in made[name].top] == list(given[name].top)
    assert trunk.fitted(taken.side).maps == taken.maps
    assert not any(layer.type == "Softmax" for layer in made.values() if layer.name != "location_prob")


@pytest.mark.parametrize("split", ("train", "test"))
def test_statistics_are_frozen_as_the_flag_says_and_the_heads_learn_faster(split, tmp_path):
    trunk = trunk_of("mobilenet", tmp_path)
    for frozen in (True, False):
        made = net_on(trunk, split, frozen_batch_norm=frozen)
        normal = [layer.batch_norm_param for layer in made.layer if layer.type == "BatchNorm"]
        assert len(normal) == 5
        assert {each.HasField("use_global_stats") and each.use_global_stats for each in normal} == {frozen}
    heads = {layer.name: layer for layer in made.layer if layer.name in HEADS}
    assert all([param.lr_mult for param in layer.param] == [10, 20] for layer in heads.values())
    assert {layer.name for layer in made.layer} >= {"lesion_label", "location_label", "lesion_loss", "location_loss"}


def test_what_lies_below_freeze_to_learns_nothing_with_the_scale_that_is_part_of_it(tmp_path):
    made = net_on(trunk_of("thin_resnet", tmp_path), "train", freeze_to="layer2_unit0_conv1")
    rates = {layer.name: [param.lr_mult for param in layer.param] for layer in made.layer}
    names = list(rates)
    behind = names[names.index("layer2_unit0_conv1") + 1 :]
    assert rates["stem_conv"] == rates["layer2_unit0_conv1"] == rates["layer2_unit0_1/scale"] == [0, 0]
    assert behind[:3] == ["layer2_unit0_1/bn", "layer2_unit0_1/scale", "layer2_unit0_conv1/relu"]
    assert all(rates[name] == [] for name in behind if name not in HEADS | {"layer2_unit0_1/scale"})
    assert rates["fc_lesion"] == [10, 20]


def test_layers_of_other_caffes_are_written_in_those_of_stock_caffe(tmp_path):
    """Axpy as SENet's authors have it, and depthwise convolutions as MobileNets have them, give the same net."""
    text = NETS["se_resnet"].make()
    for at, shortcut in (("conv2_1", "pool1"), ("conv2_2", "conv2_1")):
        scaled = f"bottom: '{at}/3x3' bottom: '{at}/gate' top: '{at}/scaled' scale_param {{ axis: 0 }}"
        assert scaled in text
        text = text.replace(f"layer {{ name: '{at}/scaled' type: 'Scale' {scaled} }}\n", "")
        both = f"type: 'Eltwise' bottom: '{shortcut}' bottom: '{at}/scaled'"
        assert both in text
        text = text.replace(both, f"type: 'Axpy' bottom: '{at}/gate' bottom: '{at}/3x3' bottom: '{shortcut}'")
    (tmp_path / "axpy.prototxt").write_text(text)
    trunk = read_given_trunk(tmp_path / "axpy.prototxt", "pool5/whole")
    made = {layer.name: layer for layer in net_on(trunk).layer}
    assert [made[f"conv2_1{end}"].type for end in ("/flat", "/scaled", "")] == ["Flatten", "Scale", "Eltwise"]
    assert list(made["conv2_1/scaled"].bottom) == ["conv2_1/3x3", "conv2_1/flat"]
    assert trunk.fitted(64).notes[0] == "Axpy is not of stock Caffe: written in layers that are"
    text = (
        NETS["mobilenet"]
        .make()
        .replace("group: 8 engine: CAFFE", "")
        .replace("name: 'conv2/dw' type: 'Convolution'", "name: 'conv2/dw' type: 'DepthwiseConvolution'")
    )
    (tmp_path / "depthwise.prototxt").write_text(text)
    trunk = read_given_trunk(tmp_path / "depthwise.prototxt", "pool6")
    (layer,) = (layer for layer in net_on(trunk).layer if layer.name == "conv2/dw")
    assert (layer.type, layer.convolution_param.group) == ("Convolution", 8)


@pytest.mark.caffe
def test_axpy_in_stock_layers_computes_scale_times_x_plus_y(tmp_path):
    import caffe

    text = """name: 'axpy' input: 'data' input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 4
    layer { name: 's' type: 'Pooling' bottom: 'data' top: 's' pooling_param { pool: AVE global_pooling: true } }
    layer { name: 'x' type: 'Power' bottom: 'data' top: 'x' power_param { power: 2 } }
    layer { name: 'out' type: 'Axpy' bottom: 's' bottom: 'x' bottom: 'data' top: 'out' }"""
    (tmp_path / "axpy.prototxt").write_text(text)
    path = tmp_path / "stock.prototxt"
    path.write_text(message_text(net_on(read_given_trunk(tmp_path / "axpy.prototxt", "out"), crop=4)))
    net = caffe.Net(str(path), caffe.TEST)
    data = np.random.RandomState(1).normal(0, 1, (1, 3, 4, 4)).astype(np.float32)
    net.blobs["data"].data[...] = data
    net.forward()
    assert np.allclose(net.blobs["out"].data, data.mean(axis=(2, 3), keepdims=True) * data**2 + data, atol=1e-5)


def test_a_scale_of_the_input_is_a_layer_before_the_first(tmp_path):
    trunk = trunk_of("densenet", tmp_path, input_scale=0.017)
    made = list(net_on(trunk).layer)
    assert [layer.name for layer in made[:3]] == ["data", "input_scale", "conv1"]
    assert np.isclose(made[1].power_param.scale, 0.017)
    assert list(made[2].bottom) == ["input_scale"]


def test_a_net_that_names_no_input_size_needs_a_crop(tmp_path):
    text = NETS["thin_resnet"].make().replace("input_dim: 1 input_dim: 3 input_dim: 64 input_dim: 64", "")
    (tmp_path / "deploy.prototxt").write_text(text)
    trunk = read_given_trunk(tmp_path / "deploy.prototxt", "layer4_unit1_sum")
    assert trunk.side is None
    assert net_on(trunk, crop=80).layer[0].input_param.shape[0].dim[2] == 80


def test_a_layer_above_the_features_is_neither_built_nor_held_against_the_list(tmp_path):
    text = NETS["squeezenet"].make() + "layer { name: 'writes' type: 'HDF5Output' bottom: 'prob' }"
    (tmp_path / "deploy.prototxt").write_text(text)
    trunk = read_given_trunk(tmp_path / "deploy.prototxt", "fire3/concat")
    assert "HDF5Output" not in {layer.type for layer in net_on(trunk).layer}


def test_a_library_that_only_some_machines_have_is_left_to_caffe(tmp_path):
    path = write_net("mobilenet", tmp_path)
    path.write_text(path.read_text().replace("engine: CAFFE", "engine: CUDNN"))
    found = read_given_trunk(path, "pool6").fitted(64)
    assert not any(layer.convolution_param.HasField("engine") for layer in found.layers)
    assert sum("engine CUDNN" in note for note in found.notes) == 2
