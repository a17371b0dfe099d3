"""RoIAlign over the levels of a feature pyramid, for pycaffe."""

from __future__ import annotations

from typing import Any, Sequence

from skinmtl.layers.caffe_checked import CheckedLayer, blobs, no_gradients
from skinmtl.regions.roi_align import RoIAlign as Reader

Shape = Sequence[int]


class RoIAlign(CheckedLayer):
    """Bottoms: features (N, C, H, W) of each level, finest first, and rois (R, 5). Top: (R, C, pooled, pooled).

    The gradient goes to the features alone: see regions/roi_align.py.
    """

    top_names = ("pooled",)

    def names_of_bottoms(self, settings: Any) -> Sequence[str]:
        return [*(f"the map of stride {stride}" for stride in settings.strides), "rois"]

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        strides = self.settings.strides
        first = shapes[0] if len(shapes[0]) == 4 else (0, 0, 0, 0)  # else the first bottom is told first
        sizes = [tuple(length * strides[0] // stride for length in first[2:]) for stride in strides]
        return [("N", "C", "H", "W"), *(("N", "C", *size) for size in sizes[1:]), ("R", 5)]

    def shapes_of_tops(self, shapes: Sequence[Shape]) -> Any:
        return ((self.sizes["R"], self.sizes["C"], self.settings.pooled, self.settings.pooled),)

    def compute(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        *features, rois = bottom
        settings = self.settings
        self._reader = Reader(
            rois,
            [feature.shape[2:] for feature in features],
            len(features[0]),
            settings.strides,
            settings.pooled,
            settings.samples,
            settings.canonical,
            settings.levels,
        )
        top[0].data[...] = self._reader.pooled(features)

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Called by Caffe after `forward`, whose matrices it transposes."""
        *features, rois = zip(propagate_down, blobs(bottom))
        no_gradients(rois[:1], rois[1:])
        into = [blob.diff if wanted else None for wanted, blob in features]
        self._reader.gradients(top[0].diff, into)
