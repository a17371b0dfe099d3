"""The losses of labels with weights on caffe_torch: against stock Caffe, PyTorch's own losses and torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from region_layers import python
from torch_agreement import EXAMPLES, NEEDS_CAFFE, SEEDS, agree, net_of, normal, with_inputs

from caffe_torch.errors import NetError

pytestmark = pytest.mark.torch
WEIGHTS = [3.5, 1.0, 0.25, 20.0]


def labels_of(seed, one_each, images=6):
    random = np.random.RandomState(seed)
    labels = np.eye(4)[random.randint(0, 4, images)] if one_each else random.randint(0, 2, (images, 4))
    return labels.astype(np.float32).reshape(images, 4, 1, 1)


@NEEDS_CAFFE
@given(
    seed=SEEDS,
    gamma=st.sampled_from([0, 0.5, 1, 2, 3.5]),
    weights=st.sampled_from([{}, {"positive": WEIGHTS}]),
    size=st.sampled_from([1, 80]),
)
@EXAMPLES
def test_the_sigmoid_loss_is_that_of_stock_caffe(caffe, seed, gamma, weights, size):
    inputs = {"a": normal(seed, 6, 4) * size, "b": labels_of(seed, one_each=False)}
    layer = python("WeightedSigmoidLoss", ["loss"], gamma=gamma, **weights)
    agree(caffe, layer, inputs, differentiable=["a"], tolerance=1e-5)


@NEEDS_CAFFE
@given(seed=SEEDS, weights=st.sampled_from([{}, {"weights": WEIGHTS}]), size=st.sampled_from([1, 80]))
@EXAMPLES
def test_the_softmax_loss_is_that_of_stock_caffe(caffe, seed, weights, size):
    inputs = {"a": normal(seed, 6, 4) * size, "b": labels_of(seed, one_each=True)}
    layer = python("WeightedSoftmaxLoss", ["loss"], **weights)
    agree(caffe, layer, inputs, differentiable=["a"], tolerance=1e-5)


def value_and_gradient(layer, scores, labels):
    net = net_of(with_inputs(layer, {"a": scores.shape, "b": labels.shape}))
    given = torch.from_numpy(scores).requires_grad_()
    loss = net({"a": given, "b": torch.from_numpy(labels)})["loss"]
    loss.backward()
    return loss.item(), given.grad


def close(found, loss, scores):
    (gradient,) = torch.autograd.grad(loss, scores)
    assert found[0] == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(found[1], gradient, rtol=1e-5, atol=1e-7)


def test_the_sigmoid_loss_is_pytorchs_with_pos_weight_summed_over_the_lesions():
    scores, labels = normal(1, 6, 4), labels_of(1, one_each=False)
    given = torch.from_numpy(scores).requires_grad_()
    truth = torch.from_numpy(labels).reshape(6, 4)
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(WEIGHTS), reduction="sum")(given, truth) / 6
    close(value_and_gradient(python("WeightedSigmoidLoss", ["loss"], positive=WEIGHTS), scores, labels), theirs, given)


def test_the_focal_loss_is_torchvisions_without_alpha():
    ops = pytest.importorskip("torchvision.ops")
    scores, labels = normal(1, 6, 4), labels_of(1, one_each=False)
    given = torch.from_numpy(scores).requires_grad_()
    truth = torch.from_numpy(labels).reshape(6, 4)
    theirs = ops.sigmoid_focal_loss(given, truth, alpha=-1, gamma=2, reduction="sum") / 6
    close(value_and_gradient(python("WeightedSigmoidLoss", ["loss"], gamma=2), scores, labels), theirs, given)


def test_the_softmax_loss_is_pytorchs_with_weights_over_the_images():
    scores, labels = normal(1, 6, 4), labels_of(1, one_each=True)
    given = torch.from_numpy(scores).requires_grad_()
    truth = torch.from_numpy(labels).reshape(6, 4).argmax(1)
    theirs = torch.nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS), reduction="sum")(given, truth) / 6
    layer = python("WeightedSoftmaxLoss", ["loss"], weights=WEIGHTS)
    for each in (labels, truth.numpy().astype(np.float32).reshape(6, 1, 1, 1)):
        close(value_and_gradient(layer, scores, each), theirs, given)
        given = torch.from_numpy(scores).requires_grad_()
        theirs = torch.nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS), reduction="sum")(given, truth) / 6


def test_labels_that_are_none_are_refused():
    for kind, labels, words in (
        ("WeightedSigmoidLoss", np.full((2, 4), 0.5, np.float32), "neither 0 nor 1"),
        ("WeightedSoftmaxLoss", np.ones((2, 4), np.float32), "an image has 4 labels"),
        ("WeightedSoftmaxLoss", np.full((2, 1), 4, np.float32), "none of the numbers from 0 to 3"),
    ):
        with pytest.raises(NetError, match=words):
            value_and_gradient(python(kind, ["loss"]), normal(1, 2, 4), labels)
