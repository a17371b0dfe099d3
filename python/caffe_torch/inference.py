"""A trained net run forward alone: BatchNorm and Scale folded into the weights before them, no blob kept unasked.

Each blob that is asked for is the one that Caffe has under that name after a forward pass: where layers work in place,
the last one's. A layer is folded only where nothing else reads what it would have given (caffe_torch.plan). On a CPU
sums and ReLUs are computed with the convolutions before them (caffe_torch.fused), and where each image is computed by
itself, threads share a batch and not each layer (caffe_torch.pieces).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Mapping, Sequence

import numpy as np
import torch
from google.protobuf.message import Message
from torch import Tensor

from caffe_files.prototxt import read_net
from caffe_torch import PRECISIONS
from caffe_torch.errors import NetError
from caffe_torch.fused import FusedPass, NotFiniteError, Packed, can_fuse, with_sums
from caffe_torch.layers.activations import ReLU
from caffe_torch.layers.convolution import Convolution
from caffe_torch.layers.pooling import Pooling
from caffe_torch.layers.shapes import Concat, Crop, Eltwise, Flatten, Reshape, Slice, Split
from caffe_torch.layers.sources import Input
from caffe_torch.model_files import copy_weights
from caffe_torch.net import Net
from caffe_torch.pieces import Workers, is_by_image, sizes_of_pieces
from caffe_torch.plan import Step, folded
from caffe_torch.precision import numerics

# These may compute in bfloat16; the rest, which end in logits, probabilities or sums, stay in float32.
LOW_PRECISION = (Concat, Convolution, Crop, Eltwise, Flatten, ReLU, Reshape, Slice, Split)


class Inference:
    """A net of the phase TEST with the weights of a caffemodel (None: as its fillers draw them).

    `net` is a prototxt, or what was read from one; `device` is PyTorch's name of it; `precision` fp32, tf32 (on a GPU)
    or bf16. `shapes` are those of every top as the net has them, `parameter_shapes` those of each layer's blobs.
    NetError where net or weights are at fault.
    """

    def __init__(
        self, net: Path | Message, caffemodel: Path | None, device: str = "cpu", precision: str = "fp32"
    ) -> None:
        if precision not in PRECISIONS:
            raise NetError(f"precision {precision!r}: it is one of {', '.join(PRECISIONS)}")
        self.precision = precision
        self._low = torch.bfloat16 if precision == "bf16" else torch.float32
        self._net = Net(net if isinstance(net, Message) else read_net(Path(net), strict=True), "TEST")
        if caffemodel is not None:
            copy_weights(self._net, Path(caffemodel))
        self._net.requires_grad_(False).to(device, memory_format=torch.channels_last)
        self.shapes: dict[str, tuple[int, ...]] = dict(self._net.shapes)
        self.parameter_shapes = {
            layer.name: [list(blob.shape) for blob in layer.blobs] for layer in self._net.layers if layer.blob_count
        }
        self._weights: dict[tuple[int, ...], tuple[Tensor, Tensor | None]] = {}
        self._plans: dict[frozenset[str], list[Step]] = {}
        self._fuses = self._net.device.type == "cpu" and can_fuse(precision == "bf16")
        self._packed: dict[tuple[int, ...], Packed] = {}
        self._packing = threading.Lock()
        self._forward_plans: dict[frozenset[str], tuple[list[Step], list[Step], bool]] = {}
        self._workers: Workers | None = None

    def forward(
        self, inputs: Mapping[str, np.ndarray], blobs: Sequence[str], any_size: bool = False
    ) -> list[np.ndarray]:
        """The blobs that are asked for, float32, of the inputs by name, each N x ... as the net's but for N.

        `any_size`: inputs of other heights and widths, where no layer that leads to the blobs knows the net's own.
        """
        plan, fused, by_image = self._forward_plans_of(inputs, blobs)
        tensors = self._inputs(plan, inputs, any_size)

        def compute(piece: dict[str, Tensor]) -> list[np.ndarray]:
            with torch.inference_mode():
                values = self._fused(fused, piece) if fused else None
                values = self._net.run(plan, piece, self._compute) if values is None else values
                return [_numpy(values[self._net.values[name]]) for name in blobs]

        with numerics(self.precision):
            pieces = self._pieces(tensors) if by_image else [tensors]
            if len(pieces) == 1:
                return compute(pieces[0])
            if self._workers is None or not self._workers.are_of_now():
                self._workers = Workers()
            return [np.concatenate(parts) for parts in zip(*self._workers.map(compute, pieces))]

    def _pieces(self, tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """The inputs, in pieces where there are at least two images for each thread: with fewer, some would wait."""
        counts, threads = {len(tensor) for tensor in tensors.values()}, torch.get_num_threads()
        if len(counts) != 1 or threads == 1 or min(counts) < 2 * threads:
            return [tensors]
        sizes = sizes_of_pieces(min(counts), threads)
        parts = {name: tensor.split(sizes) for name, tensor in tensors.items()}
        return [{name: part[number] for name, part in parts.items()} for number in range(len(sizes))]

    def _fused(self, plan: list[Step], piece: dict[str, Tensor]) -> dict[int, Tensor] | None:
        """The values; None where one may be no number."""
        try:
            return self._net.run(plan, piece, FusedPass(self._low, self._packed_of, self._compute).compute)
        except NotFiniteError:
            return None

    def _forward_plans_of(
        self, inputs: Mapping[str, np.ndarray], blobs: Sequence[str]
    ) -> tuple[list[Step], list[Step], bool]:
        """The plan, the fused one (empty: none), and whether they may be run in pieces."""
        plan, asked = self._plan(inputs, blobs), frozenset(blobs)
        if asked not in self._forward_plans:
            by_image = self._net.device.type == "cpu" and is_by_image(plan)
            self._forward_plans[asked] = (plan, with_sums(plan) if self._fuses else [], by_image)
        return self._forward_plans[asked]

    def gradients(
        self, inputs: Mapping[str, np.ndarray], blob: str, output: str, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """A blob, and the gradients (K, ...) by it of the sums of `output`, weighted by each of `directions` (K, ...).

        Nothing is kept for a gradient below the blob. NetError where the output does not hang on it.
        """
        plan, number = self._plan(inputs, [blob, output]), self._net.values[blob]

        def compute(step: Step, bottoms: list[Tensor]) -> Sequence[Tensor]:
            tops = self._compute(step, bottoms)
            return [top.detach().requires_grad_() if place == number else top for place, top in zip(step.tops, tops)]

        with torch.enable_grad(), numerics(self.precision):
            values = self._net.run(plan, self._inputs(plan, inputs), compute)
            of_blob, of_output = values[number], values[self._net.values[output]]
            if blob == output or not of_output.requires_grad:
                raise NetError(f"the blob {output!r} does not hang on {blob!r}")
            found = []
            for direction in directions:
                weights = torch.from_numpy(np.array(direction, np.float32)).to(of_output).reshape(of_output.shape)
                found += torch.autograd.grad(of_output, of_blob, weights, retain_graph=True)
        return _numpy(of_blob.detach()), np.stack([_numpy(each) for each in found])

    def _plan(self, inputs: Mapping[str, np.ndarray], blobs: Sequence[str]) -> list[Step]:
        for name in (*inputs, *blobs):
            if name not in self.shapes:
                raise NetError(f"the net has no blob {name!r}; it has {', '.join(self.shapes)}")
        asked = frozenset(blobs)
        if asked not in self._plans:
            self._plans[asked] = self._net.plan_for(asked)
        return self._plans[asked]

    def parameters(self, layer: str) -> list[np.ndarray]:
        """A layer's blobs as in the caffemodel, not folded."""
        if layer not in self.parameter_shapes:
            raise NetError(f"the net has no layer {layer!r} with blobs")
        return [blob.cpu().contiguous().numpy().copy() for blob in self._net.layer(layer).blobs]

    def _inputs(self, plan: list[Step], inputs: Mapping[str, np.ndarray], any_size: bool = False) -> dict[str, Tensor]:
        tensors = {}
        for name, values in inputs.items():
            given, shape = np.asarray(values, np.float32), self.shapes[name]
            fixed = slice(1, 2 if any_size else None)
            if given.ndim != len(shape) or given.shape[fixed] != shape[fixed]:
                raise NetError(f"the input {name!r} is {shape} but for the first side; {given.shape} is given")
            tensors[name] = torch.from_numpy(np.ascontiguousarray(given))
        for step in plan:
            for name in step.first.param.top:
                if isinstance(step.first, Input) and name not in inputs:
                    raise NetError(f"no array for the input {name!r}")
        return tensors

    def _compute(self, step: Step, bottoms: list[Tensor]) -> Sequence[Tensor]:
        first = step.first
        low = isinstance(first, LOW_PRECISION) or (isinstance(first, Pooling) and first.is_maximum)
        bottoms = [bottom.to(self._low if low else torch.float32) for bottom in bottoms]
        return step.compute(bottoms, self._folded(step) if step.multiplies else None)

    def _packed_of(self, step: Step, bottom: Tensor) -> Packed:
        """Weights and bias of a fused step, made once."""
        places = tuple(layer.index for layer in step.linear)
        with self._packing:
            if places not in self._packed:
                self._packed[places] = Packed(step.first, *folded_to(step, self._low), bottom)
        return self._packed[places]

    def _folded(self, step: Step) -> tuple[Tensor, Tensor | None]:
        """Weights and bias of a step that multiplies, made once."""
        places = tuple(layer.index for layer in step.linear)
        if places not in self._weights:
            kind = self._low if isinstance(step.first, Convolution) else torch.float32
            with torch.inference_mode(False), torch.no_grad():  # what is made inside of it has no part in gradients
                self._weights[places] = folded_to(step, kind)
        return self._weights[places]


def folded_to(step: Step, kind: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """Weights and bias of a step that multiplies."""
    weight, bias = folded(step.linear, torch.float64)
    return weight.to(kind), None if bias is None else bias.to(kind)


def _numpy(values: Tensor) -> np.ndarray:
    return values.float().cpu().contiguous().numpy()
