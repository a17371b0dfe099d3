"""AnchorTargets, Proposals and ProposalTargets without Caffe: the same settings and numbers as the layers for BVLC
Caffe (skinmtl.regions has what they compute, in numpy), on the device of the net.

No gradient flows through them. What is drawn is drawn on the host, by the same generator: the same in both engines.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np
import torch
from torch import Tensor

from caffe_torch.layers.layer import Shape
from skinmtl.layers.torch_boxes import are_boxes, clip, decode, encode, highest, iou_with, kept, numbered
from skinmtl.layers.torch_checked import CheckedLayer
from skinmtl.layers.torch_masks import mask_targets
from skinmtl.regions.anchor_targets import TIE
from skinmtl.regions.anchors import anchors, cells
from skinmtl.regions.sampling import ANCHORS, ROIS, generator

DIVERGED = (
    "rpn_prob or rpn_deltas hold NaN or infinite numbers: the training diverged, or the weights are damaged; train "
    "with a lower base_lr or with clip_gradients"
)


class _OnAnchors(CheckedLayer):
    """Has the buffer `anchors` (M, 4)."""

    def prepare(self) -> None:
        settings = self.settings
        made = anchors(settings.side, settings.scales, settings.ratios, settings.strides)
        self.register_buffer("anchors", torch.from_numpy(made.copy()), persistent=False)


class AnchorTargets(_OnAnchors):
    """Bottoms: box (N, 4), class_label (N), draw (N, 2). Tops: rpn_labels (N, M), rpn_box_targets and rpn_box_weights
    (N, 4, M): skinmtl.regions.anchor_targets."""

    bottom_names = ("box", "class_label", "draw")
    top_names = ("rpn_labels", "rpn_box_targets", "rpn_box_weights")

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return ("N", 4), ("N",), ("N", 2)

    @torch.no_grad()
    def forward(self, boxes: Tensor, classes: Tensor, draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images, count = len(boxes), len(self.anchors)
        labels = boxes.new_full((images, count), -1)
        targets, weights = (boxes.new_zeros((images, 4, count)) for _ in range(2))
        if boxes.is_meta:  # the net asks for shapes
            return labels, targets, weights
        lesions = (classes > 0).tolist()
        for number, draw in enumerate(draws.cpu().numpy()):
            box = boxes[number] if lesions[number] else None
            positives, negatives = self._sampled(self._labels(box), generator(draw, ANCHORS))
            labels[number, negatives] = 0
            labels[number, positives] = 1
            if box is not None:
                targets[number][:, positives] = encode(box, self.anchors[positives], self.settings.std).T
            weights[number][:, positives] = 1
        weights /= self._normaliser(labels)
        return labels, targets, weights

    def _labels(self, box: Tensor | None) -> Tensor:
        settings = self.settings
        if box is None:
            return self.anchors.new_zeros(len(self.anchors))
        overlaps = iou_with(box, self.anchors)
        labels = torch.full_like(overlaps, -1)
        labels[overlaps < settings.negative] = 0
        labels[overlaps >= settings.positive] = 1
        best = overlaps.max()
        labels[(overlaps >= best * (1 - TIE)) & (best > 0)] = 1
        return labels

    def _sampled(self, labels: Tensor, random: np.random.RandomState) -> tuple[Tensor, Tensor]:
        settings = self.settings
        positives = drawn(labels == 1, int(settings.sample * settings.share), random)
        return positives, drawn(labels == 0, settings.sample - len(positives), random)

    def _normaliser(self, labels: Tensor) -> Tensor | int:
        settings = self.settings
        if settings.normaliser == "locations":
            return len(labels) * cells(settings.side, settings.strides)
        counted = labels == 1 if settings.normaliser == "positives" else labels >= 0
        return counted.sum().clamp(min=1)


class Proposals(_OnAnchors):
    """Bottoms: rpn_prob (N, 2, M), rpn_deltas (N, 4, M), window (N, 4). Tops: proposals (N, P, 5), and where there is a
    second one, rois (N * P, 5): skinmtl.regions.proposals."""

    bottom_names = ("rpn_prob", "rpn_deltas", "window")
    top_names, optional_tops = ("proposals",), ("rois",)

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        count = len(self.anchors)
        return ("N", 2, count), ("N", 4, count), ("N", 4)

    @torch.no_grad()
    def forward(self, probabilities: Tensor, deltas: Tensor, windows: Tensor) -> tuple[Tensor, ...]:
        rows = windows.new_zeros((len(windows), self.settings.after, 5), dtype=torch.float32)
        if not windows.is_meta:
            for number, window in enumerate(windows):
                found = self._of_image(probabilities[number, 1].float(), deltas[number].float(), window)
                rows[number, : len(found)] = found
        return (rows, numbered(rows))[: len(self.param.top)]

    def _of_image(self, scores: Tensor, deltas: Tensor, window: Tensor) -> Tensor:
        settings = self.settings
        if not scores.isfinite().all():
            raise self.refuse(DIVERGED)
        best = highest(scores, settings.before)
        moved = decode(deltas[:, best].T, self.anchors[best], settings.std)
        if not moved.isfinite().all():
            raise self.refuse(DIVERGED)
        boxes = clip(moved, window)
        large = are_boxes(boxes) & ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= settings.smallest)
        boxes, scores = boxes[large], scores[best[large]]
        chosen = kept(boxes, settings.nms, settings.after)
        return torch.cat([boxes[chosen], scores[chosen, None]], 1)


class ProposalTargets(CheckedLayer):
    """Bottoms: proposals (N, P, 5), box (N, 4), class_label (N), mask (N, 1, S, S), draw (N, 2).

    Tops: rois, roi_labels, box_targets, box_weights, mask_rois, mask_targets: skinmtl.regions.proposal_targets.
    """

    bottom_names = ("proposals", "box", "class_label", "mask", "draw")
    top_names = ("rois", "roi_labels", "box_targets", "box_weights", "mask_rois", "mask_targets")

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return ("N", "P", 5), ("N", 4), ("N",), ("N", 1, "S", "S"), ("N", 2)

    @torch.no_grad()
    def forward(self, proposals: Tensor, boxes: Tensor, classes: Tensor, masks: Tensor, draws: Tensor) -> tuple:
        tops = self._empty(boxes)
        if boxes.is_meta:
            return tops
        for number, (draw, label) in enumerate(zip(draws.cpu().numpy(), classes.long().tolist())):
            label = min(label, 1) if self.settings.classes == 1 else label
            if label > self.settings.classes:
                raise self.refuse(
                    f"a class_label is {label}, but classes in param_str is {self.settings.classes}; give the net's K"
                )
            candidates = proposals[number, :, :4][are_boxes(proposals[number])]
            box = boxes[number] if label > 0 else None
            if label > 0 and self.settings.add_boxes:
                candidates = torch.cat([candidates, boxes[number, None]])
            positives, negatives = self._chosen(candidates, box, generator(draw, ROIS))
            self._fill(tops, number, label, box, candidates[positives], candidates[negatives], masks[number, 0])
        weights = tops[3]
        weights /= weights.sum().clamp(min=1)  # it counts 4 for each positive
        return tops

    def _empty(self, like: Tensor) -> tuple[Tensor, ...]:
        """The tops of as many images when all is padding."""
        settings, images = self.settings, len(like)
        numbers = torch.arange(images, dtype=torch.float32, device=like.device)
        rois, mask_rois = (
            torch.cat([numbers.repeat_interleave(rows)[:, None], like.new_zeros((images * rows, 4))], 1)
            for rows in (settings.rois, settings.most_positives)
        )
        channels, side = settings.classes + 1, settings.mask_side
        return (
            rois,
            like.new_full((len(rois),), -1),
            like.new_zeros((len(rois), 4 * channels)),
            like.new_zeros((len(rois), 4 * channels)),
            mask_rois,
            like.new_full((len(mask_rois), channels, side, side), -1),
        )

    def _chosen(self, candidates: Tensor, box: Tensor | None, random: np.random.RandomState) -> tuple[Tensor, Tensor]:
        settings = self.settings
        overlaps = candidates.new_zeros(len(candidates)) if box is None else iou_with(box, candidates)
        is_positive = overlaps >= settings.positive
        positives = drawn(is_positive, settings.most_positives, random)
        wanted = settings.rois - settings.most_positives
        if len(positives):
            in_all = int(len(positives) / settings.positive_share + 1e-6)
            wanted = min(in_all, settings.rois) - len(positives)
        return positives, drawn(~is_positive, wanted, random)

    def _fill(
        self,
        tops: tuple[Tensor, ...],
        number: int,
        label: int,
        box: Tensor | None,
        positives: Tensor,
        negatives: Tensor,
        mask: Tensor,
    ) -> None:
        """Writes an image's rows."""
        settings = self.settings
        rois, labels, targets, weights, mask_rois, of_masks = tops
        first, first_mask, count = number * settings.rois, number * settings.most_positives, len(positives)
        both = torch.cat([positives, negatives])
        rois[first : first + len(both), 1:] = both
        labels[first : first + len(both)] = 0
        if not count:
            return
        columns = slice(4 * label, 4 * label + 4)
        labels[first : first + count] = label
        targets[first : first + count, columns] = encode(box, positives, settings.std)
        weights[first : first + count, columns] = 1
        mask_rois[first_mask : first_mask + count, 1:] = positives
        of_masks[first_mask : first_mask + count, label] = mask_targets(mask, positives, settings.mask_side)


def drawn(among: Tensor, count: int, random: np.random.RandomState) -> Tensor:
    """Indices of `count` of the places that are true in `among` (n), as the generator draws them; all of them where
    there are no more."""
    (places,) = torch.where(among)
    if len(places) <= count:
        return places
    return places[torch.from_numpy(random.permutation(len(places))[:count]).to(places.device)]
