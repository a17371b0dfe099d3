"""The losses of labels with weights: against the slow formula, in numpy and as layers of real Caffe."""

from __future__ import annotations

import math

import numpy as np
import pytest
from python_nets import fill, input_layer, net_of, python_layer

from caffe_files.errors import InputError
from skinmtl.layers.label_losses import sigmoid_loss, softmax_loss

WEIGHTS = [3.5, 1.0, 0.25, 20.0]


def scores_and_labels(one_each, seed=1, images=7):
    random = np.random.RandomState(seed)
    labels = np.eye(4)[random.randint(0, 4, images)] if one_each else random.randint(0, 2, (images, 4))
    return 3 * random.standard_normal((images, 4)), labels.astype(float)


def slow_sigmoid(scores, labels, weights, gamma):
    total = 0.0
    for row, truth in zip(scores, labels):
        for score, label, weight in zip(row, truth, weights):
            share = 1 / (1 + math.exp(-score))
            p, a = (share, weight) if label else (1 - share, 1)
            total -= a * (1 - p) ** gamma * math.log(p)
    return total / len(scores)


def slow_softmax(scores, labels, weights):
    total = 0.0
    for row, truth in zip(scores, labels):
        shares = [math.exp(score) / sum(map(math.exp, row)) for score in row]
        total -= sum(label * weight * math.log(share) for label, weight, share in zip(truth, weights, shares))
    return total / len(scores)


def numeric(value, scores, step=1e-6):
    gradient = np.zeros_like(scores)
    for place in np.ndindex(*scores.shape):
        moved = [scores.copy(), scores.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        gradient[place] = (value(moved[0]) - value(moved[1])) / (2 * step)
    return gradient


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_the_sigmoid_loss_is_the_formula_and_its_gradient_the_numeric_one(weights, gamma):
    scores, labels = scores_and_labels(one_each=False)
    value, gradient = sigmoid_loss(scores, labels, weights, gamma)
    assert value == pytest.approx(slow_sigmoid(scores, labels, weights or [1] * 4, gamma))
    found = numeric(lambda each: sigmoid_loss(each, labels, weights, gamma)[0], scores)
    np.testing.assert_allclose(gradient, found, atol=1e-7)


@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_the_softmax_loss_is_the_formula_and_its_gradient_the_numeric_one(weights):
    scores, labels = scores_and_labels(one_each=True)
    value, gradient = softmax_loss(scores, labels, weights)
    assert value == pytest.approx(slow_softmax(scores, labels, weights or [1] * 4))
    np.testing.assert_allclose(
        gradient, numeric(lambda each: softmax_loss(each, labels, weights)[0], scores), atol=1e-7
    )


@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_a_label_that_is_a_number_is_the_one_that_stands_there(weights):
    scores, labels = scores_and_labels(one_each=True)
    value, gradient = softmax_loss(scores, labels, weights)
    for numbers in (labels.argmax(axis=1)[:, np.newaxis], labels.argmax(axis=1).reshape(-1, 1, 1, 1).astype(float)):
        by_number = softmax_loss(scores, numbers, weights)
        assert by_number[0] == value
        np.testing.assert_array_equal(by_number[1], gradient)
    for wrong in (4, -1, 0.5):
        with pytest.raises(InputError, match="none of the numbers from 0 to 3"):
            softmax_loss(scores, np.full((len(scores), 1), wrong))


def test_what_is_quite_sure_or_quite_wrong_has_finite_numbers():
    scores = np.array([[1e4, -1e4, 1e4, -1e4]])
    labels = np.array([[1, 0, 0, 1]])
    for gamma in (0, 0.5, 2):
        value, gradient = sigmoid_loss(scores, labels, (), gamma)
        assert value == pytest.approx(2e4)
        np.testing.assert_allclose(gradient, [[0, 0, 1, -1]], atol=1e-12)
    assert softmax_loss(scores, np.array([[0, 1, 0, 0]]))[0] == pytest.approx(2e4 + math.log(2))


def test_labels_that_are_none_are_refused():
    scores = np.zeros((2, 3))
    with pytest.raises(InputError, match="neither 0 nor 1"):
        sigmoid_loss(scores, np.full((2, 3), 0.5))
    for wrong, count in (([[1, 0, 0], [0, 1, 1]], 2), ([[1, 0, 0], [0, 0, 0]], 0)):
        with pytest.raises(InputError, match=f"an image has {count} labels.*--lesion-loss sigmoid"):
            softmax_loss(scores, np.array(wrong))


def layer_of(folder, kind, weight, labels_shape, **settings):
    text = input_layer("scores", (7, 4)) + input_layer("labels", labels_shape)
    return net_of(folder, text + python_layer(kind, "scores labels", "loss", weight, **settings))


@pytest.mark.caffe
@pytest.mark.parametrize("shape", [(7, 4), (7, 4, 1, 1)])
@pytest.mark.parametrize(
    ("kind", "settings", "function"),
    [
        ("WeightedSigmoidLoss", {"positive": WEIGHTS, "gamma": 1.5}, sigmoid_loss),
        ("WeightedSigmoidLoss", {}, sigmoid_loss),
        ("WeightedSoftmaxLoss", {"weights": WEIGHTS}, softmax_loss),
        ("WeightedSoftmaxLoss", {}, softmax_loss),
    ],
)
def test_in_caffe_they_are_the_functions_times_the_loss_weight(tmp_path, kind, settings, function, shape):
    scores, labels = scores_and_labels(one_each=kind == "WeightedSoftmaxLoss")
    net = layer_of(tmp_path, kind, 10, shape, **settings)
    fill(net, scores=scores, labels=labels.reshape(shape))
    net.forward()
    net.backward()
    value, gradient = function(scores.astype(np.float32), labels, *settings.values())
    assert net.blobs["loss"].data == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(net.blobs["scores"].diff, 10 * gradient, rtol=1e-5, atol=1e-8)


@pytest.mark.caffe
def test_without_weights_the_softmax_loss_of_numbers_is_caffes_own(tmp_path):
    scores, labels = scores_and_labels(one_each=True)
    text = input_layer("scores", (7, 4)) + input_layer("labels", (7, 1, 1, 1))
    text += python_layer("WeightedSoftmaxLoss", "scores labels", "ours", 1)
    text += 'layer { name: "theirs" type: "SoftmaxWithLoss" bottom: "scores" bottom: "labels" top: "theirs" }'
    net = net_of(tmp_path, text)
    fill(net, scores=scores, labels=labels.argmax(axis=1).reshape(7, 1, 1, 1))
    net.forward()
    assert net.blobs["ours"].data == pytest.approx(float(net.blobs["theirs"].data), rel=1e-6)


@pytest.mark.caffe
def test_without_weights_the_sigmoid_loss_is_caffes_own(tmp_path):
    scores, labels = scores_and_labels(one_each=False)
    text = input_layer("scores", (7, 4)) + input_layer("labels", (7, 4))
    text += python_layer("WeightedSigmoidLoss", "scores labels", "ours", 1)
    text += """layer { name: "theirs" type: "SigmoidCrossEntropyLoss" bottom: "scores" bottom: "labels" top: "theirs"
                       loss_param { normalization: BATCH_SIZE } }"""
    net = net_of(tmp_path, text)
    fill(net, scores=scores, labels=labels)
    net.forward()
    assert net.blobs["ours"].data == pytest.approx(float(net.blobs["theirs"].data), rel=1e-6)


@pytest.mark.caffe
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"positive": [1, 2]}, r"its bottom 0, scores, has the shape \(7, 4\); it must be \(N, 2\)"),
        ({"positive": [1, 2, 0, 1]}, "positive in param_str is .*; give a list of numbers above 0"),
        ({"gama": 2}, "unknown field 'gama', did you mean 'gamma'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        layer_of(tmp_path, "WeightedSigmoidLoss", 1, (7, 4), **settings)
