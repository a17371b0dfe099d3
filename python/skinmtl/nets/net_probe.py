"""A net's shapes, found by Caffe in a process of its own: `main` there prints them as JSON.

Caffe ends the process where a net is wrong. Here that process is a child, and what Caffe said becomes an InputError.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import skinmtl
from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.nets.data_layers import data_layer

NO_PYCAFFE = (
    "pycaffe is not importable by this Python; run with .caffe/bin/python3 or in the Docker image, or add "
    "--engine torch where PyTorch is installed"
)
GLOG_FATAL = re.compile(r"^F\d{4} .*?\] (.*)", re.MULTILINE)


class NetShapes(NamedTuple):
    """Shapes of a net: of each layer's parameter blobs, and of each top, by name."""

    params: dict[str, list[list[int]]]
    tops: dict[str, list[int]]


def net_shapes(prototxt: Path, gpu: int | None = None) -> NetShapes:
    """The shapes of a net, built on the CPU or on a GPU. InputError says why where Caffe cannot.

    Layers that read images are replaced by inputs of their crop, so that no LMDB is needed.
    """
    for layer in read_net(prototxt).layer:  # its messages name the file and the line
        data_layer(layer, prototxt)
    environment = dict(os.environ, GLOG_minloglevel="2", GLOG_logtostderr="1")
    library = str(Path(skinmtl.__file__).resolve().parents[1])
    # in place of the working folder, whose files might have the names of modules
    program = f"import sys; sys.path[0] = {library!r}; from skinmtl.nets.net_probe import main; main()"
    command = [sys.executable, "-c", program, str(prototxt), "cpu" if gpu is None else str(gpu)]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    if done.returncode == 0:
        return NetShapes(**json.loads(done.stdout))
    if "No module named 'caffe'" in done.stderr:
        raise InputError(NO_PYCAFFE)
    if "CPU-only" in done.stderr:
        raise InputError(f"--gpu {gpu}: this Caffe was built without CUDA; leave --gpu out, or use a CUDA build")
    said = GLOG_FATAL.search(done.stderr)
    reason = said.group(1) if said else (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
    raise InputError(f"{prototxt}: Caffe cannot build this net: {reason.strip()}; correct the prototxt or the settings")


def without_data(net: Any, path: Path) -> None:
    """Replaces each layer of a NetParameter that reads images by an Input of its crop; label layers and what hangs on
    them go. pycaffe's messages will do, and ours."""
    gone = set()
    for layer in list(net.layer):
        data = data_layer(layer, path)
        if data and data.crop:
            layer.type = "Input"
            layer.input_param.shape.add(dim=[1, 3, data.crop, data.crop])
        elif data or gone.intersection(layer.bottom):
            gone.update(layer.top)
            net.layer.remove(layer)


def main() -> None:
    import caffe  # only here: it is needed nowhere else in this module, and takes long
    from google.protobuf import text_format

    if sys.argv[2] != "cpu":
        caffe.set_mode_gpu()
        caffe.set_device(int(sys.argv[2]))
    net = caffe.proto.caffe_pb2.NetParameter()
    text_format.Parse(Path(sys.argv[1]).read_text(encoding="utf-8"), net)
    without_data(net, Path(sys.argv[1]))
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(str(net))
        file.flush()
        built = caffe.Net(file.name, caffe.TEST)
    params = {name: [list(blob.data.shape) for blob in blobs] for name, blobs in built.params.items()}
    tops = {name: list(blob.data.shape) for name, blob in built.blobs.items()}
    print(json.dumps({"params": params, "tops": tops}))
