"""The table from a Caffe layer's type to ONNX nodes. What ONNX cannot say exactly as Caffe computes it is refused."""

from __future__ import annotations

from typing import Callable

import numpy as np
from google.protobuf.message import Message

from skinmtl.onnx_graphs.graph import LayerView


def _convolution(layer: LayerView) -> None:
    settings = layer.param.convolution_param
    if len(layer.bottom_shapes[0]) != 4 or settings.axis not in (1, -3) or len(layer.bottoms) != 1:
        raise layer.refuse("not one bottom of N x C x H x W")
    kernel = list(layer.blobs[0].shape[2:])
    stride, pad, dilation = (
        _both(layer, name, default) for name, default in (("stride", 1), ("pad", 0), ("dilation", 1))
    )
    inputs = [layer.bottoms[0], layer.constant("weight", layer.blobs[0])]
    if settings.bias_term:
        inputs.append(layer.constant("bias", layer.blobs[1].reshape(-1)))
    layer.node(
        "Conv", inputs, kernel_shape=kernel, strides=stride, pads=pad * 2, dilations=dilation, group=settings.group
    )


def _deconvolution(layer: LayerView) -> None:
    settings = layer.param.convolution_param
    if len(layer.bottom_shapes[0]) != 4 or settings.axis not in (1, -3) or len(layer.bottoms) != 1:
        raise layer.refuse("not one bottom of N x C x H x W")
    stride, pad, dilation = (
        _both(layer, name, default) for name, default in (("stride", 1), ("pad", 0), ("dilation", 1))
    )
    inputs = [layer.bottoms[0], layer.constant("weight", layer.blobs[0])]
    if settings.bias_term:
        inputs.append(layer.constant("bias", layer.blobs[1].reshape(-1)))
    shape = {"kernel_shape": list(layer.blobs[0].shape[2:]), "group": settings.group}
    layer.node("ConvTranspose", inputs, strides=stride, pads=pad * 2, dilations=dilation, **shape)


def _reshape(layer: LayerView) -> None:
    """To the shape that Caffe has, of one image."""
    shape = layer.graph.whole(f"{layer.name}/shape", np.array(layer.top_shape))
    layer.node("Reshape", [layer.bottoms[0], shape])


def _tile(layer: LayerView) -> None:
    settings = layer.param.tile_param
    repeats = np.ones(len(layer.top_shape), np.int64)
    repeats[settings.axis] = settings.tiles
    layer.node("Tile", [layer.bottoms[0], layer.graph.whole(f"{layer.name}/repeats", repeats)])


def _both(layer: LayerView, name: str, default: int) -> list[int]:
    """A convolution's setting for height and width."""
    settings = layer.param.convolution_param
    if name != "dilation" and (settings.HasField(f"{name}_h") or settings.HasField(f"{name}_w")):
        return [getattr(settings, f"{name}_h"), getattr(settings, f"{name}_w")]
    values = list(getattr(settings, name)) or [default]
    return [values[0], values[-1]]


def _pooling(layer: LayerView) -> None:
    """The padding at the end is spelt out so that there are Caffe's windows: ONNX' own ceil_mode is not read alike by
    all programs, and in AveragePool counts otherwise."""
    settings = layer.param.pooling_param
    sides, windows = layer.bottom_shapes[0][2:], layer.top_shape[2:]
    kernel, stride, pad = sides, [1, 1], [0, 0]
    if not settings.global_pooling:
        kernel, stride, pad = (_pair(settings, *names) for names in (("kernel", "kernel_size"), ("stride",), ("pad",)))
    elif layer.any_size and settings.pool in (settings.MAX, settings.AVE):
        layer.node("GlobalMaxPool" if settings.pool == settings.MAX else "GlobalAveragePool", layer.bottoms)
        return
    if layer.any_size:  # of x and x + step - 1 the whole part of the second's quotient is the first's, rounded up
        ceil = settings.round_mode == settings.CEIL
        over = [before + (step - 1 if ceil else 0) for before, step in zip(pad, stride)]
    else:
        steps = zip(windows, stride, kernel, sides, pad)
        over = [max(0, (count - 1) * step + length - side - before) for count, step, length, side, before in steps]
    if any(end >= length for end, length in zip(over, kernel)):
        raise layer.refuse("its last window lies beyond the image")
    shape = {"kernel_shape": kernel, "strides": stride, "pads": pad + over}
    if settings.pool == settings.MAX:
        layer.node("MaxPool", layer.bottoms, **shape)
    elif settings.pool == settings.AVE and (not any(pad) or all(end <= before for end, before in zip(over, pad))):
        # Caffe counts its own padding in a mean, and not what a last window has beyond that
        layer.node("AveragePool", layer.bottoms, count_include_pad=int(any(pad)), **shape)
    else:
        raise layer.refuse("neither a maximum nor a mean over windows that fit")


def _pair(settings: Message, name: str, both: str = "") -> list[int]:
    if settings.HasField(f"{name}_h") or settings.HasField(f"{name}_w"):
        return [getattr(settings, f"{name}_h"), getattr(settings, f"{name}_w")]
    return [getattr(settings, both or name)] * 2


def batch_norm(layer: LayerView, scale: LayerView | None) -> None:
    """A BatchNorm with its stored statistics, and the Scale that works in place on its top, as one node."""
    settings = layer.param.batch_norm_param
    if settings.HasField("use_global_stats") and not settings.use_global_stats:
        raise layer.refuse("uses the statistics of the batch")
    factor = layer.blobs[2].reshape(-1)[0]
    mean, variance = (blob.reshape(-1) * np.float32(1 / factor if factor else 0) for blob in layer.blobs[:2])
    weight, bias = np.ones_like(mean), np.zeros_like(mean)
    last = layer if scale is None else scale
    if scale is not None:
        weight = scale.blobs[0]
        bias = scale.blobs[1] if scale.param.scale_param.bias_term else bias
    inputs = [
        *(layer.bottoms[0], last.constant("weight", weight), last.constant("bias", bias)),
        *(layer.constant("mean", mean), layer.constant("variance", variance)),
    ]
    layer.graph.add("BatchNormalization", layer.name, inputs, last.top, epsilon=settings.eps)


def is_scale_of_channels(param: Message) -> bool:
    """Whether a layer has a learned factor a channel, and no second bottom."""
    settings = param.scale_param
    return param.type == "Scale" and len(param.bottom) == 1 and settings.axis in (1, -3) and settings.num_axes == 1


def _scale(layer: LayerView) -> None:
    settings = layer.param.scale_param
    if len(layer.bottoms) == 2 and not settings.bias_term:
        first, second = layer.bottom_shapes
        behind = len(first) - settings.axis % len(first) - len(second)
        factor = layer.bottoms[1]
        if behind:  # 0 keeps an axis, of images as many as there are
            shape = layer.graph.whole(f"{layer.name}/shape", np.array([0] * len(second) + [1] * behind))
            factor = layer.step("Reshape", "laid", [factor, shape])
        layer.node("Mul", [layer.bottoms[0], factor])
        return
    if not is_scale_of_channels(layer.param):
        raise layer.refuse("not a factor a channel")
    shape = (-1, *[1] * (len(layer.bottom_shapes[0]) - 2))
    inputs = [layer.bottoms[0], layer.constant("weight", layer.blobs[0].reshape(shape))]
    if not layer.param.scale_param.bias_term:
        layer.node("Mul", inputs)
        return
    scaled = layer.step("Mul", "scaled", inputs)
    layer.node("Add", [scaled, layer.constant("bias", layer.blobs[1].reshape(shape))])


def _inner_product(layer: LayerView) -> None:
    settings = layer.param.inner_product_param
    if settings.axis not in (1, 1 - len(layer.bottom_shapes[0])):
        raise layer.refuse("not of whole images")
    flat = layer.bottoms[0]
    if len(layer.bottom_shapes[0]) != 2:
        flat = layer.step("Flatten", "flat", [flat], axis=1)
    inputs = [flat, layer.constant("weight", layer.blobs[0])]
    if settings.bias_term:
        inputs.append(layer.constant("bias", layer.blobs[1].reshape(-1)))
    layer.node("Gemm", inputs, transB=int(not settings.transpose))


def _lrn(layer: LayerView) -> None:
    settings = layer.param.lrn_param
    if settings.norm_region != settings.ACROSS_CHANNELS:
        raise layer.refuse("normalises within a channel")
    layer.node(
        "LRN", layer.bottoms, size=settings.local_size, alpha=settings.alpha, beta=settings.beta, bias=settings.k
    )


def _relu(layer: LayerView) -> None:
    slope = layer.param.relu_param.negative_slope
    layer.node("LeakyRelu", layer.bottoms, alpha=slope) if slope else layer.node("Relu", layer.bottoms)


def _power(layer: LayerView) -> None:
    settings = layer.param.power_param
    if settings.power != 1:
        raise layer.refuse("a power other than 1")
    inputs = [layer.bottoms[0], layer.constant("factor", np.array(settings.scale))]
    if not settings.shift:
        layer.node("Mul", inputs)
        return
    layer.node("Add", [layer.step("Mul", "scaled", inputs), layer.constant("shift", np.array(settings.shift))])


def _eltwise(layer: LayerView) -> None:
    settings = layer.param.eltwise_param
    kind = {settings.SUM: "Add", settings.PROD: "Mul", settings.MAX: "Max"}[settings.operation]
    bottoms = layer.bottoms
    if any(coefficient != 1 for coefficient in settings.coeff):
        bottoms = [
            layer.step("Mul", f"term{n}", [bottom, layer.constant(f"coefficient{n}", np.array(coefficient))])
            for n, (bottom, coefficient) in enumerate(zip(bottoms, settings.coeff))
        ]
    left, *between, right = bottoms
    for n, bottom in enumerate(between):
        left = layer.step(kind, f"part{n}", [left, bottom])
    layer.node(kind, [left, right])


def _concat(layer: LayerView) -> None:
    settings = layer.param.concat_param
    axis = settings.concat_dim if settings.HasField("concat_dim") else settings.axis
    layer.node("Concat", layer.bottoms, axis=axis % len(layer.bottom_shapes[0]))


def _softmax(layer: LayerView) -> None:
    layer.node("Softmax", layer.bottoms, axis=layer.param.softmax_param.axis % len(layer.bottom_shapes[0]))


def _flatten(layer: LayerView) -> None:
    settings = layer.param.flatten_param
    if settings.axis != 1 or settings.end_axis not in (-1, len(layer.bottom_shapes[0]) - 1):
        raise layer.refuse("not all axes of an image")
    layer.node("Flatten", layer.bottoms, axis=1)


def _plain(kind: str) -> Callable[[LayerView], None]:
    return lambda layer: layer.node(kind, layer.bottoms)


CONVERTERS: dict[str, Callable[[LayerView], None]] = {
    "AbsVal": _plain("Abs"),
    "BatchNorm": lambda layer: batch_norm(layer, None),
    "Concat": _concat,
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "Dropout": _plain("Identity"),  # in use it passes everything on
    "Eltwise": _eltwise,
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Pooling": _pooling,
    "Power": _power,
    "ReLU": _relu,
    "Scale": _scale,
    "Sigmoid": _plain("Sigmoid"),
    "Softmax": _softmax,
}
# what has shapes of its own, or changes the first axis: only where N is 1
OF_ONE_IMAGE: dict[str, Callable[[LayerView], None]] = {"Reshape": _reshape, "Tile": _tile}
