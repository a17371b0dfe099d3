"""From a checkpoint of PyTorch to a caffemodel, and to the net that it belongs in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Sequence

from caffe_files.blobs import store_blob
from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from caffe_files.prototxt import read_net
from caffe_files.schema import caffe_messages
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.pretrained.checkpoint import read_checkpoint
from skinmtl.pretrained.mask_rcnn import FLAGS, fitting, head_layers, is_mask_rcnn, unfilled
from skinmtl.pretrained.net_check import Preprocessing, check_net, net_file
from skinmtl.pretrained.resnet50 import EPS, Layer, caffe_layers, trunk_tensors


class Converted(NamedTuple):
    """What was made of a checkpoint: layers of the caffemodel, the entry of the file, what it holds besides; of a Mask
    R-CNN also `initial`, the layers of the net that stay at their initial values, and the flags that its net needs."""

    layers: list[str]
    entry: str
    left: list[str]
    initial: list[str]
    flags: str


def record_path(out: Path) -> Path:
    """Where it is written what made the caffemodel `out`."""
    return out.with_name(out.name + ".json")


def convert(
    checkpoint: Path,
    out: Path,
    expected: Preprocessing,
    std: Sequence[float],
    net: Path | None,
    arguments: dict[str, Any],
    eps: float = EPS,
) -> Converted:
    """Writes the caffemodel `out` and `out`.json, which says what made it: `arguments`, the inputs' sha256.

    std (R, G, B) is of pixels of 0 to 1, eps what the model's normalisation adds to its variances. Of a Mask R-CNN all
    is taken that fits the net or, without one, a net of mask_rcnn.FLAGS. InputError, and nothing is written, where the
    checkpoint has no ResNet-50, or the net of `net` (a folder of nets or one of them) is not as `expected`.
    """
    if net is not None:
        check_net(net, expected)
    found = read_checkpoint(checkpoint)
    initial: list[str] = []
    masks = is_mask_rcnn(found.tensors)
    try:
        tensors, left = trunk_tensors(found.tensors)
        layers = caffe_layers(tensors, std, eps)
        if masks:
            of_net = None if net is None else {layer.name: layer for layer in read_net(net_file(net)).layer}
            heads = head_layers(found.tensors)
            taken = heads.layers if of_net is None else fitting(heads.layers, of_net)
            layers.update(taken)
            left = [name for name in left if name not in heads.used]
            initial = unfilled(taken, of_net)
    except InputError as error:
        raise InputError(f"{checkpoint}: {error}") from None
    with new_file(out) as caffemodel, new_file(record_path(out)) as record:
        caffemodel.write_bytes(_caffemodel(layers))
        said = {
            "sha256": sha256(caffemodel),
            "checkpoint": checkpoint.name,
            "checkpoint_sha256": sha256(checkpoint),
            "entry": found.entry,
            "left_out": left,
            **({"left_initial": initial} if masks else {}),
            "net": expected._asdict(),
            "made_by": made_by(arguments),
        }
        write_json(record, said)
    model = f"resnet50_mask_rcnn {FLAGS}" if masks else "resnet50_mtl"
    return Converted(list(layers), found.entry, left, initial, f"--model {model} {expected.flags}")


def _caffemodel(layers: dict[str, Layer]) -> bytes:
    model = caffe_messages().NetParameter(name="resnet50")
    for name, (kind, blobs) in layers.items():
        stored = model.layer.add(name=name, type=kind)
        for blob in blobs:
            store_blob(stored.blobs.add(), blob)
    return model.SerializeToString()
