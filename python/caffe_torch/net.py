"""A net: the layers of a prototxt that a phase, a level and stages choose, wired by the names of their blobs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Callable, Iterable, Iterator, Sequence, TypeVar

import torch
from google.protobuf.message import Message
from torch import Tensor, nn
from torch.func import functional_call

from caffe_files.schema import caffe_messages
from caffe_torch.errors import NetError
from caffe_torch.layers import LAYERS
from caffe_torch.layers.layer import Layer
from caffe_torch.layers.normalisation import BatchNorm
from caffe_torch.plan import Step, make_plan
from caffe_torch.states import PHASES, chosen_layers, state_alone
from caffe_torch.wiring import wired

_Named = TypeVar("_Named")


@dataclass(frozen=True)
class Learned:
    """A parameter that the solver updates: whose blob, and its multipliers of learning rate and decay.

    `place` is the layer's in the net, since several may have one name.
    """

    layer: str
    blob: int
    lr_mult: float
    decay_mult: float
    place: int = 0


class Net(nn.Module):
    """Runs layers in the order of the prototxt.

    A top with its bottom's name replaces that blob for the layers that follow; here the old numbers stay untouched.
    `learned` lists the parameters in Caffe's order, each once however many layers share it. `wires` say which values
    layers read and write, and `values` which of them the blobs hold in the end. Phase, level and stages choose layers,
    as `state_alone` has it; or `phase` is the whole NetState.
    """

    def __init__(self, param: Message, phase: str | Message, level: int = 0, stages: Sequence[str] = ()) -> None:
        super().__init__()
        state = phase if isinstance(phase, Message) else state_alone(param, phase, level, stages)
        phase = PHASES[state.phase]
        self.name, self.phase, self.force_backward = param.name, phase, param.force_backward
        self.layers = nn.ModuleList()
        self.learned: list[Learned] = []
        self.loss_weights: list[tuple[str, float]] = []
        self._shared: dict[str, tuple[Layer, int, int, set[str]]] = {}
        layers = chosen_layers(param, state)
        if not layers:
            raise NetError(f"net {param.name!r} has no layers in phase {phase}; give it some")
        self.wires = wired(layers, lambda layer: getattr(LAYERS.get(layer.type), "automatic", lambda _: 0)(layer))
        self.values, self.outputs = self.wires.values, self.wires.outputs
        shapes: dict[int, tuple[int, ...]] = {}
        for layer in layers:
            self._add(layer, shapes)
        self.plan = self.plan_for(self.values)
        self.shapes = {name: shapes[number] for name, number in self.values.items()}

    def forward(self, inputs: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Every blob by name, as the last layer that has it left it; `inputs` are set in place of an Input's tops."""
        values = self.run(self.plan, inputs or {})
        return {name: values[number] for name, number in self.values.items()}

    def run(
        self,
        plan: list[Step],
        inputs: dict[str, Tensor],
        compute: Callable[[Step, list[Tensor]], Sequence[Tensor]] = Step.compute,
    ) -> dict[int, Tensor]:
        """The values that are left after the steps."""
        device = self.device
        values: dict[int, Tensor] = {}
        for step in plan:
            if step.first.is_source:
                tops = [top.to(device, non_blocking=True) for top in self._given(step.first, inputs)]
            else:
                tops = compute(step, self._bottoms(step, values))
            values.update(zip(step.tops, tops))
            for number in step.done:
                del values[number]
        return values

    def plan_for(self, blobs: Iterable[str]) -> list[Step]:
        """The steps that lead to some blobs."""
        return make_plan(self.layers, self.wires, {self.values[name] for name in blobs})

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(iter(self.parameters()), torch.empty(0)).device

    def loss(self, blobs: dict[str, Tensor]) -> Tensor:
        """The sum of all losses, each with its weight."""
        if not self.loss_weights:
            raise NetError(f"net {self.name!r} has no loss")
        return sum(weight * blobs[name].sum() for name, weight in self.loss_weights)

    def parameter(self, learned: Learned) -> Tensor:
        """The blob that a Learned stands for."""
        return self.layers[learned.place].blobs[learned.blob]

    def layer(self, name: str) -> Layer:
        """The first layer of a name."""
        return next(layer for layer in self.layers if layer.name == name)

    def share_weights(self, other: Net) -> None:
        """Takes the blobs of the other net's layers of the same names for its own, in their order."""
        theirs = dict(by_name(other.layers))
        for name, layer in by_name(self.layers):
            owner = theirs.get(name)
            if owner is None or not layer.blob_count:
                continue
            if [tuple(blob.shape) for blob in layer.blobs] != [tuple(blob.shape) for blob in owner.blobs]:
                raise layer.refuse(f"its blobs have other shapes than in the net of phase {other.phase}")
            for number in range(layer.blob_count):
                layer.borrow(number, owner, number)

    def sources(self) -> Iterable[Layer]:
        """The layers that make data."""
        return (layer for layer in self.layers if layer.is_source)

    def _add(self, param: Message, shapes: dict[int, tuple[int, ...]]) -> None:
        place = len(self.layers)
        if len(param.propagate_down) not in (0, len(param.bottom)):
            raise NetError(
                f"layer {param.name!r}: {len(param.propagate_down)} propagate_down for {len(param.bottom)} bottoms"
            )
        builder = LAYERS.get(param.type)
        if builder is None:
            raise NetError(f"layer {param.name!r}: type {param.type!r} is not supported")
        phase = PHASES[param.phase] if param.HasField("phase") else self.phase
        bottoms = [shapes[number] for number in self.wires.bottoms[place]]
        layer = builder(param, phase, bottoms)
        layer.index = place
        self.layers.append(layer)
        tops = layer.shapes if layer.is_source else [tuple(top.shape) for top in self._on_meta(layer, bottoms)]
        for top in tops:
            layer.check_size(top)
        layer.top_shapes = [tuple(top) for top in tops]
        shapes.update(zip(self.wires.tops[place], layer.top_shapes))
        self._note_losses(layer)
        self._note_parameters(layer)

    def _on_meta(self, layer: Layer, bottoms: list[tuple[int, ...]]) -> tuple[Tensor, ...]:
        """The tops without their numbers, to know their shapes."""
        held = {name: each.to("meta") for name, each in (*layer.named_parameters(), *layer.named_buffers())}
        inputs = tuple(torch.empty(shape, device="meta") for shape in bottoms)
        try:
            with torch.no_grad():
                return functional_call(layer, held, inputs)
        except RuntimeError as error:
            shown = ", ".join(map(str, bottoms))
            raise layer.refuse(f"does not take {shown} ({str(error).splitlines()[0]})") from None

    def _note_losses(self, layer: Layer) -> None:
        names = self.wires.names[layer.index]
        # a layer of type Python is no loss by itself (BVLC: python_layer.hpp)
        weights = list(layer.param.loss_weight) or [1.0] * (layer.is_loss and layer.param.type != "Python")
        if layer.param.loss_weight and len(weights) != len(names):
            raise layer.refuse(f"{len(weights)} loss weights for {len(names)} tops; give one for each")
        for name, number, weight in zip(names, self.wires.tops[layer.index], weights):
            if weight:
                self.loss_weights.append((self.wires.splits.get(number, name), weight))

    def _note_parameters(self, layer: Layer) -> None:
        specs = list(layer.param.param)
        if len(specs) > layer.blob_count:
            raise layer.refuse(f"{len(specs)} params where it has {layer.blob_count}")
        for number in range(layer.blob_count):
            spec = specs[number] if number < len(specs) else caffe_messages().ParamSpec()
            if spec.name in self._shared:
                self._share(layer, number, spec)
                continue
            if spec.name:
                said = {field for field in ("lr_mult", "decay_mult") if spec.HasField(field)}
                self._shared[spec.name] = (layer, number, len(self.learned), said)
            fixed = isinstance(layer, BatchNorm)
            learned = Learned(layer.name, number, 0.0 if fixed else spec.lr_mult, spec.decay_mult, layer.index)
            self.learned.append(learned)

    def _share(self, layer: Layer, number: int, spec: Message) -> None:
        """A multiplier that the first user does not say is that of the next one that does (BVLC: Net::AppendParam)."""
        owner, of_owner, place, said = self._shared[spec.name]
        theirs, ours = owner.blobs[of_owner], layer.blobs[number]
        alike = theirs.numel() == ours.numel() if spec.share_mode == spec.PERMISSIVE else theirs.shape == ours.shape
        if not alike:
            raise layer.refuse(f"shares {spec.name!r}, {tuple(theirs.shape)}, but needs {tuple(ours.shape)}")
        for field in ("lr_mult", "decay_mult"):
            if not spec.HasField(field):
                continue
            value = getattr(spec, field)
            if field in said and value != getattr(self.learned[place], field):
                raise layer.refuse(f"shares {spec.name!r} with another {field}")
            said.add(field)
            self.learned[place] = replace(self.learned[place], **{field: value})
        layer.borrow(number, owner, of_owner)

    def _bottoms(self, step: Step, values: dict[int, Tensor]) -> list[Tensor]:
        bottoms = [values[number] for number in step.bottoms]
        for number, passes in enumerate(step.first.param.propagate_down):
            if not passes and not self.force_backward:
                bottoms[number] = bottoms[number].detach()
        return bottoms

    def _given(self, layer: Layer, inputs: dict[str, Tensor]) -> Iterable[Tensor]:
        names = layer.param.top
        if all(name in inputs for name in names):
            return [inputs[name] for name in names]
        return [inputs.get(name, top) for name, top in zip(names, layer())]


def by_name(layers: Iterable[_Named]) -> Iterator[tuple[tuple[str, int], _Named]]:
    """Layers with what tells them from all others: their name, and how many before them have it."""
    seen: Counter[str] = Counter()
    for layer in layers:
        yield (layer.name, seen[layer.name]), layer
        seen[layer.name] += 1
