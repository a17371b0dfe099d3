"""What of a net its maps are made of: a blob of features below its heads, and the heads' logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.engines.snapshot import Snapshot
from skinmtl.explanation.attention_file import HEADS

# These give of a larger input more of the same; what else there is knows the net's own size.
OF_ANY_SIZE = (
    *("AbsVal", "BatchNorm", "Bias", "Concat", "Convolution", "Dropout", "Eltwise", "Input", "LRN", "Pooling", "Power"),
    *("ReLU", "Scale", "Sigmoid", "Slice", "Split"),
)


def logits_of(deploy: Path) -> dict[str, str]:
    """head -> the blob that its probabilities are made from, of the heads that the net has."""
    found = {}
    for layer in read_net(deploy).layer:
        for head in HEADS:
            if f"{head}_prob" in layer.top and layer.type in ("Sigmoid", "Softmax"):
                found[head] = layer.bottom[0]
    return found


def features_below(snapshot: Snapshot, logits: dict[str, str]) -> str:
    """The last convolution's blob that all heads hang on: what Grad-CAM takes. InputError where there is none."""
    layers = list(read_net(snapshot.deploy).layer)
    below = [_below(layers, blob) for blob in logits.values()]
    for layer in reversed(layers):
        if layer.type == "Convolution" and all(layer.top[0] in blobs for blobs in below) and below:
            blob = layer.top[0]
            # what stands on it before its cells are mixed: a ResNet's last sum, a ReLU under a name of its own
            following = [each for each in layers if blob in each.bottom and blob not in each.top]
            while len(following) == 1 and following[0].type in ("BatchNorm", "Concat", "Eltwise", "ReLU", "Scale"):
                blob = following[0].top[0]
                following = [each for each in layers if blob in each.bottom and blob not in each.top]
            if len(snapshot.shapes.tops.get(blob, [])) == 4:
                return blob
    raise InputError(
        f"{snapshot.deploy}: no convolution that lesion_prob or location_prob hangs on; --method occlusion needs none"
    )


def check_any_size(deploy: Path, blob: str) -> None:
    """InputError where a layer that leads to the blob takes one size of input alone."""
    layers = list(read_net(deploy).layer)
    below = _below(layers, blob)
    for layer in layers:
        if set(layer.top) & below and layer.type not in OF_ANY_SIZE:
            raise InputError(
                f"{deploy}: layer {layer.name!r}, of type {layer.type}, before {blob}, may take inputs of one size "
                "alone; give --over crops"
            )


def _below(layers: list[Any], blob: str) -> set[str]:
    """The blobs that one is computed from, and itself."""
    wanted = {blob}
    for layer in reversed(layers):
        if wanted.intersection(layer.top):
            wanted.update(layer.bottom)
    return wanted
