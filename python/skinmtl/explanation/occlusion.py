"""Occlusion (Zeiler and Fergus 2014): what a net loses where a part of the photograph is covered.

It needs forward passes alone, many of them, and so asks nothing of the net's inside.
"""

from __future__ import annotations

from math import ceil
from typing import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from skinmtl.explanation.attention_geometry import Cells, Place
from skinmtl.explanation.attention_passes import Lens, batches, blended, crops_at, cut
from skinmtl.explanation.photograph import Photograph

PATCH = 4  # a crop's side through the covering square's: our choice, about a lesion's size in a close photograph
OVERLAP = 2  # the square's side through the step from one to the next


def occlusion_maps(lens: Lens, photograph: Photograph, chosen: dict[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """head -> (K, H, W) float64: by how much the logit of each `chosen` label falls where a pixel is covered."""
    (side,) = lens.ways.sides
    image, places = crops_at(lens, photograph, side)
    starts, cells = squares(lens.side)
    per_crop = 1 + len(starts) ** 2
    blobs = [lens.logits[head] for head in chosen]
    logits: dict[str, list[np.ndarray]] = {head: [] for head in chosen}
    inputs = _covered(lens, image, places, starts)
    with tqdm(desc="covering", total=per_crop * len(places), unit="crop", leave=False, disable=None) as bar:
        for batch in batches(inputs, lens.batch_size):
            for head, values in zip(chosen, lens.net.forward({"data": batch}, blobs)):
                logits[head].extend(values.reshape(len(batch), -1)[:, list(chosen[head])].copy())
            bar.update(len(batch))
    found = {}
    for head, labels in chosen.items():
        of_crops = np.stack(logits[head]).reshape(len(places), per_crop, len(labels))
        falls = (of_crops[:, :1] - of_crops[:, 1:]).transpose(0, 2, 1)
        maps = falls.reshape(len(places), len(labels), len(starts), len(starts))
        found[head] = blended(list(maps), places, image.shape[:2], lens.side, cells)
    return found


def squares(side: int) -> tuple[np.ndarray, Cells]:
    """The first pixels, along a side of a crop, of the squares that cover it in turn, and where their middles lie."""
    patch = _patch(side)
    count = ceil((side - patch) * OVERLAP / patch) + 1
    step = (side - patch) / (count - 1)
    return np.rint(step * np.arange(count)).astype(int), Cells((patch - 1) / 2, step)


def _patch(side: int) -> int:
    return max(1, side // PATCH)


def _covered(lens: Lens, image: np.ndarray, places: Sequence[Place], starts: np.ndarray) -> Iterator[np.ndarray]:
    """Yields of each crop itself, then as often with another square at the mean, which is 0."""
    patch = _patch(lens.side)
    for place in places:
        crop = cut(image, place, lens.side, lens.mean)
        yield crop
        for top in starts:
            for left in starts:
                covered = crop.copy()
                covered[:, top : top + patch, left : left + patch] = 0
                yield covered
