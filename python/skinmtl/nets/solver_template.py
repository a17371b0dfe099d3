"""A solver for a net that was just made, from one of another net: its places are filled in, its comments stay."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

from google.protobuf import text_format

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from caffe_files.prototxt import read_solver
from caffe_files.schema import caffe_messages
from caffe_files.upgrade import upgrade_solver
from skinmtl.nets.mask_options import MaskNetOptions
from skinmtl.nets.multi_task import NetOptions

PHASE = re.compile(r"(?:.*/)?train(_phase\d+)\.prototxt", re.DOTALL)
STRING = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
ORDER = ("train_net", "test_net", "test_iter", "snapshot_prefix")  # of those that the template has no place for
PLACES = r"(?:net|train_net|test_net|test_iter|snapshot_prefix)"
# a comment, a field that names a place, with the comment behind it, or another field's string
TOKENS = re.compile(rf"#[^\n]*|\b(?P<place>{PLACES})\s*:\s*(?:{STRING}|\d+)(?:[ \t]*#[^\n]*)?|{STRING}")


def phase_of(template: Path) -> str:
    """Of a solver for one phase of a mask net's training, whose net is train_phase1.prototxt, "_phase1"; else ""."""
    solver = read_solver(template)
    match = PHASE.fullmatch(solver.train_net or solver.net)
    return match.group(1) if match else ""


def solver_file(template: Path) -> str:
    """What a solver is called that is filled in from `template`: solver.prototxt, or solver_phase1.prototxt."""
    return f"solver{phase_of(template)}.prototxt"


def filled_solver(
    template: Path, folder: Path, options: NetOptions | MaskNetOptions, test_iter: int, command: str
) -> str:
    """The text of `template` for the net in `folder`: its prototxts, its whole test set, snapshots beside them.

    A comment behind what is filled in was about the other net, and goes. InputError where the template is no solver,
    or has no test_interval, without which Caffe takes no test net.
    """
    if not read_solver(template).test_interval:
        raise InputError(f"{template}: has no test_interval, without which Caffe takes no test net; add one")
    batch = options.test_batch_size
    places = _places(template, folder, options)
    values = {name: _quoted(places[name]) if name in places else str(test_iter) for name in ORDER}
    behind = {"test_iter": f"  # x {batch} = the {test_iter * batch} test images"}
    text = regular_file(template).read_text(encoding="utf-8")
    left = dict(values)

    def fill(token: re.Match[str]) -> str:
        if token.group("place") is None:
            return token.group()
        name = "train_net" if token.group("place") == "net" else token.group("place")
        if name not in left:
            return ""  # given twice
        ends_line = text[token.end() :].partition("\n")[0].strip() == ""
        return f"{name}: {left.pop(name)}{behind.get(name, '') if ends_line else ''}"

    body = TOKENS.sub(fill, text).rstrip("\n")
    missing = [f"{name}: {value}{behind.get(name, '')}" for name, value in left.items()]
    header = (
        f"# made by: {command}\n"
        f"# {template} for this net; train it with: caffe train -solver {(folder / solver_file(template)).as_posix()}"
    )
    made = "\n".join([header, body, *missing, ""])
    _check(made, template, places, test_iter)
    return made


def _places(template: Path, folder: Path, options: NetOptions | MaskNetOptions) -> dict[str, Path]:
    """The paths that are filled in."""
    phase = phase_of(template)
    return {
        "train_net": folder / f"train{phase}.prototxt",
        "test_net": folder / "test.prototxt",
        "snapshot_prefix": folder / f"{options.net_name}{phase}",
    }


def test_iter_of(solver: Path) -> int:
    """What a solver that is there says; 1 where none is."""
    with suppress(InputError):
        return next(iter(read_solver(solver).test_iter), 1)
    return 1


def _check(made: str, template: Path, places: dict[str, Path], test_iter: int) -> None:
    """InputError unless the text says what it is to say, and else what the template says."""
    solver, expected = caffe_messages().SolverParameter(), read_solver(template)
    for field in ("net", "test_net", "test_iter"):
        expected.ClearField(field)
    expected.train_net = places["train_net"].as_posix()
    expected.test_net.append(places["test_net"].as_posix())
    expected.test_iter.append(test_iter)
    expected.snapshot_prefix = places["snapshot_prefix"].as_posix()
    with suppress(text_format.ParseError):
        text_format.Parse(made, solver)
        upgrade_solver(solver, template)
    if solver != expected:
        raise InputError(f"{template}: its nets and test_iter cannot be filled in; write each on a line of its own")


def _quoted(path: Path) -> str:
    return json.dumps(path.as_posix(), ensure_ascii=False)
