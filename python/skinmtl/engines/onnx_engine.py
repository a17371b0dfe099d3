"""onnxruntime as an engine: the net that caffe_torch reads, written as an ONNX graph in memory.

Importing this module imports PyTorch, whose threads are not used here, and onnxruntime.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple, NoReturn, Sequence

import numpy as np
import onnxruntime
import torch
from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_torch.model_files import copy_weights
from caffe_torch.net import Net
from caffe_torch.pieces import is_by_image, sizes_of_pieces
from skinmtl.engines import torch_engine
from skinmtl.engines.open_net import Inputs, OpenNet
from skinmtl.nets.allowed_layers import read_given_net
from skinmtl.nets.net_probe import NetShapes
from skinmtl.nets.text_of_net import without_drawing
from skinmtl.onnx_graphs.graph import Graph
from skinmtl.onnx_graphs.model import inputs_of, is_of_one_image, onnx_graph, unchecked_model

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
MOST_BYTES = (1 << 31) - (1 << 20)  # of weights: a protobuf message has less than 2 GiB, and the graph is in it too
ELSEWHERE = "use --engine torch or --engine caffe"


class Asked(NamedTuple):
    """What a session is made for."""

    blobs: tuple[str, ...]
    any_size: bool
    threads: int


class OnnxNet(OpenNet):
    """A net in onnxruntime: a session for each set of blobs that is asked for, made when it is."""

    def __init__(self, net: Message, weights: Path, gpu: int | None) -> None:
        for layer in net.layer:
            for shape in layer.input_param.shape:
                shape.dim[:1] = [1]  # what is written for one image has its shape
        without_drawing(net)  # the weights are known to fill every layer
        self._built = Net(net, "TEST")
        copy_weights(self._built, weights)
        self._built.requires_grad_(False)
        self._gpu = gpu
        self._param = type(net)(name=net.name, layer=[layer.param for layer in self._built.layers])
        self._blobs = {each.name: [blob.numpy() for blob in each.blobs] for each in self._built.layers if each.blobs}
        self._sessions: dict[Asked, Any] = {}
        self._by_image: dict[tuple[str, ...], bool] = {}
        self._graph(self._ends(), False)  # what cannot be written is said before any work

    def forward(self, inputs: Inputs, blobs: Sequence[str], any_size: bool = False) -> list[np.ndarray]:
        given, asked = self._checked(inputs, blobs, any_size), tuple(dict.fromkeys(blobs))
        pieces, threads = self._pieces(given, asked)
        session = self._session(Asked(asked, any_size, threads))

        def run(piece: dict[str, np.ndarray]) -> list[np.ndarray]:
            with _one_line("the net cannot be run"):
                return session.run(list(asked), piece)

        if threads == 1 and len(pieces) > 1:
            with ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="onnxruntime") as pool:
                answers = list(pool.map(run, pieces))
        else:
            answers = [run(piece) for piece in pieces]
        whole = dict(zip(asked, (parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*answers))))
        return [whole[blob] for blob in blobs]

    def gradients(self, inputs: Inputs, blob: str, output: str, directions: np.ndarray) -> NoReturn:
        raise InputError(f"--engine onnx: onnxruntime gives no gradients; {ELSEWHERE}")

    def parameters(self, layer: str) -> list[np.ndarray]:
        return self._blobs[layer]

    def _checked(self, inputs: Inputs, blobs: Sequence[str], any_size: bool) -> dict[str, np.ndarray]:
        """The arrays that the blobs need. InputError where one is missing or has another shape than the net's."""
        shapes, given = self._built.shapes, {}
        for name in blobs:
            if name not in shapes:
                raise InputError(f"the net has no blob {name!r}; it has {', '.join(shapes)}")
        for name in inputs_of(self._param, blobs):
            if name not in inputs:
                raise InputError(f"no array for the input {name!r}")
            values, shape = np.ascontiguousarray(inputs[name], np.float32), shapes[name]
            fixed = slice(1, 2 if any_size else None)
            if values.ndim != len(shape) or values.shape[fixed] != shape[fixed]:
                raise InputError(f"the input {name!r} is {shape} but for the first side; {values.shape} is given")
            given[name] = values
        return given

    def _pieces(self, given: Mapping[str, np.ndarray], asked: tuple[str, ...]) -> tuple[list[dict[str, Any]], int]:
        """The inputs, in pieces for threads that take one after the other, as caffe_torch does it; and how many threads
        share each layer of a piece: one where there are pieces for all threads."""
        images, threads = min(map(len, given.values())), torch.get_num_threads()
        if is_of_one_image(self._param, asked):
            sizes = [1] * images
        elif self._gpu is None and images >= 2 * threads > 2 and self._is_by_image(asked):
            sizes = sizes_of_pieces(images, threads)
        else:
            return [dict(given)], threads
        parts = {name: np.split(values, np.cumsum(sizes)[:-1]) for name, values in given.items()}
        alone = self._gpu is None and images >= threads
        return [{name: part[n] for name, part in parts.items()} for n in range(len(sizes))], 1 if alone else threads

    def _is_by_image(self, asked: tuple[str, ...]) -> bool:
        if asked not in self._by_image:
            self._by_image[asked] = is_by_image(self._built.plan_for(asked))
        return self._by_image[asked]

    def _ends(self) -> list[str]:
        """The blobs that no layer reads."""
        read = {bottom for layer in self._param.layer for bottom in layer.bottom if bottom not in layer.top}
        return [top for layer in self._param.layer for top in layer.top if top not in read]

    def _graph(self, asked: Sequence[str], any_size: bool) -> Graph:
        tops = {name: list(shape) for name, shape in self._built.shapes.items()}
        one = is_of_one_image(self._param, asked)
        try:
            return onnx_graph(self._param, tops, lambda name: self._blobs.get(name, ()), asked, one, any_size)
        except InputError as error:
            raise InputError(f"--engine onnx: {error}; {ELSEWHERE}") from None

    def _session(self, asked: Asked) -> Any:
        if asked not in self._sessions:
            self._sessions[asked] = self._made(asked)
        return self._sessions[asked]

    def _made(self, asked: Asked) -> Any:
        graph, one = self._graph(asked.blobs, asked.any_size), is_of_one_image(self._param, asked.blobs)
        if sum(values.nbytes for values in graph.constants.values()) > MOST_BYTES:
            raise InputError(f"--engine onnx: an ONNX model in memory has less than 2 GB of weights; {ELSEWHERE}")
        inputs: dict[str, list[int | str]] = {}
        for name in inputs_of(self._param, asked.blobs):
            sides: list[int | str] = list(self._built.shapes[name])
            inputs[name] = [1 if one else "N", *sides[1:]]
            if asked.any_size and len(sides) == 4:
                inputs[name][2:] = ["H", "W"]
        model = unchecked_model(graph, inputs, dict.fromkeys(asked.blobs), self._param.name or "net", one)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        options.intra_op_num_threads = asked.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other programs use the cores too
        options.enable_mem_pattern = not asked.any_size  # a pattern is kept for each size
        with _one_line("the net cannot be opened"):
            session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers(self._gpu))
        if self._gpu is not None and session.get_providers()[0] != CUDA:  # it takes the CPU without an error
            raise InputError(f"--gpu {self._gpu}: onnxruntime cannot use it; leave --gpu out, or use --engine torch")
        return session


def open_net(deploy: Path, weights: Path, gpu: int | None, precision: str, allowed: Sequence[str] = ()) -> OnnxNet:
    """The net, which computes in fp32 alone."""
    return OnnxNet(read_given_net(deploy, allowed), weights, gpu)


def shapes_of(prototxt: Path, gpu: int | None, allowed: Sequence[str] = ()) -> NetShapes:
    """The net's shapes, as caffe_torch finds them; whether onnxruntime runs on GPUs is looked for too."""
    providers(gpu)
    return torch_engine.shapes_of(prototxt, None, allowed)


def version() -> str:
    """onnxruntime's."""
    return str(onnxruntime.__version__)


def providers(gpu: int | None) -> list[Any]:
    """What computes in onnxruntime, on a GPU or on the CPU (None). InputError where it is made for CPUs alone."""
    if gpu is None:
        return [CPU]
    if CUDA not in onnxruntime.get_available_providers():
        raise InputError(
            f"--gpu {gpu}: this onnxruntime is made for CPUs alone; pip install onnxruntime-gpu in place of "
            "onnxruntime, or leave --gpu out"
        )
    return [(CUDA, {"device_id": str(gpu), "use_tf32": "0"}), CPU]  # it takes tf32 for fp32 by itself


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """onnxruntime's own errors as an InputError."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        said = (str(error).splitlines() or [""])[0]
        raise InputError(f"--engine onnx: {what} by onnxruntime ({said}); {ELSEWHERE}") from None
