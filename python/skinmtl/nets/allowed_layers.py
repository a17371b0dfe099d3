"""Which layers a net may have that was given to a tool.

A net is data that can harm: stock Caffe opens the file of an HDF5Output for writing while the net is merely built,
ImageData, HDF5Data and WindowData read any file, and Python imports any module. So nothing is built but what is listed
here, or what the user allows by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.layers import PYCAFFE_LAYERS
from skinmtl.nets.data_layers import JITTERED, LESIONS

# what caffe_torch knows, which has all that make_prototxt.py makes; a test holds the two together
COMPUTING = (
    *("AbsVal", "Accuracy", "BatchNorm", "Bias", "Concat", "Convolution", "Crop", "Deconvolution", "Dropout"),
    *("DummyData", "Eltwise", "Flatten", "InnerProduct", "Input", "LRN", "Pooling", "Power", "ReLU", "Reshape"),
    *("Scale", "Sigmoid", "SigmoidCrossEntropyLoss", "Silence", "Slice", "Softmax", "SoftmaxWithLoss", "Split", "Tile"),
    *("ArgMax", "BNLL", "ContrastiveLoss", "ELU", "Embed", "EuclideanLoss", "Exp", "HingeLoss", "InfogainLoss", "Log"),
    *("LSTM", "MVN", "MultinomialLogisticLoss", "PReLU", "RNN", "Reduction", "SPP", "TanH", "Threshold"),
)
OWN_MODULE = "skinmtl.layers"
READING = ("Data", f"{OWN_MODULE}.{JITTERED}", f"{OWN_MODULE}.{LESIONS}")  # LMDBs, in the nets of a training
OWN_COMPUTING = tuple(f"{OWN_MODULE}.{name}" for name in PYCAFFE_LAYERS if name not in (JITTERED, LESIONS))
LMDB = 1  # of DataParameter.DB; LEVELDB writes a log where it reads


def read_given_net(path: Path, allowed: Sequence[str] = (), reads_data: bool = False) -> Message:
    """The net of a prototxt, of which only the layers' types that are listed, or `allowed`, are to be built.

    `reads_data`: it may have the layers that read LMDBs too. InputError names the first layer that it may not have, and
    what of the file Caffe would not know.
    """
    net = read_net(path, strict=True)
    for layer in net.layer:
        kind = kind_of(layer)
        if kind in allowed:
            continue
        if kind not in (*COMPUTING, *OWN_COMPUTING) and not (reads_data and kind in READING):
            raise InputError(f"{path}: layer {layer.name!r} {_what(layer, kind)}; {_remedy(kind)}")
        door = _other_door(layer)
        if door:
            raise InputError(f"{path}: layer {layer.name!r} {door}, or allow it by --allow-layer {kind}")
    return net


def kind_of(layer: Any) -> str:
    """What a layer is by its type, and one of type Python by its module and class."""
    if layer.type == "Python":
        return f"{layer.python_param.module}.{layer.python_param.layer}"
    return layer.type


def _what(layer: Any, kind: str) -> str:
    if kind in READING:
        return "reads images, which only the nets of a training do"
    if layer.type == "Python":
        return f"is of type Python and would run {kind}"
    return f"is of type {kind}, which is not one of those that this package builds"


def _remedy(kind: str) -> str:
    if kind in READING:
        return "give a deploy.prototxt of make_prototxt.py"
    return f"a layer can write and read files; where you trust the net, --allow-layer {kind}"


def _other_door(layer: Any) -> str:
    """How a layer of an allowed type would read more than the LMDBs of its training."""
    if layer.transform_param.HasField("mean_file"):
        return f"reads the file {layer.transform_param.mean_file!r}; give its mean by mean_value"
    if layer.type == "Data" and layer.data_param.backend != LMDB:
        return "reads a LevelDB, which writes where it reads; store the data as LMDB"
    if layer.type == "InfogainLoss" and layer.infogain_loss_param.HasField("source"):
        return f"reads the file {layer.infogain_loss_param.source!r}; give its matrix as a third bottom"
    return ""
