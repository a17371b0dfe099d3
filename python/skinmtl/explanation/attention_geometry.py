"""Where things lie: the crops that cover an image, and the pixels that a cell of a feature map looks at."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net


class Cells(NamedTuple):
    """Cell k of a feature map looks at pixels about `first` + k x `step` of the net's input."""

    first: float
    step: float

    def weights(self, cells: int, side: int, of: int | None = None) -> np.ndarray:
        """(side, cells) float64: what each cell adds to each of `side` pixels, by linear interpolation.

        A pixel beyond the first or the last cell's centre takes that cell's value. Rows sum to 1. `of`: how many pixels
        of the net's input the `side` pixels stand for, where the input was seen at another scale.
        """
        centres = self.first + self.step * np.arange(cells)
        pixels = (np.arange(side) + 0.5) * ((of or side) / side) - 0.5
        return np.stack([np.interp(pixels, centres, one) for one in np.eye(cells)], axis=1)

    def laid(self, maps: np.ndarray, seen: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
        """(K, H, W): maps (K, h, w) of an input of `seen` (height, width) pixels, over a picture of `shape` (H, W)."""
        rows, columns = (self.weights(count, side, of) for count, side, of in zip(maps.shape[1:], shape, seen))
        return rows @ maps @ columns.T


def cells_of(deploy: Path, blob: str) -> Cells:
    """Where the receptive fields of a blob's cells have their centres, from the kernels, strides and pads below it.

    A cell is not the centre of its tile of the crop: the published ResNet-50's stride sits on unpadded 1x1
    convolutions, so that cell k of res5c looks at pixel 32 k + 2, not at 32 k + 15.5 where a plain resize of 7 x 7
    to 224 x 224 would put it, 13.5 pixels further down and to the right. Branches that meet again (Eltwise, Concat)
    must lie alike, as a ResNet's do: the first bottom is followed. InputError where a window lies otherwise on one axis
    than on the other.
    """
    path, wanted = [], blob
    for layer in reversed(read_net(deploy).layer):
        if wanted in layer.top:
            path.append(layer)
            wanted = layer.bottom[0] if layer.bottom else None
    first, step = 0.0, 1.0
    for layer in reversed(path):
        if layer.type in ("Convolution", "Pooling"):
            offset, stride = _window(deploy, layer)
            first += step * offset
            step *= stride
    return Cells(first, step)


def _window(deploy: Path, layer: Any) -> tuple[float, int]:
    """How far a window's centre lies behind the pixel that it starts from, and its stride; the same on both axes, as a
    1 x 7 that is padded by 3 along its 7."""
    pooling = layer.type == "Pooling"
    settings = layer.pooling_param if pooling else layer.convolution_param
    pairs = {}
    for name, both, default in (("kernel", "kernel_size", 1), ("stride", "stride", 1), ("pad", "pad", 0)):
        if settings.HasField(f"{name}_h") or settings.HasField(f"{name}_w"):
            pairs[name] = [getattr(settings, f"{name}_{axis}") for axis in "hw"]
        else:
            given = [getattr(settings, both)] if pooling else list(getattr(settings, both)) or [default]
            pairs[name] = [given[0], given[-1]]
    dilation = [1] if pooling else list(settings.dilation) or [1]
    offsets = [
        each * (kernel - 1) / 2 - pad
        for each, kernel, pad in zip([dilation[0], dilation[-1]], pairs["kernel"], pairs["pad"])
    ]
    alike = offsets[0] == offsets[1] and pairs["stride"][0] == pairs["stride"][1]
    if not alike or getattr(settings, "global_pooling", False):
        raise InputError(f"{deploy}: layer {layer.name!r} has no window that lies alike on both axes")
    return offsets[0], pairs["stride"][0]


class Place(NamedTuple):
    """Where a crop lies in its image; a mirrored one shows the same pixels."""

    top: int
    left: int
    mirrored: bool


def places(height: int, width: int, crop: int) -> list[Place]:
    """Crops that together show every pixel, each as it is and mirrored.

    The first ten are the ten-crop test's, in its order. They leave nothing out where neither side is more than twice
    the crop; a longer image gets, after them, the other windows of the evenly spaced grid that has no gap.
    """
    bottom, right = height - crop, width - crop
    of_test = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    grid = [(top, left) for top in _starts(height, crop) for left in _starts(width, crop)]
    others = [window for window in grid if window not in of_test]
    return [Place(*window, mirrored) for part in (of_test, others) for mirrored in (False, True) for window in part]


def windows(height: int, width: int, crop: int) -> list[Place]:
    """The fewest evenly spaced crops of the grid that has no gap, none mirrored; at least two a side that is longer."""
    tops, lefts = (sorted(set(_starts(length, crop))) for length in (height, width))
    return [Place(top, left, False) for top in tops for left in lefts]


def tent(side: int) -> np.ndarray:
    """(side, side): how much a crop says of each of its pixels, falling from its middle to its edges, where it is
    least: crops that are laid over each other by it have no seams."""
    from_edge = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)).astype(np.float64)
    return np.outer(from_edge, from_edge)


def _starts(length: int, crop: int) -> list[int]:
    count = max(2, ceil(length / crop))
    return [n * (length - crop) // (count - 1) for n in range(count)]
