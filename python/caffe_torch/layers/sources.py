"""Layers that make their tops from nothing: Input, DummyData, Data."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_torch.fillers import fill
from caffe_torch.layers.layer import Layer, Shape
from caffe_torch.records import RecordBatches, Transform
from skinmtl.caffe_files.schema import caffe_messages


class Source(Layer):
    """A layer without bottoms; `shapes` are those of its tops."""

    is_source = True

    def set_up(self, bottoms: list[Shape]) -> None:
        self.expect(bottoms, 0, tops=None)
        self.shapes: list[Shape] = []
        self.prepare()

    def prepare(self) -> None:
        """Reads the settings and sets `shapes`."""

    def start(self, batch: int, seed: int) -> None:
        """Goes on at a batch of the stream, counted from 0; `seed` decides all that is drawn."""

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


class Data(Source):
    """Datums of an LMDB, in the order of its keys, round and round (BVLC: data_layer.cpp, data_transformer.cpp).

    A second top has the Datums' labels. Crops and mirrors depend on the seed and on the place in the stream
    alone.
    """

    def prepare(self) -> None:
        settings = self.param.data_param
        if settings.backend != settings.LMDB:
            raise self.refuse("its backend is LevelDB, Caffe's default; only LMDB is supported: write backend: LMDB")
        for field in ("scale", "mean_file", "crop_size", "mirror"):
            if settings.HasField(field):
                raise self.refuse(f"data_param.{field} is the old form; move it to transform_param")
        if settings.rand_skip:
            raise self.refuse("rand_skip is not supported: label layers would not be skipped alike")
        if not settings.batch_size or len(self.param.top) not in (1, 2):
            raise self.refuse("needs a batch_size, and one top or two")
        transform = Transform.of(self.param.transform_param, self.phase == "TRAIN", self.refuse)
        self.batches = RecordBatches(settings.source, settings.batch_size, transform, len(self.param.top) == 2)
        self.position, self.workers = 0, 0
        image, label = self.batches.shapes()
        self.shapes = [image, label][: len(self.param.top)]
        self.stream = None

    def start(self, batch: int, seed: int) -> None:
        self.position, self.stream, self.batches.seed = batch, None, seed

    def forward(self) -> tuple[Tensor, ...]:
        if self.stream is None:
            self.stream = self.batches.stream(self.position, self.workers, torch.cuda.is_available())
        self.position += 1
        return next(self.stream)
