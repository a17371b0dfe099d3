"""Layers that make their tops from nothing: Input, DummyData, Data, and what all that read streams share."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

import torch
from torch import Tensor

from caffe_files.batches import Advice, batches_of
from caffe_files.schema import caffe_messages
from caffe_files.streams import Part, Plan, Recipe
from caffe_torch.errors import NetError
from caffe_torch.feeding import Feed
from caffe_torch.fillers import fill
from caffe_torch.layers.layer import Layer, Shape
from caffe_torch.records import Transform, TransformedRecords

SMALLEST_AHEAD = 4096  # bytes of a sample
ADVICE = Advice("fewer -workers", "-workers 0", "-workers 0")


class Source(Layer):
    """A layer without bottoms; `shapes` are those of its tops."""

    is_source = True
    takes, gives = (0, 0), (1, None)

    def set_up(self, bottoms: list[Shape]) -> None:
        self.shapes: list[Shape] = []
        self.prepare()

    def prepare(self) -> None:
        """Reads the settings and sets `shapes`."""

    def start(self, batch: int, seed: int) -> None:
        """Goes on at a batch of the stream, counted from 0; `seed` decides all that is drawn."""

    def place_in_training(self, batch: int, seed: int) -> None:
        """`start`, as Caffe's own programs do it: a layer with a seed of its own keeps that."""
        self.start(batch, seed)

    def go_to(self, batch: int, seed: int) -> None:
        """`start`, where the layer does not stand there already."""

    def close(self) -> None:
        """Ends what reads ahead."""

    def one_for_each_top(self, shapes: list[Shape], what: str) -> list[Shape]:
        """One shape for all tops, or one for each."""
        tops = len(self.param.top)
        if len(shapes) not in (1, tops):
            raise self.refuse(f"{len(shapes)} {what} for {tops} tops")
        return shapes * tops if len(shapes) == 1 else shapes


class Input(Source):
    """What the caller sets: zeros until then."""

    def prepare(self) -> None:
        self.shapes = self.one_for_each_top([tuple(each.dim) for each in self.param.input_param.shape], "shapes")
        self.values: list[Tensor | None] = [None] * len(self.shapes)

    def forward(self) -> tuple[Tensor, ...]:
        return tuple(
            torch.zeros(tuple(shape)) if value is None else value for shape, value in zip(self.shapes, self.values)
        )


class DummyData(Source):
    """Numbers of a filler; a constant one is filled once, any other anew each time (BVLC: dummy_data_layer.cpp)."""

    def prepare(self) -> None:
        settings = self.param.dummy_data_param
        given = [tuple(each.dim) for each in settings.shape]
        if settings.num:
            sides = (settings.num, settings.channels, settings.height, settings.width)
            if given or any(len(side) not in (1, len(self.param.top)) for side in sides):
                raise self.refuse("give shape, or num, channels, height and width, once or for each top")
            count = max(map(len, sides))
            given = [tuple(side[0 if len(side) == 1 else top] for side in sides) for top in range(count)]
        self.shapes = self.one_for_each_top(given, "shapes")
        fillers = list(settings.data_filler) or [caffe_messages().FillerParameter()]
        self.fillers = self.one_for_each_top(fillers, "fillers")

    def forward(self) -> tuple[Tensor, ...]:
        tops = []
        for shape, filler in zip(self.shapes, self.fillers):
            top = torch.empty(tuple(shape))
            fill(top, filler, self.name)
            tops.append(top)
        return tuple(tops)


class MemoryData(Source):
    """Batches of arrays that the caller gives, round and round, each sample with its label (BVLC:
    memory_data_layer.cpp). `give` takes (n, C, H, W) and n labels, whose n is a multiple of the batch's size."""

    gives = (2, 2)

    def prepare(self) -> None:
        settings = self.param.memory_data_param
        shape = (settings.batch_size, settings.channels, settings.height, settings.width)
        if not all(shape):
            raise self.refuse("give batch_size, channels, height and width, none of them 0")
        self.shapes = [shape, shape[:1]]
        self._given: tuple[Tensor, Tensor] | None = None
        self._batch = 0

    def give(self, data: Tensor, labels: Tensor) -> None:
        """Sets the arrays, and goes to their first batch."""
        shape = self.shapes[0]
        if data.dim() != 4 or tuple(data.shape[1:]) != shape[1:] or len(labels) != len(data) or len(data) % shape[0]:
            what = f"data of {tuple(data.shape)} and {len(labels)} labels"
            raise self.refuse(f"{what}, where it takes a multiple of {shape} and as many")
        self._given, self._batch = (data, labels.reshape(-1, 1, 1, 1)), 0  # the top has these axes from then on

    def start(self, batch: int, seed: int) -> None:
        """Nothing is drawn, and in Caffe the place is no part of a snapshot."""

    def forward(self) -> tuple[Tensor, ...]:
        if self._given is None:
            raise self.refuse("has no arrays; give them by set_input_arrays")
        size, (data, labels) = self.shapes[0][0], self._given
        here = slice(self._batch * size, (self._batch + 1) * size)
        self._batch = (self._batch + 1) % (len(data) // size)
        return data[here], labels[here]


class StreamSource(Source):
    """A layer that shows samples of a stream, each part of them in a top of its own: images (H, W, C) first, unless
    `begins_with_image` says otherwise, and what goes with them, of any shape, where it has more tops.

    What is drawn depends on the seed and on the place in the stream alone. `workers` processes read ahead; `rank` of
    `world` devices takes every world-th sample. Pixels travel as bytes; they become numbers, less the mean of their
    channels and times the scale, on the device. All other parts become float32 there, and nothing else.
    """

    workers, rank, world = 0, 0, 1
    can_read_ahead = False
    begins_with_image = True

    def set_up_stream(
        self, recipe: Recipe, batch_size: int, alike: bool, mean: Sequence[float], scale: float = 1.0, **plan: int
    ) -> None:
        """`alike`: all images are of one size; `mean` of the channels, or nothing; `plan`: more of the Plan."""
        try:
            reader = recipe.make()
        except NetError as error:
            raise self.refuse(str(error)) from None
        first = reader.sample(0, 0)[: len(self.param.top)]
        reader.close()
        parts = (Part(None if part.shape and not alike else part.shape, part.dtype.name) for part in first)
        self.recipe, self.plan = recipe, Plan(batch_size, tuple(parts), **plan)
        # what costs a worker more to hand over than to read is read in this process: labels
        self.can_read_ahead = alike and first[0].nbytes >= SMALLEST_AHEAD
        self.shapes = [(batch_size, *part.shape) for part in first]
        if self.begins_with_image:
            height, width, channels = first[0].shape
            self.shapes[0] = (batch_size, channels, height, width)
        self.scale = scale
        mean = torch.tensor(mean, dtype=torch.float32).reshape(-1, 1, 1) if mean else None
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("place", torch.empty(0), persistent=False)  # tells which device the net is on
        self.position, self.seed, self.first, self.feed = 0, 0, 0, None

    def start(self, batch: int, seed: int) -> None:
        self.close()
        self.position, self.seed, self.first = batch, seed, 0

    def go_to(self, batch: int, seed: int) -> None:
        if (batch, seed) != (self.position, self.seed):
            self.start(batch, seed)

    def close(self) -> None:
        """Ends the worker processes."""
        if self.feed is not None:
            self.feed.close()
            self.feed = None

    def forward(self) -> tuple[Tensor, ...]:
        if self.feed is None:
            plan = replace(self.plan, first=self.first, seed=self.seed, rank=self.rank, world=self.world)
            workers = self.workers if self.can_read_ahead else 0
            self.feed = Feed(batches_of(self.recipe, plan, self.position, workers, ADVICE), self.place.device)
        top, *others = (each.to(torch.float32, copy=True) for each in next(self.feed))
        self.position += 1
        if self.begins_with_image:
            top = top.permute(0, 3, 1, 2)  # channels last in memory, as images come
        if self.mean is not None:
            top -= self.mean
        if self.scale != 1:
            top *= self.scale
        return (top, *others)


class Data(StreamSource):
    """Datums of an LMDB, in the order of its keys, round and round (BVLC: data_layer.cpp, data_transformer.cpp).

    A second top has the Datums' labels.
    """

    gives = (1, 2)

    def prepare(self) -> None:
        settings = self.param.data_param
        if settings.backend != settings.LMDB:
            raise self.refuse("its backend is LevelDB, Caffe's default; only LMDB is supported: write backend: LMDB")
        for field in ("scale", "mean_file", "crop_size", "mirror"):
            if settings.HasField(field):
                raise self.refuse(f"data_param.{field} is the old form; move it to transform_param")
        if settings.rand_skip:
            raise self.refuse("rand_skip is not supported: label layers would not be skipped alike")
        if not settings.batch_size:
            raise self.refuse("needs a batch_size")
        transform = Transform.of(self.param.transform_param, self.phase == "TRAIN", self.refuse)
        recipe = TransformedRecords.recipe(settings.source, transform)
        alike = transform.crop > 0 or settings.batch_size > 1
        self.set_up_stream(recipe, settings.batch_size, alike, transform.mean, transform.scale)
