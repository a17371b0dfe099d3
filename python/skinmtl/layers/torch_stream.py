"""What the data layers of our own share without Caffe: a stream with a seed and a start of its own."""

from __future__ import annotations

from typing import Any

from caffe_files.streams import Recipe
from caffe_torch.layers.sources import StreamSource


class OwnStream(StreamSource):
    """A data layer whose settings have batch_size, mean (B, G, R), seed, start, workers and prefetch.

    `start` is what `begin` is to the layer for Caffe: the seed given decides, and the next image is that of visit
    batch x batch_size. In a training of Caffe's own kind the seed and the start of the param_str hold.
    """

    def read_from(self, recipe: Recipe, settings: Any) -> None:
        """Sets up the stream whose samples the recipe's reader makes: images (H, W, C) of one size first."""
        self.settings = settings
        self.set_up_stream(recipe, settings.batch_size, True, settings.mean, prefetch=settings.prefetch)
        self.workers_wanted = settings.workers
        self.place_in_training(0, settings.seed)

    def place_in_training(self, batch: int, seed: int) -> None:
        self.start(batch, self.settings.seed)
        self.first = self.settings.start

    def go_to(self, batch: int, seed: int) -> None:
        if batch != self.position:
            self.place_in_training(batch, seed)
