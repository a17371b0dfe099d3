"""A net's shapes, found by Caffe in a process of its own: `main` there prints them as JSON.

Caffe ends the process where a net is wrong. Here that process is a child, and what Caffe said becomes an InputError.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any, Iterable, NamedTuple, Sequence

from google.protobuf import text_format

import skinmtl
from caffe_files.errors import InputError
from caffe_files.system_errors import of_anything
from skinmtl.common.memory import limit_memory, require_memory
from skinmtl.nets.allowed_layers import read_given_net
from skinmtl.nets.data_layers import data_layer
from skinmtl.nets.text_of_net import without_drawing

NO_PYCAFFE = (
    "pycaffe is not importable by this Python; run with .caffe/bin/python3 or in the Docker image, or add "
    "--engine torch where PyTorch is installed"
)
# of syncedmem.hpp; of C++; of OpenBLAS
NO_MEMORY = re.compile("host allocation of size|std::bad_alloc|[Mm]emory allocation|MemoryError")
NOT_LOADED = 3  # the child's status where it has not come to the net
TOLD = 4  # where a layer of our own has said what is wrong with the net, and what to do
GLOG_FATAL = re.compile(r"^F\d{4} .*?\] (.*)", re.MULTILINE)


class NetShapes(NamedTuple):
    """Shapes of a net: of each layer's parameter blobs, and of each top, by name."""

    params: dict[str, list[list[int]]]
    tops: dict[str, list[int]]

    @property
    def bytes(self) -> int:
        """What Caffe takes for the numbers of all its blobs: 4 bytes each."""
        return 4 * (_numbers(self.tops.values()) + _numbers(chain(*self.params.values())))

    def bytes_of_training(self, batch_size: int) -> int:
        """The least that a training on the CPU takes, for shapes of one image: the weights with their gradients and
        their history, and half of the outputs, all of which Caffe keeps, and caffe_torch those that gradients need."""
        return 4 * (3 * _numbers(chain(*self.params.values())) + batch_size * _numbers(self.tops.values()) // 2)


def net_shapes(prototxt: Path, gpu: int | None = None, allowed: Sequence[str] = ()) -> NetShapes:
    """The shapes of a net, built on the CPU or on a GPU. InputError says why where Caffe cannot, or may not: see
    read_given_net.

    Layers that read images are replaced by inputs of one image, so that no LMDB is needed. Caffe is given what was
    read here, not the file, which it might read otherwise.
    """
    net = read_given_net(prototxt, allowed, reads_data=True)
    without_data(net, prototxt)
    without_drawing(net)
    environment = dict(os.environ, GLOG_minloglevel="2", GLOG_logtostderr="1")
    library = str(Path(skinmtl.__file__).resolve().parents[1])
    # in place of the working folder, whose files might have the names of modules
    program = f"import sys; sys.path[0] = {library!r}; from skinmtl.nets.net_probe import main; main()"
    command = [sys.executable, "-c", program, "cpu" if gpu is None else str(gpu)]
    text = text_format.MessageToString(net)
    done = subprocess.run(command, input=text, env=environment, capture_output=True, encoding="utf-8")
    if done.returncode == 0:
        shapes = NetShapes(**json.loads(done.stdout))
        require_memory(str(prototxt), shapes.bytes)
        return shapes
    if "No module named 'caffe'" in done.stderr:
        raise InputError(NO_PYCAFFE)
    if "CPU-only" in done.stderr:
        raise InputError(f"--gpu {gpu}: this Caffe was built without CUDA; leave --gpu out, or use a CUDA build")
    said = GLOG_FATAL.search(done.stderr)
    if NO_MEMORY.search(done.stderr) or done.returncode == -signal.SIGKILL:  # the second: by the system, to have memory
        raise InputError(f"{prototxt}: its weights take more memory than is free; make the net smaller")
    reason = said.group(1) if said else (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
    if done.returncode == NOT_LOADED:  # no fault of the net
        raise InputError(f"Caffe cannot be loaded here: {reason}; mend that, or add --engine torch")
    if done.returncode == TOLD:
        raise InputError(f"{prototxt}: {reason}")
    if done.returncode < 0 and not said:  # OpenBLAS, where it gets no memory
        name = signal.Signals(-done.returncode).name
        raise InputError(
            f"{prototxt}: Caffe was ended by {name} when it built this net; free some memory or raise the limit "
            "(ulimit -v), else correct the prototxt"
        )
    raise InputError(f"{prototxt}: Caffe cannot build this net: {reason.strip()}; correct the prototxt or the settings")


def _numbers(shapes: Iterable[Sequence[int]]) -> int:
    return sum(_product(shape) for shape in shapes)


def _product(sides: Sequence[int]) -> int:
    product = 1  # math.prod is of Python 3.8
    for side in sides:
        product *= side
    return product


def without_data(net: Any, path: Path) -> None:
    """Replaces each layer of a NetParameter that reads images by an Input of its tops for one image; label layers and
    what hangs on them go."""
    gone = set()
    for layer in list(net.layer):
        data = data_layer(layer, path)
        if data and data.shapes:
            layer.type = "Input"
            for _, shape in zip(layer.top, data.shapes):
                layer.input_param.shape.add(dim=shape)
        elif data or gone.intersection(layer.bottom):
            gone.update(layer.top)
            net.layer.remove(layer)


def main() -> None:
    try:
        import caffe  # only here: it is needed nowhere else in this module, and takes long
    except ModuleNotFoundError:
        raise
    except Exception as error:
        print(of_anything(error) or repr(error), file=sys.stderr)
        sys.exit(NOT_LOADED)
    if sys.argv[1] == "cpu":  # CUDA maps more than it takes
        limit_memory()
    else:
        caffe.set_mode_gpu()
        caffe.set_device(int(sys.argv[1]))
    try:
        built = caffe.Net("/dev/stdin", caffe.TEST)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(TOLD)
    # not .data.shape: that would take the memory
    params = {name: [list(blob.shape) for blob in blobs] for name, blobs in built.params.items()}
    tops = {name: list(blob.shape) for name, blob in built.blobs.items()}
    print(json.dumps({"params": params, "tops": tops}))
