"""A net computed layer by layer, forward and backward, over blobs that stay where they are in memory.

The whole net's fast plan computes several layers at once and keeps no blob for anyone to see; here each layer has a
graph of its own for its gradients, and all that goes from one to the next lies in a blob.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any, Callable, Container, Sequence

import torch
from torch import Tensor

from caffe_torch.errors import NetError
from caffe_torch.layers import LAYERS
from caffe_torch.layers.layer import Layer
from caffe_torch.layers.python import UserLayer
from caffe_torch.layers.sources import DummyData
from caffe_torch.net import Net
from caffe_torch.pycaffe.blob import Blob, Memory
from caffe_torch.pycaffe.modes import device
from caffe_torch.pycaffe.splits import backward_needs, learned_blobs

# their tops are their bottoms' own memory, in Caffe too: the numbers, and of all but Split the gradients
SHARING = {"Split": ("data",), "Flatten": ("data", "diff"), "Reshape": ("data", "diff")}


class Passes:
    """`blobs` by name and `params` of each layer are the memory of a net; the net's own parameters are views of it."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.blobs: OrderedDict[str, Blob] = OrderedDict()
        for place, layer in enumerate(net.layers):
            for name, shape in zip(net.wires.names[place], layer.top_shapes):
                if name not in self.blobs:
                    self.blobs[name] = Blob(shape)
        self.params = self._params()
        self.needs, self.bottom_needs = backward_needs(net)
        self._graphs: dict[int, tuple[list[Tensor], tuple[Tensor, ...]]] = {}
        self._device = torch.device("cpu")
        # what a script wants to have called with the place of each layer, by when
        self.calls: defaultdict[str, list[Callable[[int], Any]]] = defaultdict(list)
        for place in range(len(net.layers)):
            self._share(place, ("Reshape",))
        for name, weight in net.loss_weights:
            self.blobs[name].diff[...] = weight  # Layer::SetLossWeights: where the gradient starts
        for place, layer in enumerate(net.layers):
            if isinstance(layer, DummyData):
                self._fill(place, layer, ("constant",))

    def _params(self) -> list[list[Blob]]:
        """A blob for each blob of each layer; layers that share one have the same memory."""
        known: dict[int, dict[str, Memory]] = {}
        params = []
        for layer in self.net.layers:
            params.append([])
            for number, values in enumerate(layer.blobs):
                blob, storage = Blob(tuple(values.shape)), layer.storage(number)
                if id(storage) not in known:
                    blob.memory["data"] = Memory(storage.detach().contiguous().reshape(-1).numpy())
                    known[id(storage)] = dict(blob.memory)
                blob.memory.update(known[id(storage)])
                params[-1].append(blob)
        return params

    def bind(self) -> None:
        """Has the net's parameters look at the blobs' memory, on the device of now."""
        now = device()
        if now != self._device:
            self.net.to(now)
            self._device = now
        for place in range(len(self.net.layers)):
            self._bind(place)

    def forward(self, first: int, last: int) -> float:
        """Computes the layers from a place to another; returns their loss."""
        if device() != self._device:
            self.bind()
        loss, weights = 0.0, dict(self.net.loss_weights)
        for place in range(first, last + 1):
            self._call("before forward", place)
            self._compute(place)
            for name in self.net.wires.names[place]:
                if weights.get(name):
                    loss += weights[name] * float(self.blobs[name].data.sum())
            self._call("after forward", place)
        return loss

    def backward(self, first: int, last: int) -> None:
        """Computes the gradients of the layers from a place back to another that need any."""
        for place in range(first, last - 1, -1):
            self._call("before backward", place)
            if self.needs[place] and (self.bottom_needs[place] or self.params[place]):
                self._differentiate(place)
            self._call("after backward", place)

    def clear_param_diffs(self) -> None:
        """Sets all params' diffs to 0."""
        for blob in (blob for blobs in self.params for blob in blobs):
            blob.diff[...] = 0

    def reshape(self) -> None:
        """Gives all tops their shapes, from those of the bottoms."""
        for place, layer in enumerate(self.net.layers):
            if not layer.is_source:
                self._take_shapes(place, self._fitted(place))
                self._share(place, ("Reshape",))

    def _call(self, when: str, place: int) -> None:
        for call in self.calls[when]:
            call(place)

    def _compute(self, place: int) -> None:
        layer = self.net.layers[place]
        if layer.is_source:
            if layer.param.type == "Input":
                return
            if isinstance(layer, DummyData):
                self._fill(place, layer, None)
                return
        layer = layer if layer.is_source else self._fitted(place)
        self._bind(place)
        bottoms = self._bottoms(place, layer)
        with torch.set_grad_enabled(self.needs[place]):
            tops = layer(*bottoms)
        # what it read is kept as it was: also where the next layer in place writes over the top
        self._graphs[place] = (bottoms, tuple(tops))
        self._take_shapes(place, tops)
        self._share(place, SHARING)
        for name, top in zip(self.net.wires.names[place], tops):
            self.blobs[name].tensor("data", self._device).copy_(top.detach())

    def _bottoms(self, place: int, layer: Layer) -> list[Tensor]:
        in_place = set(layer.param.bottom).intersection(layer.param.top)
        bottoms = []
        for name, needed in zip(layer.param.bottom, self.bottom_needs[place]):
            values = self.blobs[name].tensor("data", self._device)
            values = values.clone() if name in in_place else values
            bottoms.append(values.requires_grad_(needed and self.needs[place]))
        return bottoms

    def _differentiate(self, place: int) -> None:
        if place not in self._graphs:
            raise NetError(f"backward: layer {self.net.layers[place].name!r} was not computed forward before")
        layer = self.net.layers[place]
        bottoms, tops = self._graphs[place]
        learned = [number for number, learns in enumerate(learned_blobs(layer)) if learns or self.net.force_backward]
        learned = [number for number in learned if layer.storage(number).requires_grad]
        places = [number for number, bottom in enumerate(bottoms) if bottom.requires_grad]
        inputs = [*(bottoms[number] for number in places), *(layer.storage(number) for number in learned)]
        diffs = [
            self.blobs[name].tensor("diff", self._device).clone()
            for name, top in zip(self.net.wires.names[place], tops)
            if top.requires_grad
        ]
        outputs = [top for top in tops if top.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(inputs)
        if outputs and inputs:
            found = torch.autograd.grad(outputs, inputs, diffs, retain_graph=True, allow_unused=True)
        for number, gradient in zip(places, found):
            diff = self.blobs[layer.param.bottom[number]].tensor("diff", self._device)
            diff.zero_() if gradient is None else diff.copy_(gradient)
        for number, gradient in zip(learned, found[len(places) :]):
            if gradient is not None:
                blob = self.params[place][number]
                blob.tensor("diff", self._device).add_(gradient.reshape(blob.shape))

    def _bind(self, place: int) -> None:
        layer = self.net.layers[place]
        for number, blob in enumerate(self.params[place]):
            storage = layer.storage(number)
            storage.data = blob.memory["data"].tensor(self._device).reshape(storage.shape)

    def _fitted(self, place: int) -> Layer:
        """The layer, made anew with its old parameters where its bottoms have other shapes than before."""
        layer = self.net.layers[place]
        shapes = [self.blobs[name].shape for name in layer.param.bottom]
        if shapes == layer.bottom_shapes or isinstance(layer, UserLayer):
            return layer
        with torch.random.fork_rng(devices=[]):
            made = LAYERS[layer.param.type](layer.param, layer.phase, shapes)
        if [each.shape for each in made.blobs] != [each.shape for each in layer.blobs]:
            raise layer.refuse("its blobs do not fit the new shapes of its bottoms")
        for name in (f"blob{number}" for number in range(layer.blob_count)):
            if name in layer._borrowed:
                made._parameters.pop(name, None)
                made._borrowed[name] = layer._borrowed[name]
            else:
                setattr(made, name, getattr(layer, name))
        made.index = place
        self.net.layers[place] = made.to(self._device)
        return made

    def _take_shapes(self, place: int, found: Layer | Sequence[Tensor]) -> None:
        """Gives a layer's tops the shapes that were found, or where the layer is given, those that it would find."""
        if isinstance(found, UserLayer):
            shapes = found.reshaped([self.blobs[name].shape for name in found.param.bottom])
        elif isinstance(found, Layer):
            shapes = [top.shape for top in self.net._on_meta(found, found.bottom_shapes)]
        else:
            shapes = [top.shape for top in found]
        for name, shape in zip(self.net.wires.names[place], shapes):
            if self.blobs[name].shape != tuple(shape):
                self.blobs[name].reshape(*shape)

    def _share(self, place: int, kinds: Container[str]) -> None:
        """Caffe's Reshape shares from the start on, the others once they are computed."""
        layer = self.net.layers[place]
        for which in SHARING.get(layer.param.type, ()) if layer.param.type in kinds else ():
            for name in layer.param.top:
                self.blobs[name].memory[which] = self.blobs[layer.param.bottom[0]].memory[which]

    def _fill(self, place: int, layer: DummyData, kinds: Sequence[str] | None) -> None:
        """Fills a DummyData's tops: those of fillers of some kinds, or of all that are not constant."""
        chosen = [(each.type in kinds) if kinds else each.type != "constant" for each in layer.fillers]
        if any(chosen):
            for name, top, wanted in zip(layer.param.top, layer(), chosen):
                if wanted:
                    self.blobs[name].tensor("data", self._device).copy_(top)
