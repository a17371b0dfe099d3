"""A mask net of Song et al. with random weights, and a batch for it: an Input in place of its data layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from google.protobuf.message import Message

from skinmtl.nets.mask_net import LESION_DATA_TOPS, make_mask_net
from skinmtl.nets.mask_options import MaskNetOptions

CLASSES = 2
POSITIVE = 0.05


def options_of(side: int, batch: int, **more: object) -> MaskNetOptions:
    """The ResNet-50 net of the paper's choices at another side, benign and malignant; BatchNorm frozen."""
    return MaskNetOptions(
        *("resnet50_mask_rcnn", "resnet50", side, CLASSES, 1, "none", "none", batch, batch, True), **more
    )


def drawn_batch(side: int, batch: int, seed: int) -> dict[str, np.ndarray]:
    """What LesionData gives: images of coloured blobs with noise, and in each an ellipse about as large as a lesion."""
    random = np.random.RandomState(seed)
    data = 40 * random.standard_normal((batch, 3, 8, 8)).repeat(side // 8, 2).repeat(side // 8, 3)
    data += 10 * random.standard_normal(data.shape)
    sides = side * random.uniform(0.3, 0.6, (batch, 2))
    low = (side - sides) * random.uniform(0, 1, (batch, 2))
    boxes = np.concatenate([low, low + sides], 1).round()
    row, column = np.mgrid[:side, :side] + 0.5
    masks = np.stack(
        [
            ((column - (x1 + x2) / 2) / (x2 - x1)) ** 2 + ((row - (y1 + y2) / 2) / (y2 - y1)) ** 2 < 0.25
            for x1, y1, x2, y2 in boxes
        ]
    )
    window = np.tile([0, 0, side, side], (batch, 1))
    labels, draws = 1 + np.arange(batch) % CLASSES, random.randint(0, 2**24, (batch, 2))
    made = (data, window, boxes, labels, masks[:, None], draws)
    return {name: values.astype(np.float32) for name, values in zip(LESION_DATA_TOPS, made)}


def net_on_inputs(options: MaskNetOptions, batch: dict[str, np.ndarray]) -> Message:
    """The training net with an Input for each blob of the batch.

    A region is positive from an IoU of POSITIVE on: else, before anything is learned, hardly any would be, and most
    rows would be padding.
    """
    net = make_mask_net(options, "train")
    del net.layer[0]
    for layer in net.layer:
        if layer.python_param.layer == "ProposalTargets":
            text = layer.python_param.param_str
            layer.python_param.param_str = text.replace("{", f'{{"positive": {POSITIVE}, ', 1)
    for name, values in reversed(list(batch.items())):
        net.layer.add(name=name, type="Input", top=[name]).input_param.shape.add(dim=values.shape)
        net.layer.insert(0, net.layer.pop())
    return net


def write_weights(options: MaskNetOptions, path: Path, seed: int, side: int = 128) -> None:
    """A caffemodel for the net: BatchNorm's statistics are those of its input, of images of a smaller side."""
    import torch

    from caffe_torch.model_files import write_caffemodel
    from caffe_torch.net import Net

    torch.manual_seed(seed)
    small, batch = replace(options, side=side, frozen_batch_norm=False), drawn_batch(side, options.batch_size, seed)
    net = Net(net_on_inputs(small, batch), "TRAIN")
    with torch.no_grad():
        net({name: torch.from_numpy(values) for name, values in batch.items()})
    write_caffemodel(net, path)
