"""A batch in pieces, each computed by one thread: forward passes on a CPU, where every image is computed by itself.

PyTorch shares the work of each layer among its threads, and all wait for the slowest after each: where another program
has one of the cores for a moment, the others stand still. Threads that take piece after piece wait at the end alone.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterable, Sequence, TypeVar

import torch

from caffe_torch.layers import activations as plain
from caffe_torch.layers.convolution import Convolution, Deconvolution, InnerProduct
from caffe_torch.layers.layer import Layer
from caffe_torch.layers.normalisation import LRN
from caffe_torch.layers.pooling import Pooling
from caffe_torch.layers.shapes import Concat, Eltwise, Flatten, Split
from caffe_torch.layers.sources import Input
from caffe_torch.plan import Step, is_affine

BY_NUMBER = (plain.ReLU, plain.Sigmoid, plain.TanH, plain.ELU, plain.AbsVal, plain.Power, plain.Dropout)
BY_IMAGE = (*BY_NUMBER, Eltwise, Input, LRN, Pooling, Split)
SMALLEST = 2  # images of a piece
T = TypeVar("T")
_STARTING = threading.Lock()


def is_by_image(plan: Iterable[Step]) -> bool:
    """Whether each image, which the first axis counts, is computed without the others; False where it is not known."""
    return all(_is_by_image(layer) for step in plan for layer in step.layers)


def _is_by_image(layer: Layer) -> bool:
    if isinstance(layer, (Convolution, Deconvolution)):
        return layer.channels_at == 1
    if isinstance(layer, (Flatten, InnerProduct)):
        return layer.first > 0
    if isinstance(layer, Concat):
        return layer.along > 0
    if isinstance(layer, plain.Softmax):
        return layer.axis(layer.param.softmax_param.axis, len(layer.bottom_shapes[0])) > 0
    return isinstance(layer, BY_IMAGE) or is_affine(layer)


def sizes_of_pieces(images: int, threads: int) -> list[int]:
    """How many images each piece has: half of an even share of what is left, so that the threads end together, and two
    or more, since one takes longer by itself (a ResNet-50's crop 1.15 times as long). They depend on these two numbers
    alone, so that a result has the same bits whichever thread computes it.
    """
    sizes = []
    while images:
        sizes.append(min(images, max(SMALLEST, -(-images // (2 * threads)))))
        images -= sizes[-1]
    return sizes


class Workers:
    """Threads that compute side by side, each with one thread of PyTorch's, as many as PyTorch has here.

    They are of the process that made them: a copy of it (fork) has none.
    """

    def __init__(self) -> None:
        self.count = torch.get_num_threads()
        self._process = os.getpid()
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="caffe_torch")
        ready = threading.Barrier(self.count)
        with _STARTING:  # PyTorch's number is each thread's own, but a new one begins with what was set last, by any
            try:
                list(self._pool.map(_alone, [ready] * self.count))
            finally:
                torch.set_num_threads(self.count)

    def are_of_now(self) -> bool:
        """Whether this process made them, for as many threads as it is to use now."""
        return self._process == os.getpid() and self.count == torch.get_num_threads()

    def map(self, function: Callable[[T], object], pieces: Sequence[T]) -> list[object]:
        """The function's results, in order."""
        return list(self._pool.map(function, pieces))


def _alone(ready: threading.Barrier) -> None:
    """Leaves the thread that runs it with one of PyTorch's, when all have come here."""
    torch.set_num_threads(1)
    torch.get_num_threads()  # only when it is asked for the first time is the number taken
    torch.set_num_threads(1)
    ready.wait()
