"""The multi-task net with random weights under which numbers keep one size: BatchNorm's statistics are those of its
input, and the heads' scores differ from image to image."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from google.protobuf.message import Message

from caffe_torch.model_files import write_caffemodel
from caffe_torch.net import Net
from skinmtl.nets.multi_task import NetOptions, make_net

INPUTS = ("data", "lesion_label", "location_label")


def options_of(trunk: str, batch: int) -> NetOptions:
    """The paper's multi-task net with 25 lesions and 23 locations, BatchNorm frozen."""
    side = {"resnet50": 224, "tiny": 64}[trunk]
    return NetOptions("resnet50_mtl", trunk, side, 25, 23, "none", "none", batch, batch, True)


def drawn_batch(options: NetOptions, seed: int) -> dict[str, torch.Tensor]:
    """A batch by the names of its blobs, as the data layers give them; images of coloured blobs with noise."""
    random = torch.Generator().manual_seed(seed)
    size, crop = options.batch_size, options.crop
    blobs, noise = (torch.randn(size, 3, side, side, generator=random) for side in (6, crop))
    return {
        "data": 60 * F.interpolate(blobs, crop, mode="bilinear") + 10 * noise,
        "lesion_label": (torch.rand(size, options.lesions, 1, 1, generator=random) < 0.1).float(),
        "location_label": torch.randint(0, options.locations, (size, 1, 1, 1), generator=random).float(),
    }


def net_on_inputs(options: NetOptions) -> Message:
    """The training net with an Input in place of each data layer."""
    net = make_net(options, "train")
    for layer, (name, values) in zip(net.layer, drawn_batch(options, 0).items()):
        layer.Clear()
        layer.name, layer.type = name, "Input"
        layer.top.append(name)
        layer.input_param.shape.add(dim=values.shape)
    return net


def write_weights(options: NetOptions, path: Path, seed: int) -> None:
    """A caffemodel for the net."""
    torch.manual_seed(seed)
    net = Net(net_on_inputs(replace(options, frozen_batch_norm=False)), "TRAIN")
    with torch.no_grad():
        for head in ("fc_lesion", "fc_location"):
            weights = net.layer(head).blob0
            weights.normal_(0, 1 / math.sqrt(weights.shape[1]))
        net(drawn_batch(options, seed))
    write_caffemodel(net, path)
