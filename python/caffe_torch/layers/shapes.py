"""Layers that put blobs together, take them apart, or give them another shape."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from caffe_torch.layers.layer import Layer, Shape
from caffe_torch.wiring import is_in_place


class Eltwise(Layer):
    """SUM (with coefficients), PROD or MAX of blobs of one shape (BVLC: eltwise_layer.cpp).

    Of equal maxima the second of the first two bottoms gets the gradient; a later one must be greater.
    """

    takes, gives = (2, None), (1, 1)

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.eltwise_param
        if any(tuple(shape) != tuple(bottoms[0]) for shape in bottoms):
            raise self.refuse(f"bottoms of shapes {', '.join(str(tuple(shape)) for shape in bottoms)}")
        if len(settings.coeff) not in (0, len(bottoms)):
            raise self.refuse(f"{len(settings.coeff)} coefficients for {len(bottoms)} bottoms")
        if settings.coeff and settings.operation != settings.SUM:
            raise self.refuse("coefficients go with SUM alone")
        if settings.operation == settings.SUM and is_in_place(self.param, 0):
            raise self.refuse("a sum in place, where Caffe forgets the bottom that it writes over; name its top anew")
        self.is_plain_sum = settings.operation == settings.SUM and not settings.coeff

    def forward(self, *bottoms: Tensor) -> tuple[Tensor]:
        settings = self.param.eltwise_param
        if settings.operation == settings.MAX:
            top = torch.where(bottoms[0] > bottoms[1], bottoms[0], bottoms[1])
            for bottom in bottoms[2:]:
                top = torch.where(bottom > top, bottom, top)
            return (top,)
        if settings.operation == settings.PROD:
            return (math.prod(bottoms[1:], start=bottoms[0]),)
        terms = [bottom * each for bottom, each in zip(bottoms, settings.coeff)] if settings.coeff else bottoms
        return (sum(terms[1:], start=terms[0]),)


class Concat(Layer):
    """Bottoms one after the other along an axis; concat_dim is its old name."""

    takes, gives = (1, None), (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.concat_param
        old = settings.HasField("concat_dim")
        if old and settings.HasField("axis"):
            raise self.refuse("axis and the older concat_dim; give it one")
        self.along = self.axis(settings.concat_dim if old else settings.axis, len(bottoms[0]))
        for shape in bottoms[1:]:
            others = [side for axis, side in enumerate(shape) if axis != self.along]
            if others != [side for axis, side in enumerate(bottoms[0]) if axis != self.along]:
                raise self.refuse(f"{tuple(shape)} does not fit {tuple(bottoms[0])} along axis {self.along}")

    def forward(self, *bottoms: Tensor) -> tuple[Tensor]:
        return (torch.cat(bottoms, self.along),)


class Split(Layer):
    """The same blob under several names."""

    takes, gives = (1, 1), (1, None)

    def forward(self, bottom: Tensor) -> tuple[Tensor, ...]:
        return (bottom,) * len(self.param.top)


class Slice(Layer):
    """Parts along an axis: equal ones, or cut at each slice_point; slice_dim is the axis' old name."""

    takes, gives = (1, 1), (1, None)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings, tops = self.param.slice_param, len(self.param.top)
        old = settings.HasField("slice_dim")
        if old and settings.HasField("axis"):
            raise self.refuse("axis and the older slice_dim; give it one")
        self.along = self.axis(settings.slice_dim if old else settings.axis, len(bottoms[0]))
        side = bottoms[0][self.along]
        if settings.slice_point:
            ends = [*settings.slice_point, side]
            self.lengths = [end - start for start, end in zip([0, *ends], ends)]
            if len(ends) != tops or min(self.lengths) < 1:
                raise self.refuse(f"cuts at {list(settings.slice_point)} of {side} do not make {tops} tops")
        else:
            if side % tops:
                raise self.refuse(f"{side} does not divide into {tops} tops")
            self.lengths = [side // tops] * tops

    def forward(self, bottom: Tensor) -> tuple[Tensor, ...]:
        return torch.split(bottom, self.lengths, self.along)


class Reshape(Layer):
    """Another shape for `num_axes` axes from `axis` on: 0 keeps an axis, one -1 is what is left."""

    takes = gives = (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings, dimensions = self.param.reshape_param, len(bottoms[0])
        first = settings.axis if settings.axis >= 0 else dimensions + settings.axis + 1
        last = dimensions if settings.num_axes == -1 else first + settings.num_axes
        if not 0 <= first <= dimensions or settings.num_axes < -1 or last > dimensions:
            raise self.refuse(f"axes {first} to {last} of a blob with {dimensions}")
        self.first, self.last = first, last
        self.wanted = list(settings.shape.dim)
        if self.wanted.count(-1) > 1 or min(self.wanted, default=0) < -1:
            raise self.refuse(f"the shape {self.wanted} has more than one -1, or a side below it")
        for place, side in enumerate(self.wanted):
            if side == 0 and first + place >= dimensions:
                raise self.refuse(f"a 0 at axis {first + place} of a blob with {dimensions}")
        self.top_shape(bottoms[0])

    def top_shape(self, bottom: Shape) -> list[int]:
        """The top's shape; an error where the numbers do not fit into it."""
        middle = [bottom[self.first + place] if side == 0 else side for place, side in enumerate(self.wanted)]
        count, known = math.prod(bottom[self.first : self.last]), math.prod(side for side in middle if side != -1)
        if -1 in middle:
            if not known or count % known:
                raise self.refuse(f"{tuple(bottom)} does not divide into the shape {self.wanted}")
            middle[middle.index(-1)] = count // known
        elif known != count:
            raise self.refuse(f"{tuple(bottom)} does not fit the shape {self.wanted}")
        return [*bottom[: self.first], *middle, *bottom[self.last :]]

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (bottom.reshape(self.top_shape(bottom.shape)),)


class Flatten(Layer):
    """Axes `axis` to `end_axis` become one."""

    takes = gives = (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings, dimensions = self.param.flatten_param, len(bottoms[0])
        self.first = self.axis(settings.axis, dimensions)
        self.last = self.axis(settings.end_axis, dimensions)
        if self.last < self.first:
            raise self.refuse(f"end_axis {self.last} lies before axis {self.first}")

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (bottom.flatten(self.first, self.last),)


class Tile(Layer):
    """The blob `tiles` times, one after the other along an axis (BVLC: tile_layer.cpp)."""

    takes = gives = (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.tile_param
        self.along = self.axis(settings.axis, len(bottoms[0]))
        if settings.tiles < 1:
            raise self.refuse(f"tiles {settings.tiles}; it must be at least 1")

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        times = [1] * bottom.dim()
        times[self.along] = self.param.tile_param.tiles
        return (bottom.repeat(times),)


class Crop(Layer):
    """The first bottom cut to the second's size along `axis` and all that follow, from `offset` on."""

    takes, gives = (2, 2), (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings, dimensions = self.param.crop_param, len(bottoms[0])
        first = self.axis(settings.axis, dimensions)
        offsets = list(settings.offset)
        if len(bottoms[1]) != dimensions or len(offsets) not in (0, 1, dimensions - first):
            raise self.refuse(f"{len(offsets)} offsets for {dimensions - first} axes, or bottoms of other dimensions")
        offsets = offsets * (dimensions - first) if len(offsets) < 2 else offsets
        self.starts = [0] * first + (offsets or [0] * (dimensions - first))
        self.first = first
        for axis in range(first, dimensions):
            if self.starts[axis] + bottoms[1][axis] > bottoms[0][axis]:
                raise self.refuse(f"cannot cut {bottoms[1][axis]} from {bottoms[0][axis]} at {self.starts[axis]}")

    def forward(self, bottom: Tensor, like: Tensor) -> tuple[Tensor]:
        for axis in range(self.first, bottom.dim()):
            bottom = bottom.narrow(axis, self.starts[axis], like.shape[axis])
        return (bottom,)


class Silence(Layer):
    """Takes blobs that nothing else takes."""

    takes, gives = (1, None), (0, 0)

    def forward(self, *bottoms: Tensor) -> tuple[()]:
        return ()
