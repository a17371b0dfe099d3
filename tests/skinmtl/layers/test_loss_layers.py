"""The losses and RoIAlign in real Caffe: values, gradients numerically, loss_weight, shapes. Checks 5 to 8 of 12."""

from __future__ import annotations

import numpy as np
import pytest
from python_nets import axes, fill, forget_gradients, input_layer, net_of, python_layer

from caffe_files.errors import InputError
from skinmtl.regions.losses import focal_loss, jaccard_loss, smooth_l1_loss

pytestmark = pytest.mark.caffe


def random_inputs(kind, seed=1):
    """Of a loss: what it is called, what its bottoms hold, and the function with its settings."""
    random = np.random.RandomState(seed)
    if kind == "JaccardLoss":
        targets = np.full((4, 3, 5, 5), -1.0)
        targets[np.arange(3), [1, 2, 1]] = random.randint(0, 2, (3, 5, 5))
        return [random.randn(4, 3, 5, 5), targets], {"smooth": 2, "weight": 3}, jaccard_loss
    if kind == "SmoothL1Loss":
        prediction, target, weight = random.randn(3, 2, 4, 6)
        return [prediction, target, weight * random.randint(0, 2, weight.shape)], {"sigma": 2}, smooth_l1_loss
    shape, of_labels = ((2, 3, 5), (2, 5)) if kind == "FocalLoss of maps" else ((7, 3), (7,))
    return [random.randn(*shape), random.randint(-1, 3, of_labels)], {"alpha": 0.3, "beta": 1.5}, focal_loss


KINDS = ("FocalLoss of maps", "FocalLoss of rows", "SmoothL1Loss", "JaccardLoss")
NAMES = ("a", "b", "c")


def loss_net(folder, kind, weight=1.0):
    arrays, settings, function = random_inputs(kind)
    names = NAMES[: len(arrays)]
    text = "".join(input_layer(name, array.shape) for name, array in zip(names, arrays))
    text += python_layer(kind.split()[0], " ".join(names), "loss", weight, **settings)
    net = net_of(folder, text)
    fill(net, **dict(zip(names, arrays)))
    return net, [np.float32(array) for array in arrays], settings, function


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [1, 10])
def test_a_losss_value_and_gradient_are_the_functions_times_the_loss_weight(tmp_path, kind, weight):
    net, arrays, settings, function = loss_net(tmp_path, kind, weight)
    forget_gradients(net)
    net.forward()
    net.backward()
    value, gradient = function(*arrays, **settings)
    assert net.blobs["loss"].data == pytest.approx(value, rel=1e-6)
    assert net.blobs["loss"].data.shape == ()
    np.testing.assert_allclose(net.blobs["a"].diff, weight * gradient, rtol=1e-5, atol=1e-8)
    for name in NAMES[1 : len(arrays)]:
        assert not np.nan_to_num(net.blobs[name].diff).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_losss_gradient_is_the_numeric_one(tmp_path, kind):
    net, arrays, *_ = loss_net(tmp_path, kind)
    net.forward()
    net.backward()
    gradient, step = np.array(net.blobs["a"].diff), 0.01
    for place in list(np.ndindex(*arrays[0].shape))[::3]:
        ends = []
        for sign in (1, -1):
            moved = arrays[0].copy()
            moved[place] += sign * step
            fill(net, a=moved)
            ends.append(float(net.forward()["loss"]))
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(gradient[place], abs=2e-3)


def test_rho_scales_the_box_gradient_of_the_proposal_net_and_nothing_else(tmp_path):
    text = input_layer("scores", (1, 2, 9)) + input_layer("labels", (1, 9))
    text += input_layer("deltas", (1, 4, 9)) + input_layer("targets", (1, 4, 9)) + input_layer("weights", (1, 4, 9))
    diffs = {}
    for rho in (10, 20):
        losses = python_layer("FocalLoss", "scores labels", "class_loss", 1)
        losses += python_layer("SmoothL1Loss", "deltas targets weights", "box_loss", rho)
        net, random = net_of(tmp_path, text + losses), np.random.RandomState(2)
        fill(net, **{name: random.rand(*net.blobs[name].shape) for name in ("scores", "deltas", "targets", "weights")})
        fill(net, labels=random.randint(0, 2, (1, 9)))
        net.forward()
        net.backward()
        diffs[rho] = {name: np.array(net.blobs[name].diff) for name in ("scores", "deltas")}
    np.testing.assert_array_equal(diffs[20]["scores"], diffs[10]["scores"])
    np.testing.assert_allclose(diffs[20]["deltas"], 2 * diffs[10]["deltas"], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            python_layer("FocalLoss", "maps rows", "loss"),
            r"FocalLoss: its bottom 1, labels, has the shape \(6\); it must be \(2, 5\)",
        ),
        (
            python_layer("SmoothL1Loss", "maps maps rows", "loss"),
            r"SmoothL1Loss: its bottom 2, weight, has the shape \(6\); it must be \(2, 3, 5\)",
        ),
        (
            python_layer("JaccardLoss", "maps maps", "loss"),
            r"JaccardLoss: its bottom 0, mask scores, has the shape \(2, 3, 5\); it must be \(F, C, H, W\)",
        ),
        (
            python_layer("JaccardLoss", "maps", "loss"),
            "the number of its bottoms is 1; they are mask scores, mask_targets",
        ),
        (
            python_layer("FocalLoss", "maps maps", "loss", beta=-1),
            "beta in param_str is -1; give a number from 0",
        ),
    ],
)
def test_a_loss_that_does_not_fit_is_refused_with_a_line(tmp_path, text, words):
    inputs = [input_layer(name, shape) for name, shape in (("maps", (2, 3, 5)), ("rows", (6,))) if f'"{name}"' in text]
    with pytest.raises(InputError, match=words):
        net_of(tmp_path, "".join(inputs) + text)


def test_a_label_above_the_scores_is_refused_by_the_layers_name(tmp_path):
    net, *_ = loss_net(tmp_path, "FocalLoss of rows")
    fill(net, b=np.full(7, 3))
    with pytest.raises(InputError, match="FocalLoss: a label is 3, but there are scores of 3 classes"):
        net.forward()


# RoIAlign

SIZES = {"P2": 32, "P3": 16, "P4": 8, "P5": 4}


def pooling_net(folder, rois=6, channels=2, backward=True, sizes=SIZES, **settings):
    text = "".join(input_layer(name, (2, channels, size, size)) for name, size in sizes.items())
    text += input_layer("rois", (rois, 5)) + python_layer(
        "RoIAlign", "P2 P3 P4 P5 rois", "pooled", **{"pooled": 3, "canonical": 32, **settings}
    )
    text += """
    layer { name: "fc" type: "InnerProduct" bottom: "pooled" top: "fc"
            inner_product_param { num_output: 1 weight_filler { type: "gaussian" std: 1 } } }
    layer { name: "sum" type: "Reduction" bottom: "fc" top: "sum" loss_weight: 1 }
    """
    return net_of(folder, text, backward=backward)


def some_rois(count=6, seed=3):
    random = np.random.RandomState(seed)
    corners, sides = random.uniform(0, 90, (count, 2)), 2 ** random.uniform(3, 7, (count, 2))
    return np.concatenate([random.randint(0, 2, (count, 1)), corners, corners + sides], axis=1)


def filled_pooling_net(folder, **changes):
    net, random = pooling_net(folder, **changes), np.random.RandomState(4)
    fill(net, rois=some_rois(), **{name: random.randn(*net.blobs[name].shape) for name in SIZES})
    return net


def test_roi_aligns_gradient_is_the_numeric_one_through_all_levels(tmp_path):
    net = filled_pooling_net(tmp_path)
    forget_gradients(net)
    net.forward()
    net.backward()
    diffs = {name: np.array(net.blobs[name].diff) for name in SIZES}
    assert not np.nan_to_num(net.blobs["rois"].diff).any()
    touched = 0
    for name, diff in diffs.items():
        places = np.argwhere(diff)
        for place in map(tuple, places[:: max(1, len(places) // 6)]):
            ends, before = [], float(net.blobs[name].data[place])
            for step in (0.5, -0.5):
                net.blobs[name].data[place] = before + step
                ends.append(float(net.forward()["sum"]))
            net.blobs[name].data[place] = before
            assert ends[0] - ends[1] == pytest.approx(diff[place], abs=1e-3)
            touched += 1
    assert touched > 18
    assert sum(diff.any() for diff in diffs.values()) >= 3


def test_the_number_of_rois_may_change_from_pass_to_pass(tmp_path):
    net = filled_pooling_net(tmp_path)
    net.forward()
    before = np.array(net.blobs["pooled"].data)
    net.blobs["rois"].reshape(2, 5)
    fill(net, rois=some_rois()[:2])
    net.forward()
    assert net.blobs["pooled"].data.shape == (2, 2, 3, 3)
    np.testing.assert_array_equal(net.blobs["pooled"].data, before[:2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"sizes": {**SIZES, "P4": 9}},
            r"bottom 2, the map of stride 16, has the shape \(2, 2, 9, 9\); it must be \(2, 2, 8, 8\)",
        ),
        ({"strides": [4, 8, 16]}, "the number of its bottoms is 5; they are the map of stride 4, .*, rois; correct"),
        ({"levels": "ceil"}, 'levels in param_str is "ceil"; give "round" or "floor"'),
        ({"pooled": 0}, "pooled in param_str is 0; give a whole number from 1"),
    ],
)
def test_levels_that_do_not_fit_each_other_are_refused_with_a_line(tmp_path, changes, words):
    with pytest.raises(InputError, match=f"RoIAlign: .*{words}"):
        pooling_net(tmp_path, **changes)


def test_a_gradient_is_left_out_where_none_learns(tmp_path):
    """Levels from frozen layers get none; one that learns gets all of its own."""
    text = "".join(input_layer(name, (2, 2, size, size)) for name, size in SIZES.items() if name != "P4")
    held = f'{axes((2, 2, 8, 8))} data_filler {{ type: "constant" value: 1 }}'
    text += f'layer {{ name: "one" type: "DummyData" top: "one" dummy_data_param {{ {held} }} }}\n'
    text += 'layer { name: "P4" type: "Scale" bottom: "one" top: "P4" scale_param { filler { value: 2 } } }\n'
    text += input_layer("rois", (6, 5)) + python_layer("RoIAlign", "P2 P3 P4 P5 rois", "pooled", pooled=3, canonical=32)
    text += 'layer { name: "sum" type: "Reduction" bottom: "pooled" top: "sum" loss_weight: 1 }'
    net = net_of(tmp_path, text, backward=False)
    fill(net, rois=some_rois())
    forget_gradients(net)
    net.forward()
    net.backward()
    assert np.isnan(net.blobs["P2"].diff).all()
    # each cell of P4's ROIs is a mean, so that its gradient adds up to 1; a channel's scale has all of its own
    side = np.sqrt(np.prod(some_rois()[:, 3:] - some_rois()[:, 1:3], axis=1))
    on_p4 = np.count_nonzero(np.rint(np.log2(side / 32)) == 0)
    assert on_p4
    np.testing.assert_allclose(net.params["P4"][0].diff, [9 * on_p4] * 2, rtol=1e-4)
