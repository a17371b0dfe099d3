"""Which layers of a net learn, and how one is kept from it."""

from __future__ import annotations

from google.protobuf.message import Message

from caffe_files.errors import InputError

WITH_BIAS = {
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "InnerProduct": "inner_product_param",
    "Scale": "scale_param",
}


def learns(layer: Message) -> bool:
    """Whether a layer has weights, or statistics that follow the batches."""
    return _blobs(layer) > 0 or layer.type == "BatchNorm"


def freeze(layer: Message) -> None:
    """Sets lr_mult and decay_mult of all its weights to 0, so that Caffe computes no gradient for them; a BatchNorm is
    told to use the statistics that are stored."""
    if layer.type == "BatchNorm":  # its three blobs never learn, but its statistics follow the batches
        layer.batch_norm_param.use_global_stats = True
        return
    for number in range(_blobs(layer)):
        param = layer.param[number] if number < len(layer.param) else layer.param.add()
        param.lr_mult = 0
        param.decay_mult = 0


def is_frozen(layer: Message) -> bool:
    """Whether a layer has weights, none of which learns."""
    count = _blobs(layer)
    return 0 < count <= len(layer.param) and all(param.lr_mult == 0 for param in layer.param[:count])


def check_shared(net: Message, what: str, remedy: str) -> None:
    """Caffe stops where two layers that share a weight have other multipliers for it: InputError, headed by `what`."""
    rates: dict[str, tuple[float, str]] = {}
    for layer in net.layer:
        for param in layer.param:
            rate, first = rates.setdefault(param.name, (param.lr_mult, layer.name))
            if param.name and rate != param.lr_mult:
                raise InputError(
                    f"{what}: {first} and {layer.name} share the weight {param.name}, and only one of them would "
                    f"learn; {remedy}"
                )


def _blobs(layer: Message) -> int:
    """How many weights a layer has for which a gradient is computed."""
    own = len(layer.bottom) == 1 or layer.type not in ("Scale", "Bias")  # of two bottoms, the second is the factor
    if layer.type in WITH_BIAS:
        return own + bool(getattr(layer, WITH_BIAS[layer.type]).bias_term)
    return int(own and layer.type == "Bias")
