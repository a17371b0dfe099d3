"""The layers that choose regions in real Caffe: their blobs, and images without anything."""

from __future__ import annotations

import numpy as np
import pytest
from python_nets import fill, forget_gradients, input_layer, net_of, python_layer
from region_chain import CHAIN, FEATURES, LEVELS, PROPOSALS, ROIS, SHAPES, K, M, N, P, filled, given

from skinmtl.layers.region_settings import (
    AnchorTargetsSettings,
    DetectionOutputSettings,
    ProposalsSettings,
    ProposalTargetsSettings,
)
from skinmtl.regions.anchor_targets import anchor_targets
from skinmtl.regions.detections import detections
from skinmtl.regions.proposal_targets import proposal_targets
from skinmtl.regions.proposals import numbered, proposals

pytestmark = pytest.mark.caffe

LOSSES = ("rpn_class_loss", "rpn_box_loss", "class_loss", "box_loss", "jaccard_loss")


def data(net, *names):
    return [np.array(net.blobs[name].data) for name in names]


# the same numbers as the functions give


def test_the_blobs_are_those_of_the_functions(tmp_path):
    net = filled(tmp_path, CHAIN)
    net.forward()
    box, class_label, draw, mask, window, prob, deltas = data(
        net, "box", "class_label", "draw", "mask", "window", "rpn_prob", "rpn_deltas"
    )
    levels = {name: tuple(value) if isinstance(value, list) else value for name, value in LEVELS.items()}
    expected = anchor_targets(AnchorTargetsSettings(**levels), box, class_label, draw)
    for name, array in zip(("rpn_labels", "rpn_box_targets", "rpn_box_weights"), expected):
        np.testing.assert_array_equal(net.blobs[name].data, array)
    made = proposals(ProposalsSettings(after=P, **levels), prob[:, 1], deltas, window)
    np.testing.assert_array_equal(net.blobs["proposals"].data, made)
    np.testing.assert_array_equal(net.blobs["all_rois"].data, numbered(made))
    expected = proposal_targets(ProposalTargetsSettings(**ROIS), made, box, class_label, mask[:, 0], draw)
    for name, array in expected._asdict().items():
        np.testing.assert_array_equal(net.blobs[name].data, array)
    assert set(np.unique(net.blobs["roi_labels"].data)) == {-1, 0, 1, 2}


@pytest.mark.parametrize("heads", [["class", "box", "mask"], ["class"], ["box"], ["mask"]])
def test_detections_are_those_of_the_function_whichever_heads_there_are(tmp_path, heads):
    columns = 12 if "class" in heads else 8
    shapes = {"class_prob": (N * P, 3), "box_deltas": (N * P, columns)}
    wanted = {name: shapes[name] for name, head in (("class_prob", "class"), ("box_deltas", "box")) if head in heads}
    text = "".join(input_layer(name, shape) for name, shape in {"rpn_prob": (N, 2, M), **SHAPES, **wanted}.items())
    bottoms = " ".join(["proposals", *wanted, "window"])
    text += PROPOSALS + python_layer("DetectionOutput", bottoms, "detections detection_rois", classes=K, heads=heads)
    net = net_of(tmp_path, text, "TEST")
    random = np.random.RandomState(1)
    blobs = {**given(), "rpn_prob": random.rand(N, 2, M)}
    blobs.update({name: random.rand(*shape).astype(np.float32) for name, shape in wanted.items()})
    fill(net, **{name: array for name, array in blobs.items() if name in net.inputs})
    net.forward()
    made, window = data(net, "proposals", "window")
    settings = DetectionOutputSettings(classes=K, heads=tuple(heads))
    expected = detections(settings, made, window, *(blobs.get(name) if name in wanted else None for name in shapes))
    np.testing.assert_array_equal(net.blobs["detections"].data, expected)
    assert net.blobs["detections"].data.shape == (N, 10, 9)
    np.testing.assert_array_equal(net.blobs["detection_rois"].data, numbered(expected))
    assert (net.blobs["detections"].data[:, 0, 4] >= 1).all()


# images without anything


def test_where_there_is_no_proposal_the_window_is_the_answer_and_the_region_whose_mask_is_asked_for(tmp_path):
    text = "".join(input_layer(name, shape) for name, shape in {"rpn_prob": (N, 2, M), **SHAPES}.items())
    text += PROPOSALS + python_layer(
        "DetectionOutput", "proposals window", "detections detection_rois", classes=K, heads=["mask"]
    )
    text += python_layer("RoIAlign", f"{FEATURES} detection_rois", "mask_pooled", pooled=6)
    net = filled(tmp_path, text, "TEST", rpn_prob=np.full((N, 2, M), 0.5), rpn_deltas=np.full((N, 4, M), -1e6))
    net.forward()
    made, rois, window = data(net, "detections", "detection_rois", "window")
    np.testing.assert_array_equal(made[:, 0], [[*each, 1, 0, 0, 0.5, 0.5] for each in window])
    np.testing.assert_array_equal(rois[::10], [[number, *each] for number, each in enumerate(window)])
    assert not made[:, 1:].any()
    assert net.blobs["mask_pooled"].data[::10].any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("without", ["nothing", "lesions", "proposals", "positives", "all"])
def test_images_without_proposals_positives_or_lesions_train_and_test(tmp_path, without, phase):
    changes, text = {}, CHAIN
    if without in ("lesions", "all"):
        changes.update(class_label=np.zeros(N), box=np.zeros((N, 4)), mask=np.zeros(SHAPES["mask"]))
    if without in ("proposals", "all"):
        changes["rpn_deltas"] = np.full(SHAPES["rpn_deltas"], -1e6)  # all far to the left of the window
    if without == "positives":
        text = CHAIN.replace('"mask_side": 6', '"mask_side": 6, "add_boxes": false, "positive": 1')
    net = filled(tmp_path, text, phase, **changes)
    forget_gradients(net)
    net.forward()
    net.backward()
    assert all(blob.count for blob in net.blobs.values())
    losses = {name: float(net.blobs[name].data) for name in LOSSES}
    assert np.isfinite(list(losses.values())).all(), losses
    for name in ("rpn_score", "rpn_deltas", "P2", "P3", "P4", "P5"):
        assert np.isfinite(net.blobs[name].diff).all(), name
    for blobs in net.params.values():
        assert all(np.isfinite(blob.diff).all() for blob in blobs)
    labels = net.blobs["roi_labels"].data
    assert (labels > 0).any() == (without in ("nothing", "proposals"))
    assert (losses["jaccard_loss"] > 0) == (losses["box_loss"] > 0) == (labels > 0).any()
    assert net.blobs["proposals"].data.any() == (without not in ("proposals", "all"))
    assert (labels == -1).all() == (without == "all")


def test_only_losses_teach_what_is_below(tmp_path):
    """The region proposal net learns from its own two losses alone, the features from the pooled regions alone."""
    net = filled(tmp_path, CHAIN)
    forget_gradients(net)
    net.forward()
    net.backward()
    alone = filled(tmp_path, CHAIN[: CHAIN.index('layer { name: "RoIAlign')])
    alone.forward()
    alone.backward()
    for name in ("rpn_score", "rpn_deltas"):
        np.testing.assert_allclose(net.blobs[name].diff, alone.blobs[name].diff, atol=1e-9)
        assert alone.blobs[name].diff.any()
    for name in ("box", "class_label", "draw", "window", "mask", "rois"):
        assert not np.nan_to_num(net.blobs[name].diff).any()
