"""JitteredImageData: the images of an LMDB at a new scale, crop and flip a visit, as a Caffe layer of type "Python"."""

from __future__ import annotations

import caffe

from caffe_files.errors import InputError
from caffe_files.streams import Plan, Recipe
from skinmtl.layers.caffe_stream import StreamLayer
from skinmtl.layers.jittered_images import plan_of, recipe_of
from skinmtl.layers.settings import JitterSettings, read_settings


class JitteredImageData(StreamLayer):
    """Top: (N, 3, crop, crop) float32, blue, green, red, less the mean; in TRAIN alone. The param_str is JSON:
    JitterSettings."""

    def read_settings(self) -> JitterSettings:
        if self.phase != caffe.TRAIN:
            raise InputError("JitteredImageData: draws crops at random, for training alone; test with a Data layer")
        return read_settings(self.param_str, "JitteredImageData")

    def stream(self, settings: JitterSettings) -> tuple[Recipe, Plan]:
        return recipe_of(settings, planes=True), plan_of(settings)
