"""JitteredImageData: the images of an LMDB at a new scale, crop and flip a visit, as a Caffe layer of type "Python"."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

import caffe
import numpy as np

from caffe_files.batches import Advice, BatchesAhead, BatchesHere, batches_of
from caffe_files.errors import InputError
from skinmtl.layers.jittered_images import plan_of, recipe_of
from skinmtl.layers.settings import JitterSettings, read_settings
from skinmtl.layers.told import told

SET = "in the param_str of the layer"
ADVICE = Advice(f"fewer workers {SET}", f"workers 0 {SET}", f"less prefetch, or workers 0, {SET}")


class JitteredImageData(caffe.Layer):
    """Top: (N, 3, crop, crop) float32, blue, green, red, less the mean; in TRAIN alone.

    Visit v shows record v mod n of the LMDB, so that it stays in step with Data layers that read the labels: under
    plain Caffe both begin at record 0 in every process, also after `-snapshot`. The param_str is JSON: JitterSettings.
    """

    def setup(self, bottom: Any, top: Any) -> None:
        """Called by Caffe once; reads the param_str, and looks whether the LMDB can be used."""
        self._batches: BatchesHere | BatchesAhead | None = None
        with told(sys._getframe()):
            if len(bottom) or len(top) != 1:
                raise InputError("JitteredImageData: takes no bottom and gives one top; correct the net")
            if self.phase != caffe.TRAIN:
                raise InputError("JitteredImageData: draws crops at random, for training alone; test with a Data layer")
            if caffe.solver_count() > 1:
                raise InputError("JitteredImageData: every GPU would see the same images; train on one GPU")
            self._settings = read_settings(self.param_str, "JitteredImageData")
            self._mean = np.array(self._settings.mean, np.float32).reshape(3, 1, 1)
            _try_first_record(self._settings)

    def reshape(self, bottom: Any, top: Any) -> None:
        """Called by Caffe before every pass: the shape is always the same."""
        shape = (self._settings.batch_size, 3, self._settings.crop, self._settings.crop)
        if tuple(top[0].shape) != shape:
            top[0].reshape(*shape)

    def forward(self, bottom: Any, top: Any) -> None:
        """Called by Caffe: the next batch."""
        with told(sys._getframe()):
            if self._batches is None:
                recipe, plan = recipe_of(self._settings, planes=True), plan_of(self._settings)
                self._batches = batches_of(recipe, plan, 0, worker_count(self._settings), ADVICE)
            data = top[0].data
            data[...] = self._batches.next_batch()[0]  # first the copy: subtracting mixed types takes twice as long
            data -= self._mean

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Nothing flows back into data."""

    def begin(self, seed: int, visit: int) -> None:
        """From here on `seed` decides what is drawn, and the next image is that of `visit`."""
        self.close()
        self._settings = replace(self._settings, seed=seed, start=visit)

    def close(self) -> None:
        """Ends the worker processes; Caffe never frees a Python layer (it holds itself)."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None


def worker_count(settings: JitterSettings) -> int:
    """As many workers as are asked for; else one for each core that this process may use, up to an image each."""
    if settings.workers is None:
        return min(len(os.sched_getaffinity(0)), settings.batch_size)
    return settings.workers


def _try_first_record(settings: JitterSettings) -> None:
    """InputError here is better than in the first pass."""
    reader = recipe_of(settings, planes=True).make()
    reader.sample(settings.start, settings.seed)
    reader.close()
