"""What the subnets learn from: ROIs, their classes, deltas and masks; images without any still have their rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.layers.region_settings import ProposalTargetsSettings
from skinmtl.regions.boxes import decode, iou
from skinmtl.regions.mask_targets import mask_targets
from skinmtl.regions.proposal_targets import proposal_targets

RULES = ProposalTargetsSettings(classes=2)
BOX = np.float32([40, 50, 140, 170])
DRAW = np.float32([7, 11])
MASK = np.zeros((256, 256), np.float32)
MASK[60:160, 45:130] = 1


def near(count, seed=0, spread=8.0):
    """Proposals (count, 5) that overlap the lesion by half or more."""
    made = np.zeros((count, 5), np.float32)
    made[:, :4] = BOX + np.random.RandomState(seed).uniform(-spread, spread, (count, 4))
    made[:, 4] = 0.5
    return made


def far(count, seed=0):
    """Proposals (count, 5) away from the lesion."""
    made = np.full((count, 5), 0.5, np.float32)
    made[:, :2] = np.random.RandomState(seed).uniform(150, 200, (count, 2))
    made[:, 2:4] = made[:, :2] + 50
    return made


def one_image(proposals, label=2, rules=RULES, box=BOX, draw=DRAW):
    padded = np.concatenate([proposals, np.zeros((3, 5), np.float32)])
    return proposal_targets(rules, padded[None], box[None], np.float32([label]), MASK[None], draw[None])


@pytest.mark.parametrize(
    ("close", "away", "positives", "negatives"),
    [
        (300, 300, 66, 134),  # 33 % of 200
        (10, 300, 11, 22),  # the box itself is one: two negatives to a positive
        (0, 300, 1, 2),
        (300, 5, 66, 5),
        (0, 0, 1, 0),
    ],
)
def test_at_most_a_third_is_positive_and_negatives_keep_two_to_one(close, away, positives, negatives):
    made = one_image(np.concatenate([near(close), far(away)]))
    assert made.roi_labels.tolist() == [2] * positives + [0] * negatives + [-1] * (200 - positives - negatives)


def test_labels_follow_the_overlap_of_one_half():
    half = np.float32([[40, 50, 140, 110, 1], [40, 50, 140, 109, 1]])  # 60 and 59 of 120 rows
    rules = replace(RULES, add_boxes=False)
    made = one_image(half, rules=rules)
    assert made.roi_labels[:3].tolist() == [2, 0, -1]
    np.testing.assert_array_equal(made.rois[:2, 1:], half[:, :4])


def test_the_rois_that_are_taken_are_proposals_that_lie_right():
    made = one_image(np.concatenate([near(300), far(300)]))
    overlaps = iou(made.rois[:200, 1:].astype(float), BOX[None].astype(float))[:, 0]
    assert overlaps[:66].min() >= 0.5
    assert overlaps[66:].max() < 0.5
    known = {tuple(box) for box in np.concatenate([near(300), far(300)])[:, :4].tolist()} | {tuple(BOX.tolist())}
    assert {tuple(box) for box in made.rois[:, 1:].tolist()} <= known
    assert len({tuple(box) for box in made.rois[:, 1:].tolist()}) == 200


def test_the_box_itself_is_a_proposal_where_it_is_wanted():
    made = one_image(far(9))
    np.testing.assert_array_equal(made.rois[0], [0, *BOX])
    assert not made.box_targets[0].any()
    without = one_image(far(9), rules=replace(RULES, add_boxes=False))
    assert without.roi_labels[:10].tolist() == [0] * 9 + [-1]


def test_without_a_positive_there_are_up_to_134_negatives():
    rules = replace(RULES, add_boxes=False)
    assert np.count_nonzero(one_image(far(300), rules=rules).roi_labels == 0) == 134
    made = one_image(np.concatenate([near(50), far(300)]), label=0)  # no lesion: all are background
    assert np.count_nonzero(made.roi_labels == 0) == 134
    assert np.count_nonzero(made.roi_labels > 0) == 0
    for never in (made.box_weights, made.box_targets, made.mask_rois[:, 1:]):
        assert not never.any()
    assert (made.mask_targets == -1).all()


def test_without_a_proposal_and_without_a_lesion_all_rows_are_padding():
    made = one_image(np.zeros((1, 5), np.float32), label=0, box=np.zeros(4, np.float32))
    assert made.rois.shape == (200, 5)
    assert not made.rois.any()
    assert (made.roi_labels == -1).all()
    assert made.mask_rois.shape == (66, 5)


def test_deltas_stand_in_the_columns_of_the_class_with_weights_of_the_batch():
    proposals = np.stack([np.concatenate([near(30, seed), far(40, seed)]) for seed in (1, 2)])
    labels = np.float32([1, 2])
    made = proposal_targets(
        RULES, proposals, np.stack([BOX, BOX]), labels, np.stack([MASK, MASK]), np.stack([DRAW] * 2)
    )
    positive = made.roi_labels > 0
    assert np.count_nonzero(positive) == 62
    for row in np.flatnonzero(positive):
        label = int(made.roi_labels[row])
        columns = np.zeros(12, bool)
        columns[4 * label : 4 * label + 4] = True
        back = decode(made.box_targets[row, columns], made.rois[row, 1:], RULES.std)
        np.testing.assert_allclose(back, BOX, atol=1e-3)
        assert not made.box_targets[row, ~columns].any()
        np.testing.assert_allclose(made.box_weights[row], columns / (4 * 62), rtol=1e-6)
    assert not made.box_weights[~positive].any()
    np.testing.assert_allclose(made.box_weights.sum(), 1, rtol=1e-5)


def test_masks_are_those_of_the_positive_rois_on_the_channel_of_the_class():
    made = one_image(near(20), label=1)
    assert made.mask_targets.shape == (66, 3, 28, 28)
    np.testing.assert_array_equal(made.mask_rois[:21], made.rois[:21])
    np.testing.assert_array_equal(made.mask_targets[:21, 1], mask_targets(MASK, made.mask_rois[:21, 1:], 28))
    assert (made.mask_targets[:, [0, 2]] == -1).all()
    assert (made.mask_targets[21:] == -1).all()
    assert not made.mask_rois[21:].any()


def test_the_second_image_has_its_number_in_all_its_rows():
    two = proposal_targets(
        RULES,
        np.stack([near(5), far(5)]),
        np.stack([BOX, BOX]),
        np.float32([1, 0]),
        np.stack([MASK] * 2),
        DRAW[None].repeat(2, 0),
    )
    assert two.rois[:, 0].tolist() == [0] * 200 + [1] * 200
    assert two.mask_rois[:, 0].tolist() == [0] * 66 + [1] * 66
    assert two.roi_labels[200:206].tolist() == [0] * 5 + [-1]


def test_with_one_class_every_lesion_is_class_1_and_else_a_label_above_is_refused():
    made = one_image(near(3), label=2, rules=replace(RULES, classes=1))
    assert made.roi_labels[:4].tolist() == [1] * 4
    assert made.mask_targets.shape[1] == 2
    with pytest.raises(InputError, match="a class_label is 3, but classes in param_str is 2"):
        one_image(near(3), label=3)


def test_the_draw_alone_decides():
    proposals = np.concatenate([near(300), far(300)])
    first, again, other = (one_image(proposals, draw=draw).rois for draw in (DRAW, DRAW, DRAW + 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
