"""Mask targets on a device, as skinmtl.regions.mask_targets has them in numpy."""

from __future__ import annotations

import torch
from torch import Tensor


def mask_targets(mask: Tensor, boxes: Tensor, side: int) -> Tensor:
    """0/1 (R, side, side) float32: a mask (H, W) of 0/1 as boxes (R, 4) see it: read bilinearly in the middle of each
    cell, outside as at its border, and rounded; 0.5 is lesion. In float64, as in numpy: a rounding else differs."""
    steps = (torch.arange(side, dtype=torch.float64, device=mask.device) + 0.5) / side
    boxes, mask = boxes.float(), mask.double()
    rows = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * steps - 0.5
    columns = boxes[:, 0:1] + (boxes[:, 2:3] - boxes[:, 0:1]) * steps - 0.5
    top, bottom, down = _around(rows, mask.shape[0])
    left, right, across = _around(columns, mask.shape[1])
    down, across = down[:, :, None], across[:, None]
    left, right = left[:, None], right[:, None]
    upper = mask[top[:, :, None], left] * (1 - across) + mask[top[:, :, None], right] * across
    lower = mask[bottom[:, :, None], left] * (1 - across) + mask[bottom[:, :, None], right] * across
    return (upper * (1 - down) + lower * down >= 0.5).float()


def _around(places: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels before and after places (R, side) of a line, and how far each lies from the first to the second."""
    places = places.clamp(0, length - 1)
    first = places.floor().long()
    return first, (first + 1).clamp(max=length - 1), places - first
