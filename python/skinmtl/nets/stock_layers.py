"""Layers that published nets have and stock Caffe has not, in layers that it has; none of them has other weights."""

from __future__ import annotations

from google.protobuf.message import Message

DEPTHWISE = ("ConvolutionDepthwise", "DepthwiseConvolution")


def in_stock_layers(layer: Message) -> list[Message]:
    """The layer itself, or what computes the same.

    Axpy (of SENet's authors) is scale x + y, where its bottoms are the scale, N x C x 1 x 1, x and y; a depthwise
    convolution is one in as many groups as outputs.
    """
    if layer.type == "Axpy" and len(layer.bottom) == 3 and len(layer.top) == 1:
        scale, x, y = layer.bottom
        flat, scaled = f"{layer.name}/flat", f"{layer.name}/scaled"
        made = [
            type(layer)(name=flat, type="Flatten", bottom=[scale], top=[flat]),
            type(layer)(name=scaled, type="Scale", bottom=[x, flat], top=[scaled]),
            type(layer)(name=layer.name, type="Eltwise", bottom=[scaled, y], top=list(layer.top)),
        ]
        made[1].scale_param.axis = 0
        return made
    if layer.type in DEPTHWISE:
        made = type(layer)()
        made.CopyFrom(layer)
        made.type = "Convolution"
        if made.convolution_param.group == 1:
            made.convolution_param.group = made.convolution_param.num_output
        return [made]
    return [layer]
