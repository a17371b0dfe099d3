"""The layers of Song et al. (2020) that choose regions, for pycaffe. No gradient passes them.

Where a blob of theirs is the label or the weight of a loss of Caffe's own, such as SoftmaxWithLoss, write
`propagate_down: false` for the bottoms of Proposals: that loss refuses to give a gradient to its labels.
"""

from __future__ import annotations

from typing import Any, Sequence

from skinmtl.layers.caffe_checked import CheckedLayer
from skinmtl.regions.anchor_targets import anchor_targets
from skinmtl.regions.anchors import anchors
from skinmtl.regions.detections import FIXED, detections
from skinmtl.regions.proposal_targets import proposal_targets
from skinmtl.regions.proposals import numbered, proposals

Shape = Sequence[int]


def _count_anchors(settings: Any) -> int:
    return len(anchors(settings.side, settings.scales, settings.ratios, settings.strides))


class AnchorTargets(CheckedLayer):
    """Bottoms: box (N, 4), class_label (N), 0 for no lesion, draw (N, 2).
    Tops: rpn_labels (N, M), rpn_box_targets (N, 4, M), rpn_box_weights (N, 4, M): see regions/anchor_targets.py.
    """

    bottom_names = ("box", "class_label", "draw")
    top_names = ("rpn_labels", "rpn_box_targets", "rpn_box_weights")

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return ("N", 4), ("N",), ("N", 2)

    def shapes_of_tops(self, shapes: Sequence[Shape]) -> Any:
        images, count = self.sizes["N"], _count_anchors(self.settings)
        return (images, count), (images, 4, count), (images, 4, count)

    def compute(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        _fill(top, anchor_targets(self.settings, *bottom))


class Proposals(CheckedLayer):
    """Bottoms: rpn_prob (N, 2, M), channel 1 foreground, rpn_deltas (N, 4, M), window (N, 4).
    Tops: proposals (N, P, 5), and if wanted rois (N * P, 5): see regions/proposals.py.
    """

    bottom_names = ("rpn_prob", "rpn_deltas", "window")
    top_names = ("proposals",)
    optional_tops = ("rois",)

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        count = _count_anchors(self.settings)
        return ("N", 2, count), ("N", 4, count), ("N", 4)

    def shapes_of_tops(self, shapes: Sequence[Shape]) -> Any:
        images, after = self.sizes["N"], self.settings.after
        return (images, after, 5), (images * after, 5)

    def compute(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        rpn_prob, rpn_deltas, window = bottom
        made = proposals(self.settings, rpn_prob[:, 1], rpn_deltas, window)
        _fill(top, [made, numbered(made)][: len(top)])


class ProposalTargets(CheckedLayer):
    """Bottoms: proposals (N, P, 5), box (N, 4), class_label (N), mask (N, 1, S, S) of 0/1, draw (N, 2).
    Tops: rois (N * R, 5), roi_labels (N * R), box_targets and box_weights (N * R, 4 (K + 1)), mask_rois (N * F, 5),
    mask_targets (N * F, K + 1, m, m): see regions/proposal_targets.py.
    """

    bottom_names = ("proposals", "box", "class_label", "mask", "draw")
    top_names = ("rois", "roi_labels", "box_targets", "box_weights", "mask_rois", "mask_targets")

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return ("N", "P", 5), ("N", 4), ("N",), ("N", 1, "S", "S"), ("N", 2)

    def shapes_of_tops(self, shapes: Sequence[Shape]) -> Any:
        settings = self.settings
        rows, masks = self.sizes["N"] * settings.rois, self.sizes["N"] * settings.most_positives
        channels, side = settings.classes + 1, settings.mask_side
        return (rows, 5), (rows,), (rows, 4 * channels), (rows, 4 * channels), (masks, 5), (masks, channels, side, side)

    def compute(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        made, box, class_label, mask, draw = bottom
        _fill(top, proposal_targets(self.settings, made, box, class_label, mask[:, 0], draw))


class DetectionOutput(CheckedLayer):
    """Bottoms: proposals (N, P, 5), class_prob (N * P, K + 1) and box_deltas (N * P, 4 (K + 1)) as far as the net has
    these heads, window (N, 4). Without the class head the box head is of one class, and box_deltas (N * P, 8).
    Tops: detections (N, D, 7 + K), detection_rois (N * D, 5): see regions/detections.py.
    """

    top_names = ("detections", "detection_rois")

    def names_of_bottoms(self, settings: Any) -> Sequence[str]:
        heads = {"class": "class_prob", "box": "box_deltas"}
        return ["proposals", *(name for head, name in heads.items() if head in settings.heads), "window"]

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        images, count = shapes[0][:2] if len(shapes[0]) == 3 else (1, 1)  # else the first bottom is told first
        channels = self.settings.classes + 1
        columns = 4 * channels if "class" in self.settings.heads else 8
        wanted = {"class_prob": (images * count, channels), "box_deltas": (images * count, columns)}
        names = self.names_of_bottoms(self.settings)[1:-1]
        return [("N", "P", 5), *(wanted[name] for name in names), ("N", 4)]

    def shapes_of_tops(self, shapes: Sequence[Shape]) -> Any:
        images, most = self.sizes["N"], self.settings.detections
        return (images, most, FIXED + self.settings.classes), (images * most, 5)

    def compute(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        given = dict(zip(self.names_of_bottoms(self.settings), bottom))
        made = detections(
            self.settings, given["proposals"], given["window"], given.get("class_prob"), given.get("box_deltas")
        )
        _fill(top, [made, numbered(made)])


def _fill(top: Sequence[Any], arrays: Sequence[Any]) -> None:
    for blob, array in zip(top, arrays):
        blob.data[...] = array
