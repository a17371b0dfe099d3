"""Layers of our own, for Caffe's type "Python": `python_param { module: "skinmtl.layers" layer: "..." }`.

Each is a class for pycaffe, and has a counterpart for caffe_torch, which looks it up here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# class -> the file of this folder that has it for Caffe
PYCAFFE_LAYERS = {
    "JitteredImageData": "skinmtl.layers.caffe_layer",
    "LesionData": "skinmtl.layers.caffe_lesion_data",
    "AnchorTargets": "skinmtl.layers.caffe_regions",
    "Proposals": "skinmtl.layers.caffe_regions",
    "ProposalTargets": "skinmtl.layers.caffe_regions",
    "DetectionOutput": "skinmtl.layers.caffe_regions",
    "RoIAlign": "skinmtl.layers.caffe_roi_align",
    "FocalLoss": "skinmtl.layers.caffe_losses",
    "SmoothL1Loss": "skinmtl.layers.caffe_losses",
    "JaccardLoss": "skinmtl.layers.caffe_losses",
    "WeightedSigmoidLoss": "skinmtl.layers.caffe_label_losses",
    "WeightedSoftmaxLoss": "skinmtl.layers.caffe_label_losses",
}
# and its counterpart for caffe_torch
CAFFE_TORCH_LAYERS = {
    "JitteredImageData": "skinmtl.layers.torch_layer:JitteredImageData",
    "LesionData": "skinmtl.layers.torch_lesion_data:LesionData",
    "AnchorTargets": "skinmtl.layers.torch_regions:AnchorTargets",
    "Proposals": "skinmtl.layers.torch_regions:Proposals",
    "ProposalTargets": "skinmtl.layers.torch_regions:ProposalTargets",
    "DetectionOutput": "skinmtl.layers.torch_detections:DetectionOutput",
    "RoIAlign": "skinmtl.layers.torch_roi_align:RoIAlign",
    "FocalLoss": "skinmtl.layers.torch_losses:FocalLoss",
    "SmoothL1Loss": "skinmtl.layers.torch_losses:SmoothL1Loss",
    "JaccardLoss": "skinmtl.layers.torch_losses:JaccardLoss",
    "WeightedSigmoidLoss": "skinmtl.layers.torch_label_losses:WeightedSigmoidLoss",
    "WeightedSoftmaxLoss": "skinmtl.layers.torch_label_losses:WeightedSoftmaxLoss",
}


def __getattr__(name: str) -> Any:
    """The layers by name, imported when Caffe asks for one: only there is pycaffe needed."""
    if name not in PYCAFFE_LAYERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(PYCAFFE_LAYERS[name]), name)
