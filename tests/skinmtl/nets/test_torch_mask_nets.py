"""Whole nets of Song et al. on caffe_torch against stock Caffe, on one batch: every blob, and every gradient."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
pytest.importorskip("torchvision", reason="torchvision is not installed here: make torch")
from region_layers import draws, lesions, masks, windows
from torch_agreement import NEEDS_CAFFE, close

from caffe_files.prototxt import message_text
from caffe_torch.net import Net
from skinmtl.nets.mask_net import LESION_DATA_TOPS, make_mask_net
from skinmtl.nets.mask_options import MaskNetOptions

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
SIDE, IMAGES = 128, 2
SMALL = {"channels": 8, "rpn_channels": 8, "full": 12, "mask_channels": 8, "rois": 24, "proposals": (40, 20)}


def options_of(**more):
    return MaskNetOptions(
        *("resnet50_mask_rcnn", "tiny", SIDE, 2, 3, "none", "none", IMAGES, IMAGES, True), **{**SMALL, **more}
    )


def batch(seed, missing=()):
    """What LesionData gives."""
    boxes, labels = lesions(seed, IMAGES, missing=missing)
    data = np.random.RandomState(seed).standard_normal((IMAGES, 3, SIDE, SIDE)).astype(np.float32)
    made = (data, windows(IMAGES), boxes, labels, masks(boxes), draws(seed, IMAGES))
    return dict(zip(LESION_DATA_TOPS, made))


def net_on(options, split, inputs):
    """The net with an Input for each blob that its data layer gives."""
    param = make_mask_net(options, split)
    if split != "deploy":
        del param.layer[0]
        for name, values in reversed(inputs.items()):
            param.layer.add(name=name, type="Input", top=[name]).input_param.shape.add(dim=values.shape)
            param.layer.insert(0, param.layer.pop())
    return param


def answers(caffe, param, phase, inputs):
    """Blobs and gradients of caffe_torch, and what Caffe says of the same weights."""
    torch.manual_seed(3)
    net = Net(param, phase)
    with torch.no_grad():
        for layer in net.layers:
            for blob in layer.blobs:
                if layer.param.type == "BatchNorm":
                    blob.uniform_(0.5, 1.5)
                elif blob.dim() > 1:  # numbers keep one size, and scores differ: the order of near ones is of rounding
                    blob.normal_(0, blob[0].numel() ** -0.5)
    arrays = {f"blob:{name}": values for name, values in inputs.items()}
    for layer in net.layers:
        arrays.update((f"weight:{layer.name}:{n}", blob.detach().numpy()) for n, blob in enumerate(layer.blobs))
    blobs = net({name: torch.from_numpy(values) for name, values in inputs.items()})
    for name, weight in net.loss_weights:
        arrays[f"gradient:{name}"] = np.float32(weight)
    if net.loss_weights:
        net.loss(blobs).backward()
    return net, blobs, caffe.answer(message_text(param), phase, arrays)


WAYS = {
    "all": {},
    "without P6": {"p6": False, "scales": (64, 128, 256, 512)},
    "focal loss in both, no second loss of masks": {"focal": "both", "jaccard": None, "mask_pooling": 7},
    "no focal loss, levels rounded down": {"focal": "none", "levels": "floor", "normaliser": "locations"},
    "class alone": {"heads": ("class",)},
    "box alone": {"heads": ("box",)},
    "mask alone": {"heads": ("mask",)},
}


@pytest.mark.parametrize(("way", "missing"), [("all", ()), ("all", (0, 1)), *((way, (0,)) for way in WAYS)])
def test_a_training_pass_is_caffes(caffe, way, missing):
    """Also of images without a lesion."""
    inputs = batch(5, missing)
    net, blobs, expected = answers(caffe, net_on(options_of(**WAYS[way]), "train", inputs), "TRAIN", inputs)
    for top, values in blobs.items():
        close(values, expected[f"blob:{top}"], top, 1e-4)
    for learned in net.learned:
        if learned.lr_mult:
            parameter, what = net.parameter(learned), f"weight_gradient:{learned.layer}:{learned.blob}"
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            close(gradient, expected[what], what, 1e-3)


@pytest.mark.parametrize("way", ["all", "class alone", "box alone", "mask alone"])
def test_a_deploy_pass_is_caffes(caffe, way):
    inputs = {name: values[:1] for name, values in batch(6).items() if name in ("data", "window")}
    _, blobs, expected = answers(caffe, net_on(options_of(**WAYS[way]), "deploy", inputs), "TEST", inputs)
    for top, values in blobs.items():
        close(values, expected[f"blob:{top}"], top, 1e-4)
