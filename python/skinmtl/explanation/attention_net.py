"""Attention maps of a snapshot: which of the ways its net allows, and how they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.engines.snapshot import Snapshot, checked_snapshot
from skinmtl.explanation.attention_file import HEADS
from skinmtl.explanation.attention_geometry import Cells, Place, cells_of, places
from skinmtl.explanation.attention_heads import check_any_size, features_below, logits_of
from skinmtl.explanation.attention_passes import Lens, batches, crops_at, cut, merged
from skinmtl.explanation.attention_ways import BEST, BLENDED, CAM, CROPS, GRAD_CAM, OCCLUSION, PHOTOGRAPH, Ways, settled
from skinmtl.explanation.class_activation import blended_maps, class_maps, photograph_maps
from skinmtl.explanation.grad_cam import gradient_maps
from skinmtl.explanation.occlusion import occlusion_maps, squares
from skinmtl.explanation.photograph import Photograph
from skinmtl.nets.net_blobs import Blobs, blobs_of
from skinmtl.nets.trunk_fit import average_of
from skinmtl.scores.crops import CROPS as TEST_CROPS
from skinmtl.scores.crops import ten_crops
from skinmtl.scores.forward import Protocol, check_side, record

MAKES = {
    (CAM, PHOTOGRAPH): photograph_maps,
    (CAM, BLENDED): blended_maps,
    (GRAD_CAM, BLENDED): gradient_maps,
    (OCCLUSION, BLENDED): occlusion_maps,
}


class CropMaps(NamedTuple):
    """What a head makes of an image: the test's `probabilities` (L,), and of its N crops the `maps` (N, L, h, w)."""

    probabilities: np.ndarray
    maps: np.ndarray


class Answer(NamedTuple):
    """What a head makes of an image: the ten-crop test's `probabilities` (L,), and the `maps` (K, H, W) float32 of the
    labels that were asked for, over the image as the test sees it."""

    probabilities: np.ndarray
    maps: np.ndarray


class AttentionNet:
    """A net, open, with `heads` (name -> number of labels), and the `ways` in which it makes maps.

    InputError unless maps can be made of it so.
    """

    def __init__(self, deploy: Path, weights: Path, protocol: Protocol, ways: Ways = BEST) -> None:
        self.snapshot = checked_snapshot(deploy, weights, protocol.engine)
        self.blobs = blobs_of(deploy)
        averaged, logits = _heads(self.snapshot, self.blobs), logits_of(deploy)
        if not logits:
            raise InputError(f"{deploy}: no lesion_prob or location_prob to explain; give a net of make_prototxt.py")
        self.ways = settled(ways, bool(averaged), protocol.short_side)
        method = self.ways.method
        if method == CAM and not averaged:
            raise InputError(
                f"{deploy}: cam needs heads on the average of a blob, as a ResNet's are, and fc_lesion and fc_location "
                f"stand on {self.blobs.features}; give --method grad-cam"
            )
        if method == GRAD_CAM and not protocol.engine.has_gradients:
            raise InputError(
                f"{deploy}: grad-cam needs gradients, which --engine {protocol.engine.name} has not; "
                "use --engine torch, or attend.py with --method occlusion"
            )
        if not averaged and method == GRAD_CAM:
            self.blobs = self.blobs._replace(maps=features_below(self.snapshot, logits))
        check_side(self.snapshot, protocol)
        if min(self.ways.sides) < self.snapshot.side:
            raise InputError(f"{deploy}: takes {self.snapshot.side} pixels a side; give --sides of at least that")
        self.protocol = protocol
        self.heads = averaged if method == CAM else _outputs(self.snapshot, logits)
        self.cells = squares(self.snapshot.side)[1] if method == OCCLUSION else cells_of(deploy, self.blobs.maps or "")
        if self.ways.over == PHOTOGRAPH:
            check_any_size(deploy, self.blobs.maps or "")
        self._net = self.snapshot.open()
        self.lens = Lens(
            self._net,
            self.snapshot,
            self.blobs.maps or "",
            self.cells,
            {head: logits[head] for head in self.heads},
            np.array(protocol.mean),
            protocol.batch_size,
            self.ways,
        )

    def record(self) -> dict[str, Any]:
        """What decides the maps."""
        blob = {} if self.ways.method == OCCLUSION else {"maps": self.blobs.maps}
        return {
            **record(self.snapshot, self.protocol),
            "cells": self.cells._asdict(),
            **blob,
            **self.ways.record(),
        }

    def seen(self, photograph: Photograph) -> dict[str, Any]:
        """What is seen of this photograph: how many crops, or at which sides as a whole."""
        if self.ways.over == PHOTOGRAPH:
            return {"sides": self.lens.sides(photograph)}
        if self.ways.over == CROPS:
            return {"crops": len(places(*photograph.pixels.shape[:2], self.snapshot.side))}
        return {"crops": sum(len(crops_at(self.lens, photograph, side)[1]) for side in self.ways.sides)}

    def attend(self, photograph: Photograph, choose: Callable[[str, np.ndarray], Sequence[int]]) -> dict[str, Answer]:
        """head -> what it makes of a photograph. `choose` says, of a head and its probabilities, whose maps to make."""
        shape = photograph.pixels.shape[:2]
        if self.ways.over == CROPS:
            of_crops = self.crop_maps(photograph.pixels)
            probabilities = {head: found.probabilities for head, found in of_crops.items()}
            chosen = {head: list(choose(head, values)) for head, values in probabilities.items()}
            maps = {head: self.merged(found.maps[:, chosen[head]], shape) for head, found in of_crops.items()}
        else:
            probabilities = self._probabilities(photograph.pixels)
            chosen = {head: list(choose(head, values)) for head, values in probabilities.items()}
            maps = MAKES[self.ways.method, self.ways.over](self.lens, photograph, chosen)
        for head in self.heads:
            self._require_finite(probabilities[head], maps[head])
        return {head: Answer(probabilities[head], maps[head].astype(np.float32)) for head in self.heads}

    def _probabilities(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """head -> (L,): the mean over the ten crops of an (H, W, 3) BGR image, resized."""
        outputs: dict[str, list[np.ndarray]] = {head: [] for head in self.heads}
        crops = ten_crops(image, self.snapshot.side, self.lens.mean)
        for batch in batches(crops, self.protocol.batch_size):
            blobs = [f"{head}_prob" for head in self.heads]
            for head, of_head in zip(self.heads, self._net.forward({"data": batch}, blobs)):
                outputs[head].extend(of_head.reshape(len(batch), -1).copy())
        return {head: np.mean(of_head, axis=0) for head, of_head in outputs.items()}

    def _require_finite(self, *arrays: np.ndarray) -> None:
        if not all(np.isfinite(array).all() for array in arrays):
            raise InputError(
                f"{self.snapshot.weights}: its outputs are NaN or infinite; training diverged, use a snapshot before"
            )

    def crop_maps(self, image: np.ndarray) -> dict[str, CropMaps]:
        """Of an (H, W, 3) BGR image, resized, each head's answer. More crops than the test's ten only add maps."""
        blobs = [self.blobs.maps, *(f"{head}_prob" for head in self.heads)]
        weights = {head: self._net.parameters(f"fc_{head}")[0] for head in self.heads}
        side = self.snapshot.side
        crops = (cut(image, place, side, self.lens.mean) for place in places(*image.shape[:2], side))
        maps: dict[str, list[np.ndarray]] = {head: [] for head in self.heads}
        outputs: dict[str, list[np.ndarray]] = {head: [] for head in self.heads}
        for batch in batches(crops, self.protocol.batch_size):
            features, *probabilities = self._net.forward({"data": batch}, blobs)
            for head, of_head in zip(self.heads, probabilities):
                maps[head].extend(class_maps(features, weights[head]))
                outputs[head].extend(of_head.copy())
        found = {}
        for head in self.heads:
            found[head] = CropMaps(np.mean(outputs[head][:TEST_CROPS], axis=0), np.stack(maps[head]))
            self._require_finite(*found[head])
        return found

    def merged(self, maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """(K, H, W) float32: the crops' maps (N, K, h, w) over the whole image of `shape` (H, W)."""
        side = self.snapshot.side
        return merge(maps, places(*shape, side), shape, side, self.cells)


def merge(maps: np.ndarray, crops: Sequence[Place], shape: tuple[int, int], side: int, cells: Cells) -> np.ndarray:
    """(K, H, W) float32: the maps (N, K, h, w) of N crops laid over the image, each pixel the mean of what sees it.

    Each crop's maps are interpolated between the centres of the cells' receptive fields, and a mirrored crop's turned
    back. The sum is divided by how many crops show the pixel: the middle, which all show, would win otherwise.
    """
    return merged(maps, crops, shape, side, cells, np.ones((side, side))).astype(np.float32)


def _heads(snapshot: Snapshot, blobs: Blobs) -> dict[str, int]:
    """The heads that stand on an average of the maps: a head's weights belong to their cells only where nothing else is
    between."""
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
    return heads


def _outputs(snapshot: Snapshot, logits: dict[str, str]) -> dict[str, int]:
    """head -> how many labels it has, whatever it stands on."""
    return {head: int(np.prod(snapshot.shapes.tops[blob][1:])) for head, blob in logits.items()}
