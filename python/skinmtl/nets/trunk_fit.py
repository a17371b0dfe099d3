"""A given trunk's layers made to fit a crop and the heads, and what is to be told of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.nets.layer_shapes import Shape, top_shapes

SCALED, POOLED = "input_scale", "global_pool"
# where a file has no filler: as the built-in trunks have it; it only matters where no weights are loaded
FILLED = {"Convolution": "convolution_param", "InnerProduct": "inner_product_param"}


@dataclass(frozen=True)
class Fitted:
    """Layers from the blob `data` on; the blobs of features, a vector an image, and of maps; what is to be told."""

    layers: list[Message]
    features: str
    maps: str | None
    notes: list[str]


def fitted(
    given: Sequence[Message],
    source: str,
    side: int | None,
    crop: int,
    features: str,
    maps: str | None,
    input_scale: float | None,
) -> Fitted:
    """The layers `given`, whose input is `source`, for a `crop` that need not be the published `side`.

    An average over all places stays one: its kernel changes with the crop. Features of several places get an average
    of their own. InputError says which layer cannot be built.
    """
    notes: list[str] = []
    published = {} if side in (None, crop) else _bottoms(given, source, side)
    shapes: dict[str, Shape] = {"data": (1, 3, crop, crop)}
    layers = []
    if input_scale is not None:
        layers.append(_scale(input_scale))
        shapes[SCALED] = shapes["data"]
    start = SCALED if input_scale is not None else "data"
    for layer in map(_copy, given):
        for names in (layer.bottom, layer.top):
            names[:] = [start if name == source else name for name in names]
        bottoms = [shapes[name] for name in layer.bottom]
        if layer.name in published:
            notes += _with_crop(layer, published[layer.name][0], bottoms[0], side, crop)
        notes += _for_any_machine(layer)
        shapes.update(zip(layer.top, top_shapes(layer, bottoms)))
        layers.append(layer)
    shape, given_features = shapes[features], features
    if len(shape) == 4 and shape[2:] != (1, 1):
        maps = maps or features
        features = _free_name([*shapes, *(layer.name for layer in layers)])
        layers.append(_average(features, given_features))
        where = f"{shape[2]} x {shape[3]} places"
        notes.append(f"{given_features} has {where}: the heads stand on its average, {features}, which is added")
    elif len(shape) not in (2, 4):
        raise InputError(f"the blob {features} has {len(shape)} axes, heads stand on 2 or 4")
    maps = maps or average_of(layers, features, shapes)
    if maps and len(shapes[maps]) != 4:
        raise InputError(f"the blob {maps} has no places to make maps of; leave --maps out")
    notes.append(f"features: {features}, {shape[1]} numbers; maps: {maps or 'none'}")
    fixed = [layer.name for layer in layers if layer.type != "BatchNorm" and _has_no_rate(layer)]
    if fixed:
        notes.append(f"{len(fixed)} layers have lr_mult 0 in the given net and do not learn: {fixed[0]}, ...")
    return Fitted(layers, features, maps, notes)


def average_of(layers: Iterable[Message], pooled: str, shapes: Mapping[str, Sequence[int]]) -> str | None:
    """The blob whose average over all places `pooled` is, by a Pooling and nothing but Dropout after it; or None."""
    makers = [layer for layer in layers if pooled in layer.top]
    if not makers or any(layer.type != "Dropout" for layer in makers[1:]):
        return None
    bottom = makers[0].bottom[0] if makers[0].bottom else ""
    return bottom if bottom in shapes and _covers(makers[0], shapes[bottom]) else None


def _covers(layer: Message, bottom: Sequence[int]) -> bool:
    """Whether a layer is the average of all places of its bottom, N x C x H x W."""
    if layer.type != "Pooling" or len(bottom) != 4:
        return False
    settings = layer.pooling_param
    if settings.pool != settings.AVE or any((settings.pad, settings.pad_h, settings.pad_w)):
        return False
    sides = (settings.kernel_h or settings.kernel_size, settings.kernel_w or settings.kernel_size)
    return settings.global_pooling or tuple(sides) == tuple(bottom[2:])


def _bottoms(given: Sequence[Message], source: str, side: int) -> dict[str, list[Shape]]:
    """The shapes of each layer's bottoms as published."""
    shapes: dict[str, Shape] = {source: (1, 3, side, side)}
    found = {}
    for layer in given:
        found[layer.name] = [shapes[name] for name in layer.bottom]
        shapes.update(zip(layer.top, top_shapes(layer, found[layer.name])))
    return found


def _with_crop(layer: Message, published: Shape, bottom: Shape, side: int, crop: int) -> list[str]:
    """Changes the kernel of an average over all places to what it gets now; says so, or which weights cannot fit."""
    if layer.type == "InnerProduct":
        first = layer.inner_product_param.axis % len(bottom)
        before, now = _product(published[first:]), _product(bottom[first:])
        if before != now:
            inputs = f"{now} inputs at a crop of {crop}, {before} at {side}"
            return [f"published weights do not fit {layer.name}: it has {inputs}"]
        return []
    if not _covers(layer, published) or layer.pooling_param.global_pooling or published[2:] == bottom[2:]:
        return []
    settings = layer.pooling_param
    for name in ("kernel_h", "kernel_w", "stride_h", "stride_w", "stride"):
        settings.ClearField(name)
    settings.kernel_size = bottom[2]
    places = f"{bottom[2]} x {bottom[3]} places at a crop of {crop}"
    return [f"{layer.name} averages {places}, as it does {published[2]} x {published[3]} at {side}"]


def _for_any_machine(layer: Message) -> list[str]:
    """Fillers where there are none, and no library that only some machines have."""
    if layer.type in FILLED:
        settings = getattr(layer, FILLED[layer.type])
        if not settings.HasField("weight_filler"):
            settings.weight_filler.type = "msra"
    notes = []
    for field, settings in layer.ListFields():
        engine = settings.DESCRIPTOR.fields_by_name.get("engine") if field.name.endswith("_param") else None
        if engine and settings.engine == engine.enum_type.values_by_name["CUDNN"].number:
            settings.ClearField("engine")
            notes.append(f"{layer.name} had engine CUDNN, which not every Caffe has: it is left to Caffe")
    return notes


def _scale(factor: float) -> Message:
    layer = caffe_messages().LayerParameter(name=SCALED, type="Power", bottom=["data"], top=[SCALED])
    layer.power_param.scale = factor
    return layer


def _average(name: str, bottom: str) -> Message:
    layer = caffe_messages().LayerParameter(name=name, type="Pooling", bottom=[bottom], top=[name])
    layer.pooling_param.pool = layer.pooling_param.AVE
    layer.pooling_param.global_pooling = True
    return layer


def _free_name(taken: Sequence[str]) -> str:
    name = POOLED
    while name in taken:
        name += "_"
    return name


def _has_no_rate(layer: Message) -> bool:
    return bool(layer.param) and all(param.lr_mult == 0 for param in layer.param)


def _copy(layer: Message) -> Message:
    copy = type(layer)()
    copy.CopyFrom(layer)
    del copy.blobs[:]
    return copy


def _product(sides: Iterable[int]) -> int:
    product = 1  # math.prod is of Python 3.8
    for side in sides:
        product *= side
    return product
