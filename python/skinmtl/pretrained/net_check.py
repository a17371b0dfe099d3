"""Whether a net is the one that converted weights belong in: Caffe would fill another one too, without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.settings import LesionDataSettings, read_settings
from skinmtl.nets.data_layers import JITTERED, LESIONS
from skinmtl.nets.multi_task import SPLITS
from skinmtl.nets.phases import HEADS
from skinmtl.pretrained.resnet50 import caffe_shapes


class Preprocessing(NamedTuple):
    """What make_prototxt.py must be told: --stride-on, --pool1, and --mean (B, G, R)."""

    stride_on: str
    pool1: str
    mean: tuple[float, float, float]

    @property
    def flags(self) -> str:
        """As make_prototxt.py takes them, those left out that follow."""
        pool1 = "padded" if self.stride_on == "3x3" else "unpadded"
        words = [f"--stride-on {self.stride_on}"]
        if self.pool1 != pool1:
            words.append(f"--pool1 {self.pool1}")
        return " ".join([*words, "--mean", *(f"{value:.7g}" for value in self.mean)])


def check_net(net: Path, expected: Preprocessing) -> None:
    """InputError unless every net of the folder, or the one of the file, is a ResNet-50 as expected."""
    for file in _files(net):
        layers = {layer.name: layer for layer in read_net(file).layer}
        fault = _not_resnet50(layers) or _fault(file, layers, expected)
        if fault:
            raise InputError(f"{file}: {fault}; make it with make_prototxt.py --model resnet50_... {expected.flags}")


def net_file(net: Path) -> Path:
    """The first net of a folder, or the file itself."""
    return _files(net)[0]


def _files(net: Path) -> list[Path]:
    files = [net / f"{split}.prototxt" for split in SPLITS] if net.is_dir() else [net]
    return [file for file in files if file.exists()] or files[:1]


def _not_resnet50(layers: dict[str, Any]) -> str:
    shapes = caffe_shapes()
    kinds = ("Convolution", "BatchNorm", "Scale")
    # above it a mask net has others
    heads = tuple(pattern.rstrip("*") for pattern in HEADS) if "fpn_lateral2" in layers else ()
    parameters = {name: layer for name, layer in layers.items() if layer.type in kinds and not name.startswith(heads)}
    odd = sorted(set(shapes) ^ set(parameters))
    for name, layer in parameters.items():
        settings = layer.convolution_param
        if not odd and layer.type == "Convolution":
            kernel = list(settings.kernel_size) * (2 if len(settings.kernel_size) == 1 else 1)
            if [settings.num_output, *kernel] != [shapes[name][0][axis] for axis in (0, 2, 3)]:
                odd = [name]
    return f"is no ResNet-50 (see {odd[0]})" if odd else ""


def _fault(file: Path, layers: dict[str, Any], expected: Preprocessing) -> str:
    strides = {name: list(layers[f"res3a_branch2{name}"].convolution_param.stride) or [1] for name in "ab"}
    stride_on = {(2, 1): "1x1", (1, 2): "3x3"}.get((strides["a"][0], strides["b"][0]), "neither")
    if stride_on != expected.stride_on:
        return f"its stride is on the {stride_on}, the checkpoint's on the {expected.stride_on}"
    pooling = layers["pool1"].pooling_param if "pool1" in layers else None
    if pooling is None:
        return "has no pool1"
    pool1 = {(0, 0): "unpadded", (1, 1): "padded"}.get((pooling.pad, pooling.round_mode), "of another form")
    if pool1 != expected.pool1:
        return f"its pool1 is {pool1}, the checkpoint's {expected.pool1}"
    mean = _mean(file, layers)
    if mean is not None and not np.allclose(mean, expected.mean, rtol=0, atol=1e-3):
        shown = " ".join(f"{value:.7g}" for value in mean)
        return f"it subtracts {shown or 'nothing'} from its images, not the checkpoint's mean"
    return ""


def _mean(file: Path, layers: dict[str, Any]) -> list[float] | None:
    """The mean (B, G, R) that the net subtracts; None for a deploy net, which is given its images ready."""
    for layer in layers.values():
        if layer.type == "Data" and layer.transform_param.crop_size:
            return list(layer.transform_param.mean_value)
        if layer.type == "Python" and layer.python_param.layer == JITTERED:
            return list(read_settings(layer.python_param.param_str, f"{file}: {layer.name}").mean)
        if layer.type == "Python" and layer.python_param.layer == LESIONS:
            return list(read_param_str(LesionDataSettings, layer.python_param.param_str, f"{file}: {layer.name}").mean)
    return None
