"""torchvision's Mask R-CNN on a ResNet-50 (maskrcnn_resnet50_fpn), as far as a net of ours has the same.

Above the trunk that are the pyramid, the proposals' head, the two fully connected layers and the mask's convolutions.
What tells COCO's 91 classes apart has no place in a net of lesions.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.region_settings import STD, RoIAlignSettings
from skinmtl.pretrained.resnet50 import Layer

# present where a checkpoint is of this kind; what stands before it is the prefix of all names (module.)
ANCHOR = "backbone.fpn.inner_blocks.0.0.weight"
# as the published file has them, from before torchvision 0.13 -> as today's models have them
OLDER = (
    (re.compile(r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)$"), r"\1.0.\2"),
    (re.compile(r"(rpn\.head\.conv)\.(weight|bias)$"), r"\1.0.0.\2"),
    (
        re.compile(r"(roi_heads\.mask_head)\.mask_fcn(\d)\."),
        lambda found: f"{found.group(1)}.{int(found.group(2)) - 1}.0.",
    ),
)
LEVELS = (2, 3, 4, 5)
RPN_LEVELS = (2, 3, 4, 5, 6)
CHANNELS = 256  # of all convolutions there
FLAGS = f"--rpn-channels {CHANNELS}"  # of make_prototxt.py, for a net that all of it fits
# what starts anew in any net: classes are others
OF_CLASSES = ("roi_class", "roi_box", "mask_score")

# Caffe's layer -> the layer of torchvision, where the weights are taken as they are
SAME = {
    **{f"fpn_lateral{level}": f"backbone.fpn.inner_blocks.{level - 2}.0" for level in LEVELS},
    **{f"fpn_output{level}": f"backbone.fpn.layer_blocks.{level - 2}.0" for level in LEVELS},
    **{f"rpn_conv_p{level}": "rpn.head.conv.0.0" for level in RPN_LEVELS},
    "roi_fc6": "roi_heads.box_head.fc6",
    "roi_fc7": "roi_heads.box_head.fc7",
    **{f"mask_conv{number}": f"roi_heads.mask_head.{number - 1}.0" for number in range(1, 5)},
    "mask_deconv": "roi_heads.mask_predictor.conv5_mask",
}
KINDS = {"roi_fc6": "InnerProduct", "roi_fc7": "InnerProduct", "mask_deconv": "Deconvolution"}
SCORES, DELTAS = "rpn.head.cls_logits", "rpn.head.bbox_pred"


class Heads(NamedTuple):
    """The layers of a caffemodel by name, and the names of the checkpoint's tensors that they were made of."""

    layers: dict[str, Layer]
    used: set[str]


def is_mask_rcnn(tensors: dict[str, np.ndarray]) -> bool:
    """Whether a state dict is one of torchvision's Mask R-CNN, by its pyramid."""
    return _prefix(tensors) is not None


def head_layers(tensors: dict[str, np.ndarray]) -> Heads:
    """What stands above the trunk. A layer is there where the checkpoint has its weights and its biases.

    Its proposals have a sigmoid of one number an anchor, ours a softmax of two: with 0 for the background both are the
    same. Its anchors are tall last, ours first; its deltas are not divided by `STD`, and lie anchor by anchor.
    InputError where values are not finite.
    """
    prefix = _prefix(tensors) or ""
    own = {_today(name)[len(prefix) :]: name for name in tensors if name.startswith(prefix)}
    layers, used = {}, set()

    def take(theirs: str) -> list[np.ndarray]:
        names = [own[name] for name in (f"{theirs}.weight", f"{theirs}.bias") if name in own]
        if len(names) < 2:
            return []
        used.update(names)
        return [_checked(name, tensors[name]) for name in names]

    for name, theirs in SAME.items():
        blobs = take(theirs)
        if blobs:
            layers[name] = Layer(KINDS.get(name, "Convolution"), blobs)
    for part, theirs, converted in (("score", SCORES, _scores), ("deltas", DELTAS, _deltas)):
        blobs = [np.ascontiguousarray(converted(blob), np.float32) for blob in take(theirs)]
        if blobs:
            layers.update({f"rpn_{part}_p{level}": Layer("Convolution", blobs) for level in RPN_LEVELS})
    return Heads(layers, used)


def fitting(heads: dict[str, Layer], net: dict[str, Any]) -> dict[str, Layer]:
    """Those of the layers whose blobs have the shapes that the layers of a net, by name, have; a net without
    `fpn_lateral2` has none of them."""
    shapes = _shapes(net) if "fpn_lateral2" in net else {}
    return {name: layer for name, layer in heads.items() if [blob.shape for blob in layer.blobs] == shapes.get(name)}


def unfilled(taken: dict[str, Layer], net: dict[str, Any] | None) -> list[str]:
    """What of a net above its trunk the layers `taken` leave at its initial values; without a net, of any net."""
    if net is None:
        return list(OF_CLASSES)
    learning = ("Convolution", "Deconvolution", "InnerProduct")
    heads = [name for name, layer in net.items() if layer.type in learning and not name.startswith(("conv1", "res"))]
    return [name for name in heads if name not in taken]


def _today(name: str) -> str:
    for older, replacement in OLDER:
        name = older.sub(replacement, name)
    return name


def _prefix(tensors: dict[str, np.ndarray]) -> str | None:
    found = (_today(name)[: -len(ANCHOR)] for name in tensors if f".{_today(name)}".endswith(f".{ANCHOR}"))
    return next(found, None)


def _checked(name: str, blob: np.ndarray) -> np.ndarray:
    if blob.dtype.kind != "f" or not np.isfinite(blob).all():
        raise InputError(f"{name} has NaN or infinite values, or none that are fractions; give another checkpoint")
    return np.ascontiguousarray(blob, np.float32)


def _scores(blob: np.ndarray) -> np.ndarray:
    """(2 A, ...) of (A, ...): zeros for the background, then the lesions', tall anchors first."""
    return np.concatenate([np.zeros_like(blob), blob[::-1]])


def _deltas(blob: np.ndarray) -> np.ndarray:
    """(4 A, ...) of (A 4, ...): dx of every anchor, then dy, dw and dh."""
    of_anchors = blob.reshape(-1, 4, *blob.shape[1:])[::-1]
    std = np.array(STD).reshape(4, 1, *[1] * (blob.ndim - 1))
    return (of_anchors.swapaxes(0, 1) / std).reshape(blob.shape)


def _shapes(net: dict[str, Any]) -> dict[str, list[tuple[int, ...]]]:
    """Layer -> the shapes of its weights and biases, by what the net's layers say."""
    outputs = {
        name: layer.inner_product_param.num_output or layer.convolution_param.num_output for name, layer in net.items()
    }
    inputs = {f"fpn_lateral{level}": 256 * 2 ** (level - 2) for level in LEVELS}  # of a ResNet-50's stages
    inputs.update({f"fpn_output{level}": outputs[f"fpn_lateral{level}"] for level in LEVELS})
    for level in RPN_LEVELS:
        inputs[f"rpn_conv_p{level}"] = outputs["fpn_lateral2"]
        for part in ("score", "deltas"):
            inputs[f"rpn_{part}_p{level}"] = outputs.get(f"rpn_conv_p{level}", 0)
    inputs.update(mask_conv1=outputs["fpn_lateral2"], mask_deconv=outputs.get("mask_conv4", 0))
    inputs.update({f"mask_conv{number}": outputs.get(f"mask_conv{number - 1}", 0) for number in range(2, 5)})
    if "roi_pool" in net:
        pooled = read_param_str(RoIAlignSettings, net["roi_pool"].python_param.param_str, "roi_pool").pooled
        inputs.update(roi_fc6=outputs["fpn_lateral2"] * pooled**2, roi_fc7=outputs.get("roi_fc6", 0))
    return {name: _shape(net[name], inputs[name], outputs[name]) for name in inputs if name in net}


def _shape(layer: Any, inputs: int, outputs: int) -> list[tuple[int, ...]]:
    if layer.type == "InnerProduct":
        return [(outputs, inputs), (outputs,)]
    sides: Sequence[int] = list(layer.convolution_param.kernel_size) * 2
    first = (inputs, outputs) if layer.type == "Deconvolution" else (outputs, inputs)
    return [(*first, *sides), (outputs,)]
