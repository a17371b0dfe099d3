"""onnxruntime and OpenVINO, those that this Python has, on the ONNX file that export.py writes of a net."""

from __future__ import annotations

import importlib
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Sequence

import numpy as np

from caffe_files.prototxt import read_net
from skinmtl.engines.engine import Engine
from skinmtl.engines.snapshot import checked_snapshot
from skinmtl.onnx_graphs.model import onnx_graph, onnx_model, write_onnx

Forward = Callable[[np.ndarray], Sequence[np.ndarray]]


def onnx_peers(deploy: Path, weights: Path, heads: Sequence[str], threads: int) -> dict[str, Forward]:
    """What gives the heads for crops, in fp32 with so many threads, by the peer's name and version."""
    path = deploy.with_name("model.onnx")
    found = {}
    for name, opened in (("onnxruntime", _onnxruntime), ("openvino", _openvino)):
        try:
            library = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            print(f"{name}: not here, left out; pip install {name} adds it")
            continue
        if not path.exists():
            _write(deploy, weights, heads, path)
        found[f"{name} {library.__version__.partition('-')[0]}"] = opened(library, path, heads, threads)
    return found


def _write(deploy: Path, weights: Path, heads: Sequence[str], path: Path) -> None:
    snapshot = checked_snapshot(deploy, weights, Engine("torch"))
    opened, tops = snapshot.open(), snapshot.shapes.tops

    def parameters(layer: str) -> list[np.ndarray]:
        return opened.parameters(layer) if layer in snapshot.shapes.params else []

    graph = onnx_graph(read_net(deploy), tops, parameters, heads)
    write_onnx(onnx_model(graph, snapshot.side, {head: tops[head][1:] for head in heads}, "peers", {}), path)


def _onnxruntime(library: object, path: Path, heads: Sequence[str], threads: int) -> Forward:
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # faster where others use the cores
    session = library.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda crops: session.run(list(heads), {"data": crops})


def _openvino(library: object, path: Path, heads: Sequence[str], threads: int) -> Forward:
    wanted = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # it takes bf16 by itself where the processor has that
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = library.Core().compile_model(str(path), "CPU", wanted).create_infer_request()

    def forward(crops: np.ndarray) -> list[np.ndarray]:
        answer = request.infer({"data": crops})
        return [answer[head] for head in heads]

    return forward


@contextmanager
def one_core_busy() -> Iterator[None]:
    """Another program counts for as long as the block lasts."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()
