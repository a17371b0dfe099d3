"""Class activation maps (Zhou et al. 2016) of a snapshot whose heads stand on a global average pooling, merged over the
crops of an image."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.engines.snapshot import Snapshot, checked_snapshot
from skinmtl.explanation.attention_file import HEADS
from skinmtl.explanation.attention_geometry import Cells, Place, cells_of, places
from skinmtl.nets.net_blobs import Blobs, blobs_of
from skinmtl.nets.trunk_fit import average_of
from skinmtl.scores.crops import CROPS
from skinmtl.scores.forward import Protocol, check_side, record

METHOD = (
    "class activation map: {} times the head's weights for a label, without the bias, in units of the logit; "
    "linear between the centres of the cells' receptive fields (first + k x step pixels of a crop); "
    "the mean of all crops that show a pixel, mirrored ones turned back"
)


class CropMaps(NamedTuple):
    """What a head makes of an image: the test's `probabilities` (L,), and of its N crops the `maps` (N, L, h, w)."""

    probabilities: np.ndarray
    maps: np.ndarray


class AttentionNet:
    """A net, open, with `heads` (name -> number of labels). InputError unless maps can be made of it."""

    def __init__(self, deploy: Path, weights: Path, protocol: Protocol) -> None:
        self.snapshot = checked_snapshot(deploy, weights, protocol.engine)
        self.blobs = blobs_of(deploy)
        self.heads = _heads(self.snapshot, self.blobs)
        check_side(self.snapshot, protocol)
        self.protocol = protocol
        self.cells = cells_of(deploy, self.blobs.maps)
        self._net = self.snapshot.open()

    def record(self) -> dict[str, Any]:
        """What decides the maps."""
        return {
            **record(self.snapshot, self.protocol),
            "cells": self.cells._asdict(),
            "method": METHOD.format(self.blobs.maps),
        }

    def crop_maps(self, image: np.ndarray) -> dict[str, CropMaps]:
        """Of an (H, W, 3) BGR image, resized, each head's answer. More crops than the test's ten only add maps."""
        blobs = [self.blobs.maps, *(f"{head}_prob" for head in self.heads)]
        weights = {head: self._net.parameters(f"fc_{head}")[0] for head in self.heads}
        mean, side = np.array(self.protocol.mean), self.snapshot.side
        crops = (cut(image, place, side, mean) for place in places(*image.shape[:2], side))
        maps: dict[str, list[np.ndarray]] = {head: [] for head in self.heads}
        outputs: dict[str, list[np.ndarray]] = {head: [] for head in self.heads}
        while True:
            batch = list(islice(crops, self.protocol.batch_size))
            if not batch:
                break
            features, *probabilities = self._net.forward(batch, blobs)
            for head, of_head in zip(self.heads, probabilities):
                maps[head].extend(class_maps(features, weights[head]))
                outputs[head].extend(of_head.copy())
        found = {}
        for head in self.heads:
            found[head] = CropMaps(np.mean(outputs[head][:CROPS], axis=0), np.stack(maps[head]))
            if not (np.isfinite(found[head].probabilities).all() and np.isfinite(found[head].maps).all()):
                raise InputError(
                    f"{self.snapshot.weights}: its outputs are NaN or infinite; training diverged, "
                    "use a snapshot before"
                )
        return found

    def merged(self, maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """(K, H, W) float32: the crops' maps (N, K, h, w) over the whole image of `shape` (H, W)."""
        side = self.snapshot.side
        return merge(maps, places(*shape, side), shape, side, self.cells)


def cut(image: np.ndarray, place: Place, side: int, mean: np.ndarray) -> np.ndarray:
    """(3, side, side) float32: a crop of an (H, W, 3) BGR image, less `mean` (3,)."""
    window = image[place.top : place.top + side, place.left : place.left + side]
    crop = (window.astype(np.float32) - mean.astype(np.float32)).transpose(2, 0, 1)
    return crop[:, :, ::-1] if place.mirrored else crop


def class_maps(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, L, h, w) float32: what each cell of `features` (N, C, h, w) says for each label of `weights` (L, C).

    The mean over a map's cells, plus the label's bias, is the label's logit, where the net has a global average
    pooling and one fully connected layer after the features. The bias is left out here: it lies nowhere in the image.
    """
    return np.einsum("nchw,lc->nlhw", features, weights, optimize=True).astype(np.float32, copy=False)


def merge(maps: np.ndarray, crops: Sequence[Place], shape: tuple[int, int], side: int, cells: Cells) -> np.ndarray:
    """(K, H, W) float32: the maps (N, K, h, w) of N crops laid over the image, each pixel the mean of what sees it.

    Each crop's maps are interpolated between the centres of the cells' receptive fields, and a mirrored crop's turned
    back. The sum is divided by how many crops show the pixel: the middle, which all show, would win otherwise.
    """
    rows, columns = (cells.weights(count, side) for count in maps.shape[2:])
    total = np.zeros((maps.shape[1], *shape))
    seen = np.zeros(shape)
    for one, crop in zip(maps, crops):
        laid = rows @ one @ columns.T
        window = (slice(crop.top, crop.top + side), slice(crop.left, crop.left + side))
        total[(slice(None), *window)] += laid[:, :, ::-1] if crop.mirrored else laid
        seen[window] += 1
    return (total / seen).astype(np.float32)


def _heads(snapshot: Snapshot, blobs: Blobs) -> dict[str, int]:
    """The net's heads. A head's weights belong to the maps' cells only where nothing but an average is between."""
    shapes, net = snapshot.shapes, read_net(snapshot.deploy)
    layers = {layer.name: layer for layer in net.layer}
    features = shapes.tops.get(blobs.maps or "", [])
    heads = {}
    if blobs.maps and average_of(net.layer, blobs.features, shapes.tops) == blobs.maps:
        for head in HEADS:
            params = shapes.params.get(f"fc_{head}", [[]])
            output = shapes.tops.get(f"{head}_prob", [])
            on_pool = f"fc_{head}" in layers and list(layers[f"fc_{head}"].bottom) == [blobs.features]
            if on_pool and params[0] == [output[-1] if output else 0, features[1]]:
                heads[head] = params[0][0]
    if not heads:
        maps = f"the blob {blobs.maps}" if blobs.maps else "a blob of many places"
        raise InputError(
            f"{snapshot.deploy}: attention needs {maps}, its average {blobs.features} and, on that, fc_lesion or "
            "fc_location; give a net whose trunk ends in an average over all places, as a ResNet's does"
        )
    return heads
