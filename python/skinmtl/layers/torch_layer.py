"""JitteredImageData without Caffe: the same settings, draws and pixels as the layer for BVLC Caffe."""

from __future__ import annotations

from caffe_torch.layers.sources import StreamSource
from skinmtl.layers.jittered_images import recipe_of
from skinmtl.layers.settings import read_settings


class JitteredImageData(StreamSource):
    """The images of an LMDB at a new scale, crop and flip a visit, less the mean; in TRAIN alone.

    `start` is what `begin` is to the layer for Caffe: the seed given decides, and the next image is that of visit
    batch x batch_size. In a training of Caffe's own kind the seed and the start of the param_str hold.
    """

    def prepare(self) -> None:
        if len(self.param.top) != 1:
            raise self.refuse("gives one top; correct the net")
        if self.phase != "TRAIN":
            raise self.refuse("draws crops at random, for training alone; test with a Data layer")
        settings = read_settings(self.param.python_param.param_str, f"layer {self.name!r}")
        self.settings = settings
        recipe = recipe_of(settings, planes=False)
        self.set_up_stream(recipe, settings.batch_size, True, settings.mean, prefetch=settings.prefetch)
        self.workers_wanted = settings.workers
        self.place_in_training(0, settings.seed)

    def place_in_training(self, batch: int, seed: int) -> None:
        self.start(batch, self.settings.seed)
        self.first = self.settings.start
