"""JitteredImageData without Caffe: the same settings, draws and pixels as the layer for BVLC Caffe."""

from __future__ import annotations

from skinmtl.layers.jittered_images import recipe_of
from skinmtl.layers.settings import read_settings
from skinmtl.layers.torch_stream import OwnStream


class JitteredImageData(OwnStream):
    """The images of an LMDB at a new scale, crop and flip a visit, less the mean; in TRAIN alone."""

    def prepare(self) -> None:
        if len(self.param.top) != 1:
            raise self.refuse("gives one top; correct the net")
        if self.phase != "TRAIN":
            raise self.refuse("draws crops at random, for training alone; test with a Data layer")
        settings = read_settings(self.param.python_param.param_str, f"layer {self.name!r}")
        self.read_from(recipe_of(settings, planes=False), settings)
