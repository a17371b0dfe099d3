"""caffe.Net: a net whose blobs can be seen, written and computed on layer by layer."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np
import torch
from google.protobuf.message import Message

from caffe_files.prototxt import read_net
from caffe_torch.errors import NetError
from caffe_torch.hdf5_files import copy_hdf5, write_hdf5
from caffe_torch.layers.sources import MemoryData
from caffe_torch.model_files import copy_weights, write_caffemodel
from caffe_torch.net import Net as WholeNet
from caffe_torch.pycaffe.blob import Blob
from caffe_torch.pycaffe.passes import Passes
from caffe_torch.pycaffe.splits import with_splits
from caffe_torch.states import PHASES, chosen_layers, state_alone


class ShownLayer:
    """A layer as `net.layers` has it: its type and its blobs."""

    def __init__(self, kind: str, blobs: list[Blob]) -> None:
        self.type, self.blobs = kind, blobs


class Net:
    """`Net(prototxt, phase)`, with weights of a caffemodel, a level and stages; or, as of old, `Net(prototxt,
    caffemodel, phase)`.

    `blobs`, `params` and `layer_dict` lead from names, in the net's order, to what is there. `blobs[name].data` and
    `.diff` are the net's own memory: what is written there is what the net computes with. Split layers stand where
    Caffe puts them, since their blobs have diffs of their own.
    """

    def __init__(
        self,
        network_file: str,
        phase: int | str,
        level: int | None = None,
        stages: Sequence[str] | None = None,
        weights: str | None = None,
    ) -> None:
        if not isinstance(phase, int):
            phase, weights, level = level, phase, None
        param = read_net(Path(network_file), strict=True)
        self._open(param, state_alone(param, PHASES[phase], level or 0, stages or ()))
        if weights:
            self.copy_from(weights)

    @classmethod
    def of_message(cls, param: Message, state: Message) -> Net:
        """The net of a NetParameter, with the layers that a NetState chooses."""
        net = cls.__new__(cls)
        net._open(param, state)
        return net

    def _open(self, param: Message, state: Message) -> None:
        split = type(param)(name=param.name, force_backward=param.force_backward)
        split.layer.extend(with_splits(chosen_layers(param, state)))
        self._whole = whole = WholeNet(split, state)
        for source in whole.sources():
            source.place_in_training(0, 1)
        self._passes = Passes(whole)
        self.blobs, by_layer = self._passes.blobs, self._passes.params
        self.layers = [ShownLayer(layer.param.type, blobs) for layer, blobs in zip(whole.layers, by_layer)]
        self._layer_names = [layer.name for layer in whole.layers]
        self.layer_dict = OrderedDict(zip(self._layer_names, self.layers))
        self.params = OrderedDict((name, layer.blobs) for name, layer in self.layer_dict.items() if layer.blobs)
        self.bottom_names = OrderedDict((layer.name, list(layer.param.bottom)) for layer in whole.layers)
        self.top_names = OrderedDict(zip(self._layer_names, map(list, whole.wires.names)))
        self.inputs = [top for layer in whole.layers if layer.param.type == "Input" for top in layer.param.top]
        self.outputs = list(whole.outputs)
        weights = dict(whole.loss_weights)
        self.blob_loss_weights = OrderedDict((name, weights.get(name, 0.0)) for name in self.blobs)

    @property
    def name(self) -> str:
        """The net's."""
        return self._whole.name

    def forward(
        self, blobs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **inputs: Any
    ) -> dict[str, np.ndarray]:
        """Computes from layer `start` to layer `end`, both included; arrays for all inputs may be given by name.

        Returns the arrays of the net's outputs, or of the tops of `end`, and of `blobs`: the net's own memory, which
        the next pass writes over.
        """
        first = self._place(start) if start is not None else 0
        last = self._place(end) if end is not None else len(self.layers) - 1
        wanted = [*(self.outputs if end is None else self.top_names[end]), *(blobs or ())]
        if inputs:
            self._set(inputs, self.inputs, "data")
        self._forward(first, last)
        return {name: self.blobs[name].data for name in wanted}

    def backward(
        self, diffs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **of_tops: Any
    ) -> dict[str, np.ndarray]:
        """Computes gradients from layer `start` back to layer `end`; arrays for all outputs' diffs may be given.

        Returns the diffs of the net's inputs, or of the bottoms of `end`, and of `diffs`. Diffs of blobs are written
        anew; those of params are added up until `clear_param_diffs`.
        """
        first = self._place(start) if start is not None else len(self.layers) - 1
        last = self._place(end) if end is not None else 0
        wanted = [*(self.inputs if end is None else self.bottom_names[end]), *(diffs or ())]
        if of_tops:
            self._set(of_tops, self.outputs, "diff")
        self._backward(first, last)
        return {name: self.blobs[name].diff for name in wanted}

    def forward_all(self, blobs: Sequence[str] | None = None, **inputs: Any) -> dict[str, np.ndarray]:
        """`forward` over arrays of any number of samples, batch by batch; the last batch is filled up with zeros.

        Returns copies, with as many samples as were given.
        """
        self._check_names(inputs, self.inputs)
        return _in_batches(inputs, self._batch_size, lambda batch: [self.forward(blobs=blobs, **batch)])[0]

    def forward_backward_all(
        self, blobs: Sequence[str] | None = None, diffs: Sequence[str] | None = None, **arrays: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """`forward` and `backward` in the same way; the arrays are of all inputs, of all outputs' diffs, or of both.

        Returns what `forward` and what `backward` return, as copies.
        """

        def both(batch: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
            of_inputs = {name: values for name, values in batch.items() if name in self.inputs}
            found = self.forward(blobs=blobs, **of_inputs)
            of_tops = {name: values for name, values in batch.items() if name not in self.inputs}
            return [found, self.backward(diffs=diffs, **of_tops)]

        found, of_found = _in_batches(arrays, self._batch_size, both)
        return found, of_found

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Gives the first layer, of type MemoryData, float32 arrays of samples (n, C, H, W) and n labels, of one axis
        or of four; its batches are these, one after the other and round and round. The arrays are used as they are,
        without a copy. ValueError or NetError where they do not fit."""
        first = self._whole.layers[0]
        if not isinstance(first, MemoryData):
            raise NetError("set_input_arrays: the first layer is not of type MemoryData")
        arrays = {"data": data, "labels": labels[:, None, None, None] if labels.ndim == 1 else labels}
        for name, array in arrays.items():
            if array.dtype != np.float32 or array.ndim != 4 or not array.flags.c_contiguous:
                raise ValueError(f"set_input_arrays: {name} must be float32 of four axes, contiguous")
        if labels.size != len(labels):
            raise ValueError("set_input_arrays: labels are one number a sample")
        first.give(torch.from_numpy(data), torch.from_numpy(labels))

    def reshape(self) -> None:
        """Gives all blobs the shapes that follow from those of the inputs."""
        self._passes.reshape()

    def clear_param_diffs(self) -> None:
        """Sets the diffs of all params to 0."""
        self._passes.clear_param_diffs()

    def copy_from(self, weights: str) -> None:
        """Fills layers by name from a caffemodel. NetError where blobs of one name have other shapes."""
        self._passes.bind()
        copy_weights(self._whole, Path(weights))

    def share_with(self, other: Net) -> None:
        """Takes the memory of the other net's params, by the names of layers, for its own."""
        for name, theirs in other.params.items():
            ours = self.layer_dict[name].blobs if name in self.layer_dict else None
            if ours is None:
                continue
            if [blob.shape for blob in ours] != [blob.shape for blob in theirs]:
                raise NetError(f"share_with: the blobs of layer {name!r} have other shapes or another number there")
            for our, their in zip(ours, theirs):
                our.memory["data"] = their.memory["data"]

    def save(self, path: str) -> None:
        """Writes a caffemodel, also over one that is there."""
        self._passes.bind()
        write_caffemodel(self._whole, Path(path))

    def save_hdf5(self, path: str) -> None:
        """Writes the params in HDF5, also over a file that is there."""
        self._passes.bind()
        write_hdf5(self._whole, Path(path))

    def load_hdf5(self, path: str) -> None:
        """Fills layers by name from such a file, as `copy_from` does too. NetError where a blob is missing, or has
        another shape."""
        self._passes.bind()
        copy_hdf5(self._whole, Path(path))

    def before_forward(self, call: Callable[[int], Any]) -> None:
        """Has it called with a layer's place before that is computed."""
        self._passes.calls["before forward"].append(call)

    def after_forward(self, call: Callable[[int], Any]) -> None:
        """Has it called with a layer's place after that was computed."""
        self._passes.calls["after forward"].append(call)

    def before_backward(self, call: Callable[[int], Any]) -> None:
        """Has it called with a layer's place before its gradients are computed."""
        self._passes.calls["before backward"].append(call)

    def after_backward(self, call: Callable[[int], Any]) -> None:
        """Has it called with a layer's place after its gradients were computed, or were passed by as not needed."""
        self._passes.calls["after backward"].append(call)

    @property
    def _batch_size(self) -> int:
        return next(iter(self.blobs.values())).shape[0]

    def _forward(self, first: int, last: int) -> float:
        return self._passes.forward(first, last)

    def _backward(self, first: int, last: int) -> None:
        self._passes.backward(first, last)

    def _place(self, name: str) -> int:
        if name not in self._layer_names:
            raise ValueError(f"no layer {name!r} in the net")
        return self._layer_names.index(name)

    def _check_names(self, given: dict[str, Any], wanted: Sequence[str]) -> None:
        if set(given) != set(wanted):
            raise NetError(f"arrays for {', '.join(sorted(given))}; give them for {', '.join(wanted)}")

    def _set(self, given: dict[str, Any], wanted: Sequence[str], which: str) -> None:
        self._check_names(given, wanted)
        for name, values in given.items():
            array = getattr(self.blobs[name], which)
            if array.ndim and np.shape(values)[:1] != array.shape[:1]:
                raise NetError(f"{name}: {np.shape(values)[:1]} samples where the blob has {array.shape[:1]}")
            array[...] = values


def _in_batches(
    arrays: Mapping[str, Any], size: int, run: Callable[[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]
) -> list[dict[str, np.ndarray]]:
    """What `run` makes of each batch, by name, put together; the last batch is filled up with zeros for it."""
    counts = {len(values) for values in arrays.values()}
    if len(counts) != 1:
        raise NetError("arrays for all samples at once: give some, with one number of samples")
    (count,) = counts
    parts: list[list[dict[str, np.ndarray]]] = []
    for at in range(0, count, size):
        batch = {name: _filled(np.asarray(values[at : at + size]), size) for name, values in arrays.items()}
        parts.append([{name: values.copy() for name, values in found.items()} for found in run(batch)])
    return [
        {name: np.concatenate([part[name] for part in found])[:count] for name in found[0]} for found in zip(*parts)
    ]


def _filled(values: np.ndarray, size: int) -> np.ndarray:
    """A batch with zeros behind it."""
    return np.concatenate([values, np.zeros((size - len(values), *values.shape[1:]), values.dtype)])
