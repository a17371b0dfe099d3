"""The losses of a net: its tops that count, each with its weight."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from caffe_files.errors import InputError

ENDING = "_loss"
PHASES = ("TRAIN", "TEST")  # by the numbers of a NetStateRule's phase


@dataclass(frozen=True)
class Loss:
    """A top whose sum, times `weight`, is part of what is minimised; `name` is the top's without "_loss", `kind` the
    layer's type, of one of type Python its class."""

    name: str
    top: str
    weight: float
    kind: str = ""


def losses_of(path: Path, net: Message, phase: str) -> tuple[Loss, ...]:
    """The losses of a net in the order of its layers: what has a loss_weight, by itself or as Caffe's losses do, and
    what is called so (`..._loss`). InputError where two could not be told apart in a log."""
    found: dict[str, Loss] = {}
    for layer in net.layer:
        if not _is_in(layer, phase):
            continue
        given = list(layer.loss_weight) or [1.0] * layer.type.endswith("Loss")  # Caffe's default is for the first top
        for number, top in enumerate(layer.top):
            weight = given[number] if number < len(given) else 0.0
            if not weight and not top.endswith(ENDING):
                continue
            name = top[: -len(ENDING)] if top.endswith(ENDING) and top != ENDING else top
            if name in found and found[name].top != top:
                raise InputError(f"{path}: two losses, {found[name].top} and {top}, would have one name; rename one")
            kind = layer.python_param.layer if layer.type == "Python" else layer.type
            found[name] = Loss(name, top, weight, kind)
    return tuple(found.values())


def _is_in(layer: Message, phase: str) -> bool:
    """Whether a layer's rules leave it in a net of that phase."""
    met = any(not rule.HasField("phase") or PHASES[rule.phase] == phase for rule in layer.include or layer.exclude)
    return met if layer.include else not (layer.exclude and met)
