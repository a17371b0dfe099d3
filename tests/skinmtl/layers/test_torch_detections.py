"""DetectionOutput on caffe_torch against the layer for stock Caffe, run by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
pytest.importorskip("torchvision", reason="torchvision is not installed here: make torch")
from region_layers import lesions, proposals, python, windows
from torch_agreement import EXAMPLES, NEEDS_CAFFE, SEEDS, agree, net_of, with_inputs

from caffe_files.errors import InputError

pytestmark = pytest.mark.torch
TOPS = ["detections", "detection_rois"]
HEADS = [["class", "box", "mask"], ["class"], ["box"], ["mask"], ["class", "mask"]]


def inputs_of(seed, heads, classes, kind="any", count=60):
    random = np.random.RandomState(seed)
    made = {"proposals": proposals(seed, lesions(seed)[0], count=count, empty=(1,) if kind == "empty" else ())}
    if "class" in heads:
        scores = random.normal(0, 2, (3 * count, classes + 1))
        scores[:, 0] += {"all background": 50, "no background": -50}.get(kind, 0)
        shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        made["class"] = np.round(shares * 4) / 4 if kind == "ties" else shares
    if "box" in heads:
        channels = classes + 1 if "class" in heads else 2
        made["box"] = random.normal(0, 2, (3 * count, 4 * channels))
        if kind == "refined away":
            made["box"][:, 0::4] = 1e5
    made["window"] = windows()
    return {name: values.astype(np.float32) for name, values in zip("abcd", made.values())}


@NEEDS_CAFFE
@given(
    seed=SEEDS,
    heads=st.sampled_from(HEADS),
    classes=st.sampled_from([1, 2, 4]),
    kind=st.sampled_from(["any", "ties", "empty", "all background", "no background", "refined away"]),
    nms=st.sampled_from([0, 0.3, 1]),
    score=st.sampled_from([0, 0.5, 1]),
    most=st.sampled_from([1, 3, 100]),
)
@settings(EXAMPLES, max_examples=40)
def test_detections(caffe, seed, heads, classes, kind, nms, score, most):
    text = python("DetectionOutput", TOPS, classes=classes, heads=heads, nms=nms, score=score, detections=most)
    agree(caffe, text, inputs_of(seed, heads, classes, kind), differentiable=[], tolerance=1e-5)


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("kind", ["any", "empty", "all background"])
def test_every_image_has_an_answer(heads, kind):
    inputs = inputs_of(2, heads, 2, kind)
    text = python("DetectionOutput", TOPS, classes=2, heads=heads)
    net = net_of(with_inputs(text, {name: values.shape for name, values in inputs.items()}))
    blobs = net({name: torch.from_numpy(values) for name, values in inputs.items()})
    first = blobs["detections"][:, 0].numpy()
    assert (first[:, 2:4] > first[:, :2]).all()
    assert set(first[:, 4]) <= {1, 2}
    np.testing.assert_allclose(first[:, 7:].sum(1), 1, rtol=1e-6)
    detected = [kind != "all background" or "class" not in heads] * 3
    detected[1] &= kind != "empty"
    assert first[:, 6].tolist() == detected
    np.testing.assert_array_equal(blobs["detection_rois"].numpy()[::10, 0], [0, 1, 2])
    np.testing.assert_array_equal(blobs["detection_rois"].numpy()[::10, 1:], first[:, :4])


def test_a_bottom_for_each_head_is_wanted():
    text = python("DetectionOutput", TOPS, classes=2, heads=["class", "mask"])
    with pytest.raises(InputError, match="the number of its bottoms is 2; they are proposals, class_prob, window"):
        net_of(with_inputs(text, {"a": (1, 9, 5), "b": (1, 4)}))
    with pytest.raises(InputError, match=r"class_prob, has the shape \(9, 2\); it must be \(9, 3\)"):
        net_of(with_inputs(text, {"a": (1, 9, 5), "b": (9, 2), "c": (1, 4)}))
