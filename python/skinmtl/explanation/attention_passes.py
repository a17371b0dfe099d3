"""What every method of making maps needs: the open net, where its maps lie, and how a photograph is given to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import Callable, Iterable, Iterator, Sequence, TypeVar

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.memory import require_memory
from skinmtl.engines.open_net import OpenNet
from skinmtl.engines.snapshot import Snapshot
from skinmtl.explanation.attention_geometry import Cells, Place, tent, windows
from skinmtl.explanation.attention_ways import Ways
from skinmtl.explanation.photograph import Photograph

# Of one pass, our choice: a ResNet-50 takes 2 GB for its blobs of so many, in Caffe, which keeps them all
MOST_PIXELS = 1 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class Lens:
    """An open net, its `maps` blob and where its `cells` look, each head's `logits` blob, and how it is used."""

    net: OpenNet
    snapshot: Snapshot
    maps: str
    cells: Cells
    logits: dict[str, str]
    mean: np.ndarray
    batch_size: int
    ways: Ways

    @property
    def side(self) -> int:
        """Of the net's own square input, pixels."""
        return self.snapshot.side

    def sides(self, photograph: Photograph) -> list[int]:
        """The shorter sides at which this photograph is seen whole: a long one's are less, so that a pass has at most
        MOST_PIXELS. InputError where that would be less than the net's input."""
        height, width = photograph.pixels.shape[:2]
        ratio = max(height, width) / min(height, width)
        most = int(math.sqrt(MOST_PIXELS / ratio))
        if most < self.side:
            raise InputError(
                f"a photograph of {width} x {height} pixels, resized, is too long to be seen whole; give --over crops"
            )
        return sorted({min(side, most) for side in self.ways.sides})

    def require_memory(self, height: int, width: int) -> None:
        """InputError where the machine has not the memory that Caffe would take for an input of that size."""
        shapes = self.snapshot.shapes.tops
        of_one = sum(int(np.prod(shape[1:])) for shape in shapes.values() if len(shape) == 4)
        needed = 4 * of_one * height * width // self.side**2
        require_memory(f"{self.snapshot.deploy}: a photograph of {width} x {height} pixels", needed)


def planes(image: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(3, H, W) float32 of an (H, W, 3) BGR image, less `mean` (3,)."""
    return (image.astype(np.float32) - mean.astype(np.float32)).transpose(2, 0, 1)


def cut(image: np.ndarray, place: Place, side: int, mean: np.ndarray) -> np.ndarray:
    """(3, side, side) float32: a crop of an (H, W, 3) BGR image, less `mean` (3,)."""
    window = image[place.top : place.top + side, place.left : place.left + side]
    crop = planes(window, mean)
    return crop[:, :, ::-1] if place.mirrored else crop


def crops_at(lens: Lens, photograph: Photograph, side: int) -> tuple[np.ndarray, list[Place]]:
    """The photograph with that shorter side, and the crops that cover it, each followed by its mirror image if so
    wanted."""
    image = photograph.at(side)
    found = windows(*image.shape[:2], lens.side)
    if lens.ways.mirrored:
        found = [place._replace(mirrored=mirrored) for place in found for mirrored in (False, True)]
    return image, found


def batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """The things, `size` at a time."""
    left = iter(things)
    while True:
        batch = list(islice(left, size))
        if not batch:
            return
        yield batch


def over_crops(
    lens: Lens,
    photograph: Photograph,
    chosen: dict[str, Sequence[int]],
    maps_of: Callable[[list[np.ndarray]], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """head -> (K, H, W) float64: over `photograph.pixels`, the mean over all sides of blended crops' maps. `maps_of`
    gives, of N crops (3, S, S), head -> (N, K, h, w)."""
    shape = photograph.pixels.shape[:2]
    total = {head: np.zeros((len(labels), *shape)) for head, labels in chosen.items()}
    for side in lens.ways.sides:
        image, places = crops_at(lens, photograph, side)
        maps: dict[str, list[np.ndarray]] = {head: [] for head in chosen}
        for batch in batches(places, lens.batch_size):
            for head, found in maps_of([cut(image, place, lens.side, lens.mean) for place in batch]).items():
                maps[head] += list(found)
        for head, of_head in maps.items():
            total[head] += _resized(blended(of_head, places, image.shape[:2], lens.side, lens.cells), shape)
    return {head: maps / len(lens.ways.sides) for head, maps in total.items()}


def _resized(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(K, H, W) of another size, linear between the pixels."""
    return maps if maps.shape[1:] == shape else Cells(0, 1).laid(maps, maps.shape[1:], shape)


def blended(
    maps: Sequence[np.ndarray], crops: Sequence[Place], seen: tuple[int, int], side: int, cells: Cells
) -> np.ndarray:
    """(K, H, W) float64: the crops' maps (N, K, h, w) over the image of `seen` (H, W) pixels, each pixel the mean of
    what sees it, weighted by `tent`."""
    return merged(maps, crops, seen, side, cells, tent(side))


def merged(
    maps: Sequence[np.ndarray],
    crops: Sequence[Place],
    shape: tuple[int, int],
    side: int,
    cells: Cells,
    weights: np.ndarray,
) -> np.ndarray:
    """(K, H, W) float64: maps (N, K, h, w) of N crops laid over the image, each pixel the weighted mean of what sees
    it; `weights` (side, side) are of a crop's pixels.

    Each crop's maps are interpolated between the centres of the cells' receptive fields, and a mirrored crop's turned
    back. The sum is divided by the sum of the weights: the middle, which all crops show, would win otherwise.
    """
    rows, columns = (cells.weights(count, side) for count in maps[0].shape[1:])
    total = np.zeros((len(maps[0]), *shape))
    seen = np.zeros(shape)
    for one, crop in zip(maps, crops):
        laid = rows @ one @ columns.T
        window = (slice(crop.top, crop.top + side), slice(crop.left, crop.left + side))
        total[(slice(None), *window)] += (laid[:, :, ::-1] if crop.mirrored else laid) * weights
        seen[window] += weights
    return total / seen
