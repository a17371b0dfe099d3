"""What the data layers of our own share in BVLC Caffe: samples of a stream, made here or ahead by worker processes."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

import caffe
import numpy as np

from caffe_files.batches import Advice, BatchesAhead, BatchesHere, batches_of
from caffe_files.errors import InputError
from caffe_files.streams import Plan, Recipe
from skinmtl.layers.told import told

SET = "in the param_str of the layer"
ADVICE = Advice(f"fewer workers {SET}", f"workers 0 {SET}", f"less prefetch, or workers 0, {SET}")


class StreamLayer(caffe.Layer):
    """A data layer whose tops are the parts of the samples of a stream: first pixels, less the mean, then what belongs
    to them.

    Visit v shows record v mod n of its LMDBs, so that it stays in step with Data layers that read the labels: under
    plain Caffe all begin at record 0 in every process, also after `-snapshot`. The settings, from the JSON of the
    param_str, are a frozen dataclass that has batch_size, mean (B, G, R), seed, start, workers and prefetch.
    """

    tops = 1

    def read_settings(self) -> Any:
        """The settings. InputError where the param_str is wrong, or the layer cannot be used in this phase."""
        raise NotImplementedError

    def stream(self, settings: Any) -> tuple[Recipe, Plan]:
        """Who reads the samples, images as planes (3, H, W) uint8, and which there are."""
        raise NotImplementedError

    def setup(self, bottom: Any, top: Any) -> None:
        """Called by Caffe once; reads the param_str, and looks whether the LMDBs can be used."""
        self._batches: BatchesHere | BatchesAhead | None = None
        name = type(self).__name__
        with told(sys._getframe()):
            if len(bottom) or len(top) != self.tops:
                gives = "one top" if self.tops == 1 else f"{self.tops} tops"
                raise InputError(f"{name}: takes no bottom and gives {gives}; correct the net")
            if caffe.solver_count() > 1:
                raise InputError(f"{name}: every GPU would see the same images; train on one GPU")
            self._settings = self.read_settings()
            self._mean = np.array(self._settings.mean, np.float32).reshape(3, 1, 1)
            recipe, plan = self.stream(self._settings)
            reader = recipe.make()  # an InputError here is better than in the first pass
            reader.sample(plan.first, plan.seed)
            reader.close()

    def reshape(self, bottom: Any, top: Any) -> None:
        """Called by Caffe before every pass: the shapes are always the same."""
        plan = self.stream(self._settings)[1]
        for number, part in enumerate(plan.parts):
            shape = (plan.batch_size, *part.shape)
            if tuple(top[number].shape) != shape:
                top[number].reshape(*shape)

    def forward(self, bottom: Any, top: Any) -> None:
        """Called by Caffe: the next batch."""
        with told(sys._getframe()):
            if self._batches is None:
                recipe, plan = self.stream(self._settings)
                self._batches = batches_of(recipe, plan, 0, worker_count(self._settings), ADVICE)
            for number, part in enumerate(self._batches.next_batch()):
                top[number].data[...] = part
            data = top[0].data
            data -= self._mean  # after the copy: subtracting mixed types takes twice as long

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


def worker_count(settings: Any) -> int:
    """As many workers as are asked for; else one for each core that this process may use, up to an image each."""
    if settings.workers is None:
        return min(len(os.sched_getaffinity(0)), settings.batch_size)
    return settings.workers
