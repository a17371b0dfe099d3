"""Boxes on a device as skinmtl.regions.boxes has them in numpy: the same formulae, the same order of operations."""

from __future__ import annotations

from typing import Sequence

import torch
import torchvision
from torch import Tensor

from skinmtl.regions.boxes import LARGEST_LOG
from skinmtl.regions.nms import nms


def areas(boxes: Tensor) -> Tensor:
    """Areas (...) of boxes (..., 4); 0 where one has no width or no height."""
    sides = (boxes[..., 2:4] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def are_boxes(boxes: Tensor) -> Tensor:
    """bool (...): which boxes (..., 4 or more) have an area."""
    return (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])


def iou_with(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union (M), float64, of one box (4) with boxes (M, 4)."""
    box, boxes = box.double(), boxes.double()
    sides = (torch.minimum(boxes[:, 2:], box[2:]) - torch.maximum(boxes[:, :2], box[:2])).clamp(min=0)
    shared = sides[:, 0] * sides[:, 1]
    union = areas(boxes) + areas(box) - shared
    return shared / torch.where(union > 0, union, 1.0)


def encode(box: Tensor, references: Tensor, std: Sequence[float]) -> Tensor:
    """Deltas (M, 4) of a box (4) seen from references (M, 4)."""
    centre, side = _centres_and_sides(box)
    centres, sides = _centres_and_sides(references)
    deltas = torch.cat([(centre - centres) / sides, torch.log(side / sides)], -1)
    return deltas / deltas.new_tensor(std)


def decode(deltas: Tensor, references: Tensor, std: Sequence[float]) -> Tensor:
    """Boxes (..., 4) that have these deltas (..., 4) seen from references (..., 4)."""
    deltas = deltas * deltas.new_tensor(std)
    centres, sides = _centres_and_sides(references)
    centres = centres + deltas[..., :2] * sides
    halves = torch.exp(deltas[..., 2:].clamp(max=LARGEST_LOG)) * sides * 0.5
    return torch.cat([centres - halves, centres + halves], -1)


def clip(boxes: Tensor, window: Tensor) -> Tensor:
    """Boxes (..., 4) cut off at a window (4)."""
    return torch.minimum(torch.maximum(boxes, window[:2].repeat(2)), window[2:].repeat(2))


def kept(boxes: Tensor, threshold: float, most: int) -> Tensor:
    """Indices of the boxes (n, 4), best first, that are left after non-maximum suppression; they rise; at most `most`.

    On a CPU by numpy, which is several times as fast as torchvision's there where many are left; the same boxes.
    """
    if on_cpu(boxes):
        return torch.from_numpy(nms(boxes.numpy(), threshold, most))
    order = torch.arange(len(boxes), 0, -1, dtype=torch.float32, device=boxes.device)
    # the threshold as a float32, as numpy has it: else an overlap that equals it might count as above
    return torchvision.ops.nms(boxes, order, torch.tensor(threshold, dtype=torch.float32).item())[:most]


def on_cpu(boxes: Tensor) -> bool:
    """Whether numpy can have them without a copy."""
    return boxes.device.type == "cpu"


def highest(scores: Tensor, count: int) -> Tensor:
    """Indices of the `count` highest scores (n), highest first; of equal ones the first index goes first."""
    candidates = torch.arange(len(scores), device=scores.device)
    if count < len(scores):
        (candidates,) = torch.where(scores >= torch.topk(scores, count).values[-1])
    order = torch.sort(scores[candidates], descending=True, stable=True).indices
    return candidates[order[:count]]


def numbered(boxes: Tensor) -> Tensor:
    """ROIs (N * P, 5) of boxes (N, P, 4 or more): the image's number, then the box."""
    images = torch.arange(len(boxes), dtype=torch.float32, device=boxes.device).repeat_interleave(boxes.shape[1])
    return torch.cat([images[:, None], boxes[:, :, :4].reshape(-1, 4)], 1)


def _centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + sides * 0.5, sides
