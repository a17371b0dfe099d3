"""Class activation maps (Zhou et al. 2016) of a whole photograph in one pass.

A trunk of convolutions takes an input of any size. What follows the maps' blob, an average and the heads' weights, is
linear: the weights times the blob are the evidence cell by cell, whose mean over a crop's cells, plus the bias, is the
crop's logit. The average is left out, so that the photograph needs no crops, whose borders would be seen.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from skinmtl.explanation.attention_passes import Lens, over_crops, planes
from skinmtl.explanation.photograph import Photograph


def photograph_maps(lens: Lens, photograph: Photograph, chosen: dict[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """head -> (K, H, W) float64: the maps of the `chosen` labels over `photograph.pixels`, the mean over all passes."""
    shape = photograph.pixels.shape[:2]
    weights = {head: lens.net.parameters(f"fc_{head}")[0][list(labels)] for head, labels in chosen.items()}
    total = {head: np.zeros((len(labels), *shape)) for head, labels in chosen.items()}
    sides, turns = lens.sides(photograph), (False, True) if lens.ways.mirrored else (False,)
    for image in (photograph.at(side) for side in sides):
        for mirrored in turns:
            features = whole_features(lens, image, mirrored)
            for head in chosen:
                laid = lens.cells.laid(class_maps(features, weights[head])[0], image.shape[:2], shape)
                total[head] += laid[:, :, ::-1] if mirrored else laid
    return {head: maps / (len(sides) * len(turns)) for head, maps in total.items()}


def blended_maps(lens: Lens, photograph: Photograph, chosen: dict[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """The same of crops that cover the photograph and are blended: a net's cells know how far their crop's edge is."""
    weights = {head: lens.net.parameters(f"fc_{head}")[0][list(labels)] for head, labels in chosen.items()}

    def maps_of(crops: list[np.ndarray]) -> dict[str, np.ndarray]:
        (features,) = lens.net.forward({"data": crops}, [lens.maps])
        return {head: class_maps(features, of_head) for head, of_head in weights.items()}

    return over_crops(lens, photograph, chosen, maps_of)


def whole_features(lens: Lens, image: np.ndarray, mirrored: bool = False) -> np.ndarray:
    """(1, C, h, w): the maps' blob of an (H, W, 3) BGR image as a whole."""
    lens.require_memory(*image.shape[:2])
    seen = image[:, ::-1] if mirrored else image
    images = np.ascontiguousarray(planes(seen, lens.mean))[None]
    return lens.net.forward({"data": images}, [lens.maps], any_size=True)[0]


def class_maps(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, L, h, w) of features (N, C, h, w) and the weights (L, C) of a head: each cell's evidence for each label.

    The mean over a map's cells, plus the label's bias, is the label's logit, where the net has a global average
    pooling and one fully connected layer after the features. The bias is left out here: it lies nowhere in the image.
    """
    return np.einsum("nchw,lc->nlhw", features, weights, optimize=True).astype(np.float32, copy=False)
