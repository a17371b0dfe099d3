"""What the layers for pycaffe that have bottoms have in common: settings, checks, and where gradients end."""

from __future__ import annotations

import sys
from typing import Any, Sequence

import caffe

from caffe_files.errors import InputError
from skinmtl.layers.blob_shapes import Axis, check_count, check_shapes
from skinmtl.layers.label_settings import LABEL_SETTINGS
from skinmtl.layers.param_str import Settings, read_param_str
from skinmtl.layers.region_settings import REGION_SETTINGS
from skinmtl.layers.told import told

SETTINGS = {**REGION_SETTINGS, **LABEL_SETTINGS}


class CheckedLayer(caffe.Layer):
    """Reads its param_str, checks its bottoms and tops, and computes; no gradient passes it.

    A layer of this kind says its bottoms' and tops' names, the optional tops behind, what shapes the bottoms must have
    and the tops get, and how the tops are computed. All it holds depends on the settings and the shapes alone.
    """

    bottom_names: Sequence[str] = ()
    top_names: Sequence[str] = ()
    optional_tops: Sequence[str] = ()

    def setup(self, bottom: Any, top: Any) -> None:
        """Called by Caffe once."""
        with told(sys._getframe()):
            name = type(self).__name__
            self.settings = read_param_str(SETTINGS[name], self.param_str, name)
            check_count(name, "bottom", len(bottom), self.names_of_bottoms(self.settings))
            check_count(name, "top", len(top), self.top_names, self.optional_tops)
            self._seen: list[tuple[int, ...]] = []

    def reshape(self, bottom: Any, top: Any) -> None:
        """Called by Caffe before every pass; checks shapes that it has not seen before."""
        shapes = [tuple(blob.shape) for blob in blobs(bottom)]
        with told(sys._getframe()):
            if shapes != self._seen:
                names = self.names_of_bottoms(self.settings)
                self.sizes = check_shapes(type(self).__name__, names, shapes, self.wanted_shapes(shapes))
                self.shapes = self.shapes_of_tops(shapes)
                self._seen = shapes
        for blob, shape in zip(blobs(top), self.shapes):
            if tuple(blob.shape) != shape or not blob.count:  # a new blob has the shape (), and nothing in it
                blob.reshape(*shape)

    def forward(self, bottom: Any, top: Any) -> None:
        """Called by Caffe."""
        with told(sys._getframe()):
            try:
                self.compute([blob.data for blob in blobs(bottom)], blobs(top))
            except InputError as error:
                raise InputError(f"{type(self).__name__}: {error}") from None

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Called by Caffe, where what is below learns from another layer too: from this one, nothing."""
        no_gradients(propagate_down, blobs(bottom))

    def names_of_bottoms(self, settings: Settings) -> Sequence[str]:
        """The bottoms that there must be."""
        return self.bottom_names

    def wanted_shapes(self, shapes: Sequence[tuple[int, ...]]) -> Sequence[Sequence[Axis]]:
        """What `check_shapes` asks for, given the shapes that there are."""
        raise NotImplementedError

    def shapes_of_tops(self, shapes: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
        """The tops' shapes; `sizes` has what the letters of the wanted shapes stand for."""
        raise NotImplementedError

    def compute(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        """Fills the tops, given the bottoms' arrays."""
        raise NotImplementedError


def blobs(vector: Any) -> list[Any]:
    """The blobs of a vector of pycaffe's, which has a length and elements, but cannot be gone through."""
    return [vector[index] for index in range(len(vector))]


def no_gradients(propagate_down: Sequence[bool], bottom: Sequence[Any]) -> None:
    """Zeros for the bottoms that Caffe asks a gradient for."""
    for wanted, blob in zip(propagate_down, bottom):
        if wanted:
            blob.diff[...] = 0
