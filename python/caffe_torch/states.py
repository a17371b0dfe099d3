"""Which layers of a net there are: those that its state chooses, by phase, level and stages (BVLC: net.cpp).

A net may have a state of its own. What else has a part in it depends on who opens the net, and is decided here.
"""

from __future__ import annotations

from typing import Sequence

from google.protobuf.message import Message

from caffe_files.schema import caffe_messages
from caffe_torch.errors import NetError

PHASES = ("TRAIN", "TEST")  # by Caffe's numbers


def state_alone(net: Message, phase: str, level: int = 0, stages: Sequence[str] = ()) -> Message:
    """The state of a net that is opened by itself, as by pycaffe, `caffe test` and `caffe time`: phase and level are
    those given, whatever the net says; stages are the net's own and those given."""
    return caffe_messages().NetState(phase=PHASES.index(phase), level=level, stage=[*net.state.stage, *stages])


def state_in_solver(net: Message, phase: str, given: Message) -> Message:
    """The state of a solver's net: what the solver says goes before what the net says, and this before the phase; the
    stages are those of both (BVLC: Solver::InitTrainNet)."""
    state = caffe_messages().NetState(phase=PHASES.index(phase))
    state.MergeFrom(net.state)
    state.MergeFrom(given)
    return state


def chosen_layers(param: Message, state: Message) -> list[Message]:
    """The layers that a state chooses; a net's own old-fashioned inputs come first as a layer.

    Inputs without any shape are left out, as in Caffe, since a layer may have them as its tops.
    """
    if param.layers:
        raise NetError(
            f"net {param.name!r} has the `layers` of before 2014; Caffe's upgrade_net_proto_text makes them `layer`"
        )
    layers = []
    if param.input and (param.input_shape or param.input_dim):
        source = caffe_messages().LayerParameter(name="input", type="Input", top=list(param.input))
        shapes = [list(shape.dim) for shape in param.input_shape]
        shapes = shapes or [list(param.input_dim[at : at + 4]) for at in range(0, len(param.input_dim), 4)]
        if len(shapes) != len(param.input) or any(not shape for shape in shapes):
            raise NetError(f"net {param.name!r}: {len(shapes)} shapes for {len(param.input)} inputs")
        for shape in shapes:
            source.input_param.shape.add(dim=shape)
        layers.append(source)
    for layer in param.layer:
        if layer.include and layer.exclude:
            raise NetError(f"layer {layer.name!r} has include and exclude rules; give one kind")
        rules = layer.include or layer.exclude
        met = any(_meets(rule, state) for rule in rules)
        if met == bool(layer.include) or not rules:
            layers.append(layer)
    return layers


def _meets(rule: Message, state: Message) -> bool:
    if rule.HasField("phase") and rule.phase != state.phase:
        return False
    if rule.HasField("min_level") and state.level < rule.min_level:
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        return False
    return set(rule.stage) <= set(state.stage) and not set(rule.not_stage) & set(state.stage)
