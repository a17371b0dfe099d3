"""The shapes of blobs as Caffe computes them, layer for layer, without Caffe: of the layers that a trunk may have."""

from __future__ import annotations

from typing import Any, Callable

from google.protobuf.message import Message

from caffe_files.errors import InputError

Shape = tuple


def top_shapes(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    """The shapes of a layer's tops, from those of its bottoms. InputError names the layer where it cannot be built.

    The types are those of TRUNK_LAYERS; the rules are each layer's Reshape in BVLC's source, as a test has them from
    Caffe itself.
    """
    if not bottoms:
        raise InputError(f"layer {layer.name!r} has no bottom")
    try:
        shapes = TRUNK_LAYERS[layer.type](layer, bottoms)
    except IndexError:
        raise InputError(f"layer {layer.name!r} ({layer.type}) does not fit a blob of {_times(bottoms[0])}") from None
    if any(side < 1 for shape in shapes for side in shape):
        raise TooSmallError(f"layer {layer.name!r} ({layer.type}) has no place left of {_times(bottoms[0])}")
    if len(shapes) != len(layer.top):
        raise InputError(f"layer {layer.name!r} ({layer.type}) has {len(layer.top)} tops, not {len(shapes)}")
    return shapes


class TooSmallError(InputError):
    """A window is larger than what it is to be laid on."""


def _same(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    return [bottoms[0]]


def _convolution(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    settings = _settings(layer)
    images, channels, *sides = _image(layer, bottoms)
    if (
        not settings.num_output
        or not settings.group
        or channels % settings.group
        or settings.num_output % settings.group
    ):
        raise InputError(
            f"layer {layer.name!r}: {channels} channels and {settings.num_output} outputs do not part into "
            f"{settings.group} groups"
        )
    windows = zip(sides, *(_pair(layer, *names) for names in _WINDOW), _dilation(layer))
    if layer.type == "Deconvolution":
        found = [
            stride * (side - 1) + dilation * (kernel - 1) + 1 - 2 * pad
            for side, kernel, stride, pad, dilation in windows
        ]
    else:
        found = [
            (side + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for side, kernel, stride, pad, dilation in windows
        ]
    return [(images, settings.num_output, *found)]


def _pooling(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    """Rounded up, or down by round_mode; with a pad, a last window that would start beyond it is left out."""
    settings = _settings(layer)
    images, channels, *sides = _image(layer, bottoms)
    if settings.global_pooling:
        return [(images, channels, 1, 1)]
    pads = _pair(layer, "pad", "pad", 0)
    found = []
    for side, kernel, stride, pad in zip(sides, *(_pair(layer, *names) for names in _WINDOW)):
        room = side + 2 * pad - kernel
        count = (-(-room // stride) if settings.round_mode == settings.CEIL else room // stride) + 1
        if any(pads) and (count - 1) * stride >= side + pad:
            count -= 1
        found.append(count if room >= 0 else 0)
    return [(images, channels, *found)]


_WINDOW = (("kernel", "kernel_size", None), ("stride", "stride", 1), ("pad", "pad", 0))


def _pair(layer: Message, name: str, both: str, default: int | None) -> tuple[int, int]:
    """A window's setting for height and width."""
    settings = _settings(layer)
    if settings.HasField(f"{name}_h") or settings.HasField(f"{name}_w"):
        values = [getattr(settings, f"{name}_h"), getattr(settings, f"{name}_w")]
    elif layer.type == "Pooling":
        values = [getattr(settings, both)] * 2
    else:
        values = list(getattr(settings, both)) or ([] if default is None else [default])
    if len(values) not in (1, 2) or (name != "pad" and min(values) < 1):
        raise InputError(f"layer {layer.name!r}: no {name} of one or two whole numbers from 1")
    return values[0], values[-1]


def _dilation(layer: Message) -> tuple[int, int]:
    values = list(_settings(layer).dilation) or [1]
    return values[0], values[-1]


def _inner_product(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    settings = _settings(layer)
    return [(*bottoms[0][: settings.axis % len(bottoms[0])], settings.num_output)]


def _eltwise(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    if any(shape != bottoms[0] for shape in bottoms):
        raise InputError(f"layer {layer.name!r}: its bottoms are {', '.join(map(_times, bottoms))}, not of one shape")
    return [bottoms[0]]


def _concat(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    axis = _axis(layer, "concat_dim", bottoms[0])
    rest = [shape[:axis] + shape[axis + 1 :] for shape in bottoms]
    if any(one != rest[0] for one in rest):
        raise InputError(f"layer {layer.name!r}: {', '.join(map(_times, bottoms))} do not fit along axis {axis}")
    return [_with(bottoms[0], axis, sum(shape[axis] for shape in bottoms))]


def _slice(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    axis, points = _axis(layer, "slice_dim", bottoms[0]), list(_settings(layer).slice_point)
    side, count = bottoms[0][axis], len(layer.top)
    if not points and side % count:
        raise InputError(f"layer {layer.name!r}: {side} does not divide into {count} tops")
    ends = [*points, side] if points else [side // count * (number + 1) for number in range(count)]
    return [_with(bottoms[0], axis, end - start) for start, end in zip([0, *ends], ends)]


def _axis(layer: Message, old: str, shape: Shape) -> int:
    settings = _settings(layer)
    return (getattr(settings, old) if settings.HasField(old) else settings.axis) % len(shape)


def _flatten(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    settings, shape = _settings(layer), bottoms[0]
    first, last = settings.axis % len(shape), settings.end_axis % len(shape)
    return [(*shape[:first], _product(shape[first : last + 1]), *shape[last + 1 :])]


def _reshape(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    settings, shape = _settings(layer), bottoms[0]
    first = settings.axis if settings.axis >= 0 else len(shape) + settings.axis + 1
    last = len(shape) if settings.num_axes == -1 else first + settings.num_axes
    middle = [shape[first + place] if side == 0 else side for place, side in enumerate(settings.shape.dim)]
    count, known = _product(shape[first:last]), _product([side for side in middle if side != -1])
    if -1 in middle and known and count % known == 0:
        middle[middle.index(-1)] = count // known
    if _product(middle) != count:
        raise InputError(f"layer {layer.name!r}: {_times(shape)} does not fit the shape {list(settings.shape.dim)}")
    return [(*shape[:first], *middle, *shape[last:])]


def _crop(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    axis = _settings(layer).axis % len(bottoms[0])
    return [(*bottoms[0][:axis], *bottoms[1][axis:])]


def _tile(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    settings = _settings(layer)
    axis = settings.axis % len(bottoms[0])
    return [_with(bottoms[0], axis, bottoms[0][axis] * settings.tiles)]


def _split(layer: Message, bottoms: list[Shape]) -> list[Shape]:
    return [bottoms[0]] * len(layer.top)


def _image(layer: Message, bottoms: list[Shape]) -> Shape:
    if len(bottoms[0]) != 4:
        raise InputError(f"layer {layer.name!r} ({layer.type}) takes N x C x H x W, not {_times(bottoms[0])}")
    return bottoms[0]


def _settings(layer: Message) -> Any:
    return getattr(layer, _SETTINGS[layer.type])


def _with(shape: Shape, axis: int, side: int) -> Shape:
    return (*shape[:axis], side, *shape[axis + 1 :])


def _product(sides: Any) -> int:
    product = 1  # math.prod is of Python 3.8
    for side in sides:
        product *= side
    return product


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape))


_SETTINGS = {
    "Concat": "concat_param",
    "Convolution": "convolution_param",
    "Crop": "crop_param",
    "Deconvolution": "convolution_param",
    "Flatten": "flatten_param",
    "InnerProduct": "inner_product_param",
    "Pooling": "pooling_param",
    "Reshape": "reshape_param",
    "Slice": "slice_param",
    "Tile": "tile_param",
}
TRUNK_LAYERS: dict[str, Callable[[Message, list[Shape]], list[Shape]]] = {
    **dict.fromkeys(("AbsVal", "BatchNorm", "Bias", "Dropout", "LRN", "Power", "ReLU", "Scale", "Sigmoid"), _same),
    "Concat": _concat,
    "Convolution": _convolution,
    "Crop": _crop,
    "Deconvolution": _convolution,
    "Eltwise": _eltwise,
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "Pooling": _pooling,
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": _same,
    "Split": _split,
    "Tile": _tile,
}
