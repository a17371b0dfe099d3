"""The weights as a torch state dict, with torchvision's names where the net is a ResNet and Caffe's where it is not.

A BatchNorm and the Scale on its top are one module in torch: weight and bias are the Scale's, running_mean and
running_var the BatchNorm's sums divided by its factor. The bias of a ResNet's conv1, which torchvision's has not, is
taken from the running mean of the BatchNorm behind it: bn(x + b) = ((x + b) - m) / s = (x - (m - b)) / s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
from google.protobuf.message import Message

from caffe_files.errors import InputError
from skinmtl.common.libraries import import_or_refuse
from skinmtl.pretrained.resnet50 import units

HEADS = ("fc_lesion", "fc_location")
ENDINGS = ("pth", "safetensors")


def state_dict(net: Message, parameters: Callable[[str], Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays float32 by torch name; `parameters` gives a layer's blobs as in a caffemodel.

    InputError where a layer has weights and no counterpart in torch.
    """
    named = torch_names(net)
    tensors: dict[str, np.ndarray] = {}
    for layer in net.layer:
        blobs = parameters(layer.name)
        if len(blobs):
            for ending, values in _tensors(layer, blobs):
                tensors[f"{named[layer.name]}.{ending}"] = np.array(values, np.float32)
    if is_resnet(net) and "conv1.bias" in tensors:
        tensors["bn1.running_mean"] -= tensors.pop("conv1.bias")
    return tensors


def is_resnet(net: Message) -> bool:
    """Whether all layers with weights have a name in torchvision's ResNet-50, or are heads."""
    there = {layer.name for layer in net.layer if layer.type in TYPES}
    return "conv1" in there and there <= {*_torchvision_names(), *HEADS}


def torch_names(net: Message) -> dict[str, str]:
    """Module names by layer."""
    layers = [layer for layer in net.layer if layer.type in TYPES]
    if is_resnet(net):
        known = _torchvision_names()
        return {layer.name: known.get(layer.name, layer.name) for layer in layers}
    names, written_by = {}, {}
    for layer in layers:
        bottom = layer.bottom[0]
        # a Scale goes by the name of the BatchNorm on whose top it works
        names[layer.name] = written_by.get(bottom, layer.name) if layer.type == "Scale" else layer.name
        written_by.pop(layer.top[0], None)
        if layer.type == "BatchNorm":
            written_by[layer.top[0]] = layer.name
    return names


def write_state_dict(tensors: dict[str, np.ndarray], path: Path, metadata: dict[str, str]) -> None:
    """A .pth with tensors alone (torch.load takes weights_only=True), or a .safetensors with `metadata`."""
    if path.suffix == ".safetensors":
        import_or_refuse("safetensors")
        from safetensors.numpy import save

        path.write_bytes(save(tensors, {"format": "pt", **metadata}))  # its save_file shuts others out
        return
    torch: Any = import_or_refuse("torch")
    torch.save({name: torch.from_numpy(values) for name, values in tensors.items()}, str(path))


def _torchvision_names() -> dict[str, str]:
    """Module names by the layers of the published ResNet-50; a smaller one has some of them."""
    names = {}
    for unit in units():
        names[unit.convolution] = unit.torch_convolution
        names.update(dict.fromkeys((f"bn{unit.suffix}", f"scale{unit.suffix}"), unit.torch_normal))
    return names


def _multiplied(layer: Message, blobs: Sequence[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    transposed = layer.type == "InnerProduct" and layer.inner_product_param.transpose
    return [("weight", blobs[0].T if transposed else blobs[0]), *(("bias", blob.reshape(-1)) for blob in blobs[1:])]


def _statistics(layer: Message, blobs: Sequence[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    factor = float(blobs[2].reshape(-1)[0])
    mean, variance = (blob.reshape(-1) * np.float32(1 / factor if factor else 0) for blob in blobs[:2])
    return [("running_mean", mean), ("running_var", variance)]


TYPES: dict[str, Callable[[Message, Sequence[np.ndarray]], list[tuple[str, np.ndarray]]]] = {
    "Convolution": _multiplied,
    "Deconvolution": _multiplied,
    "InnerProduct": _multiplied,
    "BatchNorm": _statistics,
    "Scale": _multiplied,
}


def _tensors(layer: Message, blobs: Sequence[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    if layer.type not in TYPES:
        raise InputError(f"layer {layer.name!r}: type {layer.type} has no counterpart in a state dict")
    return TYPES[layer.type](layer, blobs)
