"""An ONNX file, held against the engine that runs the net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.libraries import import_or_refuse
from skinmtl.engines.open_net import OpenNet
from skinmtl.engines.snapshot import Snapshot
from skinmtl.onnx_graphs.model import INPUT
from skinmtl.scores.mask_net import DETECTIONS, MASKS, WINDOW

TOLERANCE = 1e-4  # of a probability, and of a box in sides of the square
CHECKED_CROPS, CHECKED_IMAGES = 2, 3


def check_onnx(path: Path, opened: OpenNet, side: int, engine: str) -> str:
    """Runs drawn crops through onnxruntime, where there is one, and through the engine of that name.

    Returns what was found, in words. InputError where a probability differs by more than TOLERANCE.
    """
    try:
        runtime: Any = import_or_refuse("onnxruntime")
    except InputError:
        return "not run: this Python has no onnxruntime"
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    random = np.random.RandomState(1)
    crops = (random.standard_normal((CHECKED_CROPS, 3, side, side)) * 60).astype(np.float32)
    found = session.run(outputs, {INPUT: crops})
    expected = [np.array(blob) for blob in opened.forward({INPUT: crops}, outputs)]
    largest = max(float(np.abs(one - other).max()) for one, other in zip(found, expected))
    if not largest <= TOLERANCE:
        raise InputError(f"{path.name}: onnxruntime's probabilities differ by {largest:.1g}; export without --onnx")
    return f"onnxruntime {runtime.__version__} on {CHECKED_CROPS} drawn crops: at most {largest:.1g} from {engine}"


def check_onnx_regions(path: Path, opened: OpenNet, snapshot: Snapshot) -> str:
    """Runs drawn images through onnxruntime, where there is one, and through the engine, and compares the answers: the
    first detection of each image with its mask, and the outputs of heads beside the regions.

    The rows behind the first are not compared: of two proposals whose scores are the same but for rounding, each may go
    first. Returns what was found, in words. InputError where an answer differs by more than TOLERANCE.
    """
    try:
        runtime: Any = import_or_refuse("onnxruntime")
    except InputError:
        return "not run: this Python has no onnxruntime"
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    largest = 0.0
    for data, window in drawn_images(snapshot.side, CHECKED_IMAGES):
        inputs = {"data": data, WINDOW: window}
        found = _answer(dict(zip(outputs, session.run(outputs, inputs))), snapshot.side)
        expected = _answer(dict(zip(outputs, map(np.array, opened.forward(inputs, outputs)))), snapshot.side)
        largest = max(largest, *(float(np.abs(one - other).max()) for one, other in zip(found, expected)))
    if not largest <= TOLERANCE:
        raise InputError(f"{path.name}: onnxruntime's answers differ by {largest:.1g}; export without --onnx")
    engine = snapshot.engine.record()["engine"]
    return f"onnxruntime {runtime.__version__} on {CHECKED_IMAGES} drawn images: at most {largest:.1g} from {engine}"


def drawn_images(side: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`data` (1, 3, side, side), a dark spot on a light ground with noise, and `window` (1, 4), a band of it."""
    random, images = np.random.RandomState(1), []
    y, x = np.mgrid[:side, :side] / side
    for _ in range(count):
        centre_x, centre_y, radius = [*random.uniform(0.35, 0.65, 2).tolist(), random.uniform(0.1, 0.3)]
        spot = (x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2
        pixels = np.where(spot, -60.0, 60.0) + random.standard_normal((3, side, side)) * 15
        top = int(random.randint(0, side // 6 + 1))
        pixels[:, :top] = pixels[:, side - top :] = -110  # as padding less the mean is
        window = np.array([[0, top, side, side - top]], np.float32)
        images.append((pixels[None].astype(np.float32), window))
    return images


def _answer(blobs: dict[str, np.ndarray], side: int) -> list[np.ndarray]:
    """What is compared of the outputs of one image; a box in sides of the square."""
    row = blobs[DETECTIONS][0, 0].astype(np.float64)
    parts = [row[:4] / side, row[4:], *(blob for name, blob in blobs.items() if name not in (DETECTIONS, MASKS))]
    if MASKS in blobs:
        parts.append(blobs[MASKS][0, int(row[4])])
    return parts
