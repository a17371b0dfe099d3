"""What the layers of Song et al. (2020) are told in their `param_str`: one dataclass a layer, defaults with sources.

The paper's text gives few values. Where it gives none, the default is that of matterport's Mask R-CNN, on which the
paper's system probably stands, unless a comment says otherwise. Lengths are pixels of the net's square input.
"""

from __future__ import annotations

from dataclasses import dataclass

from skinmtl.layers.param_str import (
    Settings,
    number,
    numbers,
    one_of,
    setting,
    some_of,
    true_or_false,
    whole,
    wholes,
)

STD = (0.1, 0.1, 0.2, 0.2)
HEADS = ("class", "box", "mask")
# our choice, far above use, far below what would take a machine down or a float32 to infinity
LARGEST_SIDE, MOST_ROWS, MOST_CLASSES, LARGEST_GRID, MOST_SAMPLES, LARGEST_NUMBER = 8192, 10**6, 10**4, 1024, 64, 1e6


def _side() -> int:
    return setting(whole(1, LARGEST_SIDE))


def _scales() -> tuple[float, ...]:
    return setting(
        numbers("a list of lengths above 0, one a level", above=0, largest=LARGEST_NUMBER), (32, 64, 128, 256, 512)
    )


def _ratios() -> tuple[float, ...]:
    return setting(
        numbers("a list of ratios from 0.001 to 1000, width through height", above=0.000999, largest=1000), (0.5, 1, 2)
    )


def _strides(*default: int) -> tuple[int, ...]:
    return setting(wholes("a list of whole numbers above 0, one a level"), default)


def _std() -> tuple[float, ...]:
    return setting(numbers("four numbers above 0, of dx, dy, dw, dh", 4, above=0, largest=LARGEST_NUMBER), STD)


class _OnAnchors(Settings):
    """Settings with anchors: `scales`, one a level, at each cell of maps of `strides`."""

    side: int
    scales: tuple[float, ...]
    strides: tuple[int, ...]

    def fault(self) -> str:
        if len(self.scales) != len(self.strides):
            return (
                f"scales has {len(self.scales)} numbers, strides has {len(self.strides)}; give one of each for a level"
            )
        for stride in self.strides:
            if self.side % stride:
                return f"side {self.side} is no multiple of the stride {stride}; give a side that is one"
        return ""


@dataclass(frozen=True)
class AnchorTargetsSettings(_OnAnchors):
    """side        of the net's input
    scales      an anchor's sqrt(area), one a level
    ratios      of an anchor's width to its height
    strides     of the levels
    positive    from this IoU with the lesion's box an anchor is the lesion (paper)
    negative    below this IoU it is background (paper)
    sample      anchors an image that count in the loss
    share       of them that are positive at most
    std         that the deltas are divided by
    normaliser  what the sum of the box losses is divided by: the "positives" of the batch, the "sampled" anchors, or
                the "locations" (cells of all levels; Faster R-CNN's N_reg)
    """

    side: int = _side()
    scales: tuple[float, ...] = _scales()
    ratios: tuple[float, ...] = _ratios()
    strides: tuple[int, ...] = _strides(4, 8, 16, 32, 64)
    positive: float = setting(number(0, 1, above=True), 0.7)
    negative: float = setting(number(0, 1), 0.3)
    sample: int = setting(whole(1, MOST_ROWS), 256)
    share: float = setting(number(0, 1, above=True), 0.5)
    std: tuple[float, ...] = _std()
    normaliser: str = setting(one_of("positives", "sampled", "locations"), "positives")

    def fault(self) -> str:
        if self.negative > self.positive:
            return f"negative {self.negative:g} is above positive {self.positive:g}; give a smaller negative"
        return super().fault()


@dataclass(frozen=True)
class ProposalsSettings(_OnAnchors):
    """side, scales, ratios, strides, std as AnchorTargetsSettings
    before    the anchors of the highest scores that are kept before the non-maximum suppression
    after     the proposals that are kept after it, in deploy nets 1000
    nms       above this IoU the lower one of two is dropped
    smallest  proposals of less width or height are dropped (py-faster-rcnn 16, matterport none)
    """

    side: int = _side()
    scales: tuple[float, ...] = _scales()
    ratios: tuple[float, ...] = _ratios()
    strides: tuple[int, ...] = _strides(4, 8, 16, 32, 64)
    std: tuple[float, ...] = _std()
    before: int = setting(whole(1, MOST_ROWS), 6000)
    after: int = setting(whole(1, MOST_ROWS), 2000)
    nms: float = setting(number(0, 1), 0.7)
    smallest: float = setting(number(0, LARGEST_NUMBER), 0)


@dataclass(frozen=True)
class ProposalTargetsSettings(Settings):
    """classes         K, without the background
    rois            an image
    positive_share  of them that are positive at most
    positive        from this IoU with the lesion's box a ROI is positive
    std             that the deltas are divided by
    mask_side       of the mask targets
    add_boxes       whether the lesion's box is a proposal too (py-faster-rcnn, Detectron; matterport does not)
    """

    classes: int = setting(whole(1, MOST_CLASSES))
    rois: int = setting(whole(1, MOST_ROWS), 200)
    positive_share: float = setting(number(0, 1, above=True), 0.33)
    positive: float = setting(number(0, 1, above=True), 0.5)
    std: tuple[float, ...] = _std()
    mask_side: int = setting(whole(1, LARGEST_GRID), 28)
    add_boxes: bool = setting(true_or_false(), True)

    @property
    def most_positives(self) -> int:
        """F, the rows of an image in mask_rois and mask_targets."""
        return int(self.rois * self.positive_share)

    def fault(self) -> str:
        if self.most_positives:
            return ""
        return f"positive_share {self.positive_share:g} of {self.rois} rois is less than one; give more of either"


@dataclass(frozen=True)
class RoIAlignSettings(Settings):
    """pooled     side of the grid that a ROI is pooled to
    strides    of the feature maps, finest first
    samples    a cell, along each axis (Detectron 2, matterport 1)
    canonical  side of the ROI that belongs to the map of stride 16: 224 pixels (FPN paper)
    levels     how log2 becomes a whole number: "round" (matterport) or "floor" (FPN paper, Detectron)
    """

    pooled: int = setting(whole(1, LARGEST_GRID))
    strides: tuple[int, ...] = _strides(4, 8, 16, 32)
    samples: int = setting(whole(1, MOST_SAMPLES), 2)
    canonical: float = setting(number(0, LARGEST_NUMBER, above=True), 224)
    levels: str = setting(one_of("round", "floor"), "round")

    def fault(self) -> str:
        steps = list(zip(self.strides, self.strides[1:]))
        if all(next_stride == 2 * stride for stride, next_stride in steps):
            return ""
        return f"strides {list(self.strides)} do not double from level to level; give such as [4, 8, 16, 32]"


@dataclass(frozen=True)
class FocalLossSettings(Settings):
    """alpha  weight of the classes from 1 on (paper); the background's is 1 - alpha (RetinaNet)
    beta   exponent of 1 - p (paper)
    """

    alpha: float = setting(number(0, 1), 0.25)
    beta: float = setting(number(0, LARGEST_NUMBER), 2)


@dataclass(frozen=True)
class SmoothL1LossSettings(Settings):
    """sigma  the loss is linear from 1 / sigma^2 on (1: paper; py-faster-rcnn has 3 for its anchors)"""

    sigma: float = setting(number(0.001, 1000), 1)


@dataclass(frozen=True)
class JaccardLossSettings(Settings):
    """smooth  that intersection and union are enlarged by; weight  of the loss

    The paper's equation does not survive; its delta of 100 can be read as smooth 100 and weight 1 (the default: a
    regularising term by its size), 100 and 100 (keras-contrib), or 0 and 100.
    """

    smooth: float = setting(number(0, LARGEST_NUMBER), 100)
    weight: float = setting(number(0, LARGEST_NUMBER), 1)


@dataclass(frozen=True)
class DetectionOutputSettings(Settings):
    """classes     K, without the background
    heads       of the net; "class" and "box" say whether there is a bottom of class_prob and of box_deltas
    std         that the deltas are multiplied by
    nms         above this IoU the lower one of two detections of a class is dropped
    score       detections of a lower score are dropped (our choice 0: each image has an answer; matterport 0.7)
    detections  rows an image at most
    """

    classes: int = setting(whole(1, MOST_CLASSES))
    heads: tuple[str, ...] = setting(some_of(*HEADS), HEADS)
    std: tuple[float, ...] = _std()
    nms: float = setting(number(0, 1), 0.3)
    score: float = setting(number(0, 1), 0.0)
    detections: int = setting(whole(1, MOST_ROWS), 10)


REGION_SETTINGS = {
    "AnchorTargets": AnchorTargetsSettings,
    "Proposals": ProposalsSettings,
    "ProposalTargets": ProposalTargetsSettings,
    "RoIAlign": RoIAlignSettings,
    "FocalLoss": FocalLossSettings,
    "SmoothL1Loss": SmoothL1LossSettings,
    "JaccardLoss": JaccardLossSettings,
    "DetectionOutput": DetectionOutputSettings,
}
