"""A model in other formats: ONNX, and a torch state dict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.prototxt import read_net
from skinmtl.common.provenance import sha256
from skinmtl.engines.open_net import OpenNet
from skinmtl.engines.snapshot import Snapshot
from skinmtl.onnx_graphs.model import OPSET, onnx_graph, onnx_model, write_onnx
from skinmtl.onnx_graphs.regions import OPSET as OPSET_OF_REGIONS
from skinmtl.publishing.onnx_check import check_onnx, check_onnx_regions
from skinmtl.publishing.state_dict import is_resnet, state_dict, write_state_dict
from skinmtl.scores.mask_net import DETECTIONS, MASKS

ONNX_FILE = "model.onnx"


def libraries_for(onnx: bool, state_dict_as: str | None) -> list[str]:
    """What the files that are wanted are written with."""
    of_state_dict = {"pth": "torch", "safetensors": "safetensors", None: None}[state_dict_as]
    return [name for name in ("onnx" if onnx else None, of_state_dict) if name]


def converted(
    onnx: bool,
    state_dict_as: str | None,
    snapshot: Snapshot,
    labels: dict[str, list[str]],
    class_names: list[str],
    record: dict[str, Any],
    folder: Path,
) -> list[str]:
    """Writes the ONNX file and the state dict ("pth", "safetensors") that are wanted; returns what to tell of them."""
    net, opened = read_net(snapshot.deploy), snapshot.open()
    weights_sha256 = sha256(snapshot.weights)
    told = []

    def parameters(layer: str) -> list[np.ndarray]:
        return opened.parameters(layer) if layer in snapshot.shapes.params else []

    if onnx:
        properties = {
            **{name: record[name] for name in ("name", "net", "input", "mean", "short_side", "crop")},
            **{f"{head}_names": names for head, names in labels.items()},
            "weights_sha256": weights_sha256,
        }
        path, drawn = folder / ONNX_FILE, "regions" in record
        outputs = {output: [width] for output, width in record["outputs"].items()}
        if drawn:
            properties["class_names"] = class_names
            of_regions = [name for name in (DETECTIONS, MASKS) if name in snapshot.shapes.tops]
            outputs = {name: snapshot.shapes.tops[name] for name in (*of_regions, *outputs)}
        graph = onnx_graph(net, snapshot.shapes.tops, parameters, list(outputs), drawn)
        write_onnx(onnx_model(graph, snapshot.side, outputs, record["name"], properties, drawn), path)
        check = check_onnx_regions(path, opened, snapshot) if drawn else _check_onnx(path, opened, snapshot)
        told.append(f"{path.name}: opset {OPSET_OF_REGIONS if drawn else OPSET}, checked by onnx.checker; {check}")
    if state_dict_as:
        tensors = state_dict(net, parameters)
        path = folder / f"weights.{state_dict_as}"
        write_state_dict(tensors, path, {"weights_sha256": weights_sha256, "net": net.name, "input": record["input"]})
        told.append(f"{path.name}: {len(tensors)} tensors, {'torchvision' if is_resnet(net) else 'Caffe'}'s names")
    return told


def _check_onnx(path: Path, opened: OpenNet, snapshot: Snapshot) -> str:
    return check_onnx(path, opened, snapshot.side, snapshot.engine.record()["engine"])
