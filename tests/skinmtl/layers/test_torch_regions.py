"""AnchorTargets, Proposals and ProposalTargets on caffe_torch against the layers for stock Caffe, run by it.

The indices that are drawn and kept are the same; deltas and moved boxes are within rounding.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
pytest.importorskip("torchvision", reason="torchvision is not installed here: make torch")
from region_layers import ANCHORS, LEVELS, SIDE, draws, lesions, masks, proposals, python, windows
from torch_agreement import EXAMPLES, NEEDS_CAFFE, SEEDS, agree, net_of, normal, with_inputs

from caffe_files.errors import InputError
from skinmtl.layers import torch_boxes

pytestmark = pytest.mark.torch
FEWER = settings(EXAMPLES, max_examples=15)
some_missing = st.sampled_from([(), (1,), (0, 1, 2)])
ANCHOR_TOPS = ["rpn_labels", "rpn_box_targets", "rpn_box_weights"]
PROPOSAL_TOPS = ["rois", "roi_labels", "box_targets", "box_weights", "mask_rois", "mask_targets"]


@NEEDS_CAFFE
@given(
    seed=SEEDS,
    missing=some_missing,
    normaliser=st.sampled_from(["positives", "sampled", "locations"]),
    sample=st.sampled_from([2, 16, 256]),
    positive=st.sampled_from([0.3, 0.7]),
)
@FEWER
def test_anchor_targets(caffe, seed, missing, normaliser, sample, positive):
    boxes, labels = lesions(seed, missing=missing)
    text = python(
        "AnchorTargets", ANCHOR_TOPS, side=SIDE, **LEVELS, normaliser=normaliser, sample=sample, positive=positive
    )
    agree(caffe, text, {"a": boxes, "b": labels, "c": draws(seed)}, differentiable=[], tolerance=1e-5)


def rpn_outputs(seed, kind):
    random = np.random.RandomState(seed)
    probabilities = random.uniform(0, 1, (3, 2, ANCHORS)).astype(np.float32)
    if kind == "ties":  # as a new net's, and those that are sure
        probabilities = np.round(probabilities * 4) / 4
    deltas = normal(seed, 3, 4, ANCHORS) * (1 if kind == "ties" else 3)
    if kind == "nothing is left":  # an image without any proposal
        deltas[1, 0] = 1e5
    return {"a": probabilities, "b": deltas, "c": windows()}


@NEEDS_CAFFE
@given(
    seed=SEEDS,
    kind=st.sampled_from(["any", "ties", "nothing is left"]),
    before=st.sampled_from([1, 50, 400, 6000]),
    after=st.sampled_from([1, 30, 2000]),
    nms=st.sampled_from([0, 0.3, 0.7, 1]),
    smallest=st.sampled_from([0, 8]),
    two=st.booleans(),
)
@FEWER
def test_proposals(caffe, seed, kind, before, after, nms, smallest, two):
    told = {"side": SIDE, **LEVELS, "before": before, "after": after, "nms": nms, "smallest": smallest}
    text = python("Proposals", ["proposals", "rois"][: 1 + two], **told)
    agree(caffe, text, rpn_outputs(seed, kind), differentiable=[], tolerance=1e-5)


@NEEDS_CAFFE
@given(
    seed=SEEDS,
    missing=some_missing,
    empty=st.sampled_from([(), (2,), (0, 1, 2)]),
    near=st.sampled_from([0, 2, 40]),
    classes=st.sampled_from([1, 2, 5]),
    rois=st.sampled_from([4, 24, 200]),
    add_boxes=st.booleans(),
)
@settings(EXAMPLES, max_examples=25)
def test_proposal_targets(caffe, seed, missing, empty, near, classes, rois, add_boxes):
    """Also of images without a lesion, without a proposal, without a positive one."""
    boxes, labels = lesions(seed, classes=max(2, classes), missing=missing)
    inputs = {"a": proposals(seed, boxes, near=near, empty=empty), "b": boxes, "c": labels}
    inputs.update(d=masks(boxes), e=draws(seed))
    text = python("ProposalTargets", PROPOSAL_TOPS, classes=classes, rois=rois, mask_side=7, add_boxes=add_boxes)
    agree(caffe, text, inputs, differentiable=[], tolerance=1e-5)


def nets():
    boxes, labels = lesions(1)
    yield (
        python("AnchorTargets", ANCHOR_TOPS, side=SIDE, **LEVELS),
        {"a": boxes, "b": labels, "c": draws(1)},
    )
    yield python("Proposals", ["proposals", "rois"], side=SIDE, **LEVELS, after=40), rpn_outputs(1, "any")
    inputs = {"a": proposals(1, boxes), "b": boxes, "c": labels, "d": masks(boxes), "e": draws(1)}
    yield python("ProposalTargets", PROPOSAL_TOPS, classes=2, mask_side=14), inputs


@pytest.mark.parametrize("number", range(3))
def test_no_gradient_flows_through_and_bfloat16_gives_float32(number):
    text, inputs = list(nets())[number]
    net = net_of(with_inputs(text, {name: values.shape for name, values in inputs.items()}))
    given = {name: torch.from_numpy(values).requires_grad_() for name, values in inputs.items()}
    blobs = net(given)
    with torch.autocast("cpu", torch.bfloat16):
        again = net(given)
    for top in net.layer("layer").param.top:
        assert not blobs[top].requires_grad
        assert blobs[top].dtype == again[top].dtype == torch.float32
        np.testing.assert_array_equal(again[top].numpy(), blobs[top].numpy())
        assert tuple(blobs[top].shape) == net.shapes[top]


@pytest.mark.parametrize("number", range(3))
def test_fewer_images_than_the_net_was_made_for(number):
    """As when a trained net scores what is left over; each image is as it was among the others."""
    text, inputs = list(nets())[number]
    net = net_of(with_inputs(text, {name: values.shape for name, values in inputs.items()}))
    given = {name: torch.from_numpy(values) for name, values in inputs.items()}
    whole, first = net(given), net({name: values[:1] for name, values in given.items()})
    for top in net.layer("layer").param.top:
        if "weights" not in top:  # which are of the batch
            np.testing.assert_array_equal(first[top].numpy(), whole[top][: len(whole[top]) // 3].numpy())


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["a", "b"])
def test_proposals_of_a_training_that_diverged_are_one_line(where, wrong):
    text, inputs = list(nets())[1]
    net = net_of(with_inputs(text, {name: values.shape for name, values in inputs.items()}))
    inputs[where][2, 1, :] = wrong
    words = r"^layer 'layer' \(Python\): rpn_prob or rpn_deltas hold NaN or infinite numbers: .* lower base_lr[^\n]*$"
    with pytest.raises(InputError, match=words):
        net({name: torch.from_numpy(values) for name, values in inputs.items()})


def test_a_class_that_the_net_has_not_is_one_line():
    text, inputs = list(nets())[2]
    net = net_of(with_inputs(text, {name: values.shape for name, values in inputs.items()}))
    inputs["c"][1] = 3
    with pytest.raises(InputError, match="a class_label is 3, but classes in param_str is 2; give the net's K"):
        net({name: torch.from_numpy(values) for name, values in inputs.items()})


@pytest.mark.parametrize(
    ("name", "tops", "told", "shapes", "words"),
    [
        ("AnchorTargets", ANCHOR_TOPS, {"side": 100}, [(1, 4), (1,), (1, 2)], "side 100 is no multiple"),
        ("AnchorTargets", ANCHOR_TOPS, {"side": 128}, [(1, 4), (2,), (1, 2)], r"class_label, has the shape \(2\)"),
        ("AnchorTargets", ANCHOR_TOPS[:2], {"side": 128}, [(1, 4), (1,), (1, 2)], "the number of its tops is 2"),
        ("Proposals", ["p"], {"side": 128}, [(1, 2, 9), (1, 4, 9), (1, 4)], r"must be \(N, 2, 4092\)"),
        (
            "Proposals",
            ["p", "q", "r"],
            {"side": 128},
            [(1, 2, 4092), (1, 4, 4092), (1, 4)],
            "the number of its tops is 3",
        ),
        ("ProposalTargets", PROPOSAL_TOPS, {}, [(1, 9, 5), (1, 4), (1,), (1, 1, 8, 8), (1, 2)], "has no 'classes'"),
        (
            *("ProposalTargets", PROPOSAL_TOPS, {"classes": 2}),
            *([(1, 9, 5), (1, 4), (1,), (1, 2, 8, 8), (1, 2)], r"mask, has the shape \(1, 2, 8, 8\)"),
        ),
    ],
)
def test_what_does_not_fit_is_one_line(name, tops, told, shapes, words):
    with pytest.raises(InputError, match=words) as error:
        net_of(with_inputs(python(name, tops, **told), dict(zip("abcde", shapes))))
    assert str(error.value).startswith(f"layer 'layer' ({name}): ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 0.7, 1])
def test_torchvision_keeps_the_same_boxes_as_numpy(threshold, monkeypatch):
    """It is what a GPU has; here a device of another name takes its way. Overlaps of exactly a half, too."""
    random = np.random.RandomState(7)
    low = random.randint(0, 60, (400, 2))
    boxes = np.concatenate([low, low + random.randint(1, 5, (400, 2)) * 8], 1).astype(np.float32)
    boxes[:2] = (100, 100, 120, 110), (100, 100, 120, 120)
    given = torch.from_numpy(boxes)
    expected = torch_boxes.kept(given, threshold, 50)
    monkeypatch.setattr(torch_boxes, "nms", None)  # not to be called
    monkeypatch.setattr(torch_boxes, "on_cpu", lambda _: False)
    np.testing.assert_array_equal(torch_boxes.kept(given, threshold, 50).numpy(), expected.numpy())
