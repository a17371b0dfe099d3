"""Phases of a training: each trains some of the net's layers at one learning rate for a number of iterations.

A phase begins with the weights of the one before and with no momentum, as `caffe train -weights` and matterport's
Mask R-CNN do. A file of phases is YAML, or JSON where its name ends in .json:

    phases:
      - {trainable: ["fpn_*", "rpn_*"], base_lr: 0.001, iterations: 40000}
      - {trainable: ["*"], base_lr: 0.0001, iterations: 40000}

`trainable` are patterns of layer names, as a shell has them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Sequence

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from caffe_files.prototxt import message_text, read_net
from skinmtl.common.json_file import read_json
from skinmtl.common.yaml_file import read_yaml
from skinmtl.nets.phases import frozen

FORM = "phases: a list of {trainable: [patterns of layer names], base_lr: RATE, iterations: N}"
REMEDY = f"the file is to hold {FORM}"
FIELDS = ("trainable", "base_lr", "iterations")
MOST_ITERATIONS = 2**31 - 1  # Caffe counts them in an int
HIGHEST_RATE = 1e6  # far above any that trains


@dataclass(frozen=True)
class Phase:
    """Patterns of the names of the layers that learn, their rate (before lr_mult), and for how many iterations."""

    trainable: tuple[str, ...]
    base_lr: float
    iterations: int


def read_phases(path: Path) -> tuple[Phase, ...]:
    """The phases in a file. InputError says in a line what is wrong with the first one that is wrong."""
    found = read_json(path, REMEDY) if path.suffix.lower() == ".json" else read_yaml(path, REMEDY)
    if not isinstance(found, dict) or set(found) != {"phases"} or not isinstance(found["phases"], list):
        raise InputError(f"{path}: holds no single list 'phases'; {REMEDY}")
    if not found["phases"]:
        raise InputError(f"{path}: has no phase in its list; {REMEDY}")
    for number, each in enumerate(found["phases"], 1):
        fault = _fault(each)
        if fault:
            raise InputError(f"{path}: phase {number}: {fault}; {REMEDY}")
    phases = phases_of(found["phases"])
    if sum(phase.iterations for phase in phases) > MOST_ITERATIONS:
        raise InputError(f"{path}: more than {MOST_ITERATIONS} iterations in all; give fewer")
    return phases


def phases_of(records: Sequence[dict[str, Any]]) -> tuple[Phase, ...]:
    """Phases from sound records of them, of a file or of `default_phases`."""
    return tuple(
        Phase(tuple(each["trainable"]), float(f"{each['base_lr']:.6g}"), each["iterations"]) for each in records
    )


def scaled(phases: Sequence[Phase], base_lr: float, max_iter: int) -> tuple[Phase, ...]:
    """Phases of the same proportions, of `max_iter` iterations in all, the first at the rate `base_lr`. One that would
    have no iteration is left out."""
    total, ends, done = sum(phase.iterations for phase in phases), [], 0
    for phase in phases:
        done += phase.iterations
        ends.append(round(done * max_iter / total))
    starts = [0, *ends]
    made = []
    for phase, start, end in zip(phases, starts, ends):
        if end > start:
            rate = float(f"{phase.base_lr * base_lr / phases[0].base_lr:.6g}")
            made.append(Phase(phase.trainable, rate, end - start))
    return tuple(made)


def starts_of(phases: Sequence[Phase]) -> list[int]:
    """The iteration that each phase begins at, and at last the one that the last phase ends at.

    >>> starts_of([Phase(("*",), 0.1, 4), Phase(("*",), 0.1, 2)])
    [0, 4, 6]
    """
    starts = [0]
    for phase in phases:
        starts.append(starts[-1] + phase.iterations)
    return starts


def phase_until(phases: Sequence[Phase], iteration: int) -> int:
    """Which phase, from 0, led to `iteration`; the first one at iteration 0, and where there are no phases."""
    return sum(start < iteration for start in starts_of(phases)[1:-1])


def phase_net(train_net: Path, phases: Sequence[Phase], number: int) -> Message:
    """The training net of a phase, from 0. InputError where its patterns do not fit the net."""
    net = read_net(train_net)
    try:
        return frozen(net, phases[number].trainable)
    except InputError as error:
        raise InputError(f"{train_net}: phase {number + 1} of the training: {error}") from None


def write_phase_net(train_net: Path, phases: Sequence[Phase], number: int, path: Path) -> None:
    """Writes the training net of a phase."""
    header = f"# made by tools/train.py of {train_net} for phase {number + 1}, in which these layers alone learn:\n"
    text = f"{header}# {' '.join(phases[number].trainable)}\n{message_text(phase_net(train_net, phases, number))}"
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def as_records(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    """What args.json holds of them."""
    return [{**asdict(phase), "trainable": list(phase.trainable)} for phase in phases]


def _fault(record: Any) -> str:
    """What is wrong with a phase, in words; nothing where nothing is."""
    if not isinstance(record, dict):
        return f"{record!r} is no phase"
    for name in record:
        if name not in FIELDS:
            return f"{name!r} is not known"
    for name in FIELDS:
        if name not in record:
            return f"{name} is missing"
    trainable, rate, iterations = (record[name] for name in FIELDS)
    if not isinstance(trainable, list) or not trainable or not all(isinstance(one, str) and one for one in trainable):
        return f"trainable is {trainable!r}, not a list of patterns"
    if type(rate) not in (int, float) or not 0 < rate <= HIGHEST_RATE:
        hint = ", which YAML reads as text: write 1.0e-3" if isinstance(rate, str) else ""
        return f"base_lr is {rate!r}, not a number from 0 to {HIGHEST_RATE:g}{hint}"
    if type(iterations) is not int or not 0 < iterations <= MOST_ITERATIONS:
        return f"iterations is {iterations!r}, not a whole number from 1"
    return ""
