"""What the subnets learn from: some proposals, and their class, box and mask (Girshick 2015, section 2.3)."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.regions.boxes import are_boxes, check_lesions, encode, iou
from skinmtl.regions.mask_targets import mask_targets
from skinmtl.regions.sampling import ROIS, generator, some_of


class ProposalTargets(NamedTuple):
    """R ROIs an image, at most F positive, which come first; K classes; all float32.

    rois          (N * R, 5): the image's number, x1, y1, x2, y2; the box is zeros where there are fewer
    roi_labels    (N * R): 1..K lesion, 0 background, -1 padding
    box_targets   (N * R, 4 (K + 1)): the deltas in the four columns of the class, else 0
    box_weights   the same shape: 1 / (4 positives of the batch) there, else 0
    mask_rois     (N * F, 5): the positive ones
    mask_targets  (N * F, K + 1, m, m): 0/1 in the class's channel, else -1, as all of the padding
    """

    rois: np.ndarray
    roi_labels: np.ndarray
    box_targets: np.ndarray
    box_weights: np.ndarray
    mask_rois: np.ndarray
    mask_targets: np.ndarray


class RoiRules(NamedTuple):
    """How ROIs are chosen. The layer's ProposalTargetsSettings, which have these fields, serve as well."""

    classes: int
    rois: int
    most_positives: int
    positive_share: float
    positive: float
    std: Sequence[float]
    mask_side: int
    add_boxes: bool


def proposal_targets(
    rules: RoiRules,
    proposals: np.ndarray,
    boxes: np.ndarray,
    class_labels: np.ndarray,
    masks: np.ndarray,
    draws: np.ndarray,
) -> ProposalTargets:
    """Of proposals (N, P, 4 or more), the lesions' boxes (N, 4), class labels (N), 0 where there is none, masks
    (N, H, W) of 0/1 and draws (N, 2). With one class every lesion is class 1. InputError for a label above `classes`,
    or where a lesion's box has no area.
    """
    check_lesions(boxes, class_labels)
    made = empty_targets(rules, len(boxes))
    rows, mask_rows = rules.rois, rules.most_positives
    for number, (box, label) in enumerate(zip(boxes, class_labels.astype(int))):
        label = min(label, 1) if rules.classes == 1 else label
        if label > rules.classes:
            raise InputError(f"a class_label is {label}, but classes in param_str is {rules.classes}; give the net's K")
        candidates = proposals[number, :, :4][are_boxes(proposals[number])]
        if label > 0 and rules.add_boxes:
            candidates = np.concatenate([candidates, box[None]])
        positives, negatives = chosen(rules, candidates, box if label > 0 else None, generator(draws[number], ROIS))
        first, first_mask, count = number * rows, number * mask_rows, len(positives)
        of_both = slice(first, first + count + len(negatives))
        made.rois[first : first + rows, 0] = number
        made.rois[of_both, 1:] = candidates[np.concatenate([positives, negatives])]
        made.roi_labels[of_both] = 0
        made.mask_rois[first_mask : first_mask + mask_rows, 0] = number
        if count:
            columns = slice(4 * label, 4 * label + 4)
            found = candidates[positives]
            made.roi_labels[first : first + count] = label
            made.box_targets[first : first + count, columns] = encode(box, found, rules.std)
            made.box_weights[first : first + count, columns] = 1
            made.mask_rois[first_mask : first_mask + count, 1:] = found
            made.mask_targets[first_mask : first_mask + count, label] = mask_targets(
                masks[number], found, rules.mask_side
            )
    made.box_weights[...] /= max(int(made.box_weights.sum()), 1)  # it counts 4 for each positive
    return made


def empty_targets(rules: RoiRules, images: int) -> ProposalTargets:
    """The targets of so many images when all is padding."""
    rows, mask_rows, channels = images * rules.rois, images * rules.most_positives, rules.classes + 1
    return ProposalTargets(
        np.zeros((rows, 5), np.float32),
        np.full(rows, -1, np.float32),
        np.zeros((rows, 4 * channels), np.float32),
        np.zeros((rows, 4 * channels), np.float32),
        np.zeros((mask_rows, 5), np.float32),
        np.full((mask_rows, channels, rules.mask_side, rules.mask_side), -1, np.float32),
    )


def chosen(
    rules: RoiRules, candidates: np.ndarray, box: np.ndarray | None, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the candidates (n, 4) that are taken as positive and as negative; box None: there is no lesion.

    The negatives keep the share to the positives that were found (matterport). Where none was, there are as many as
    beside the most positives (our choice: there all the negatives would be left out).
    """
    if box is None:
        overlaps = np.zeros(len(candidates))
    else:
        overlaps = iou(candidates.astype(np.float64), box[None].astype(np.float64))[:, 0]
    is_positive = overlaps >= rules.positive
    positives = some_of(np.flatnonzero(is_positive), rules.most_positives, random)
    wanted = rules.rois - rules.most_positives
    if len(positives):
        in_all = int(len(positives) / rules.positive_share + 1e-6)  # 66 / 0.33 is 200, however it is rounded
        wanted = min(in_all, rules.rois) - len(positives)
    return positives, some_of(np.flatnonzero(~is_positive), wanted, random)
