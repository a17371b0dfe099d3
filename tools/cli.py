"""What every tool shares: the library from a clone, and the exit status (0 done, 1 bad input, 2 usage)."""

import argparse
import contextlib
import math
import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Callable, NoReturn, Optional, TextIO, Type

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from caffe_files.errors import InputError
from parsing import Parser

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# set by the entry point, skinmtl; not for the programs that this one starts
_COMMAND = os.environ.pop("SKINMTL_COMMAND", None)


def program() -> str:
    """What the user has typed to start this tool, without its arguments: `skinmtl make-lmdb`, or make_lmdb.py."""
    return _COMMAND or Path(sys.argv[0]).name


def _quit(number: int, frame: Optional[FrameType]) -> NoReturn:
    os._exit(128 + number)


def _explain_missing_package(kind: Type[BaseException], error: BaseException, trace: Optional[TracebackType]) -> None:
    if isinstance(error, ModuleNotFoundError):
        remedy = "put .caffe/bin first on PATH (make caffe), use the Docker image, or pip install ."
        print(f"{program()}: this Python has no {error.name}: {remedy}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# The packages that the tools import take seconds to load: until `run`, a stop ends the program without a traceback,
# and so does a Python that lacks one of them.
for _number in STOPS:
    if signal.getsignal(_number) in (signal.SIG_DFL, signal.default_int_handler):
        signal.signal(_number, _quit)
sys.excepthook = _explain_missing_package


def new_parser(description: str) -> Parser:
    """A parser that takes flags by their whole names only: a mistyped one is an error."""
    return Parser(prog=program(), description=description)


def refuse_overwriting(parser: argparse.ArgumentParser, out: Path, *inputs: Optional[Path]) -> None:
    """Exits with a usage error where the output is one of the inputs."""
    for path in inputs:
        if path is not None and out.resolve() == path.resolve():
            parser.error(f"{out}: is an input of this command; name another file to write")


def finite(text: str) -> float:
    """An argparse type: a number, neither NaN nor infinite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def positive(text: str) -> int:
    """An argparse type: a whole number from 1."""
    return _whole_number(text, 1)


def not_negative(text: str) -> int:
    """An argparse type: a whole number from 0."""
    return _whole_number(text, 0)


def share(text: str) -> float:
    """An argparse type: a number from 0 to below 1."""
    value = finite(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return value


def seed(text: str) -> int:
    """An argparse type: what numpy takes as the seed of its random numbers."""
    return _whole_number(text, 0, 2**32 - 1)


def _whole_number(text: str, smallest: int, largest: Optional[int] = None) -> int:
    try:
        value = int(text)
    except ValueError:
        value = smallest - 1
    if value < smallest or (largest is not None and value > largest):
        to = "" if largest is None else f" to {largest}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {smallest}{to}")
    return value


def usable_cores() -> int:
    """How many cores this process may use: in a container or a batch job fewer than the machine has."""
    return len(os.sched_getaffinity(0))


class Stopped(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP, raised where the program stands, so that half-made output is cleaned away."""


def _stop(number: int, frame: Optional[FrameType]) -> NoReturn:
    for each in STOPS:
        signal.signal(each, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the cleaning
    raise Stopped(signal.Signals(number))


class _Output:
    """Standard output that outlives its reader: where that leaves (`| head`), the tool goes on to its own status."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, write: Callable[[], Any]) -> None:
        try:
            write()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if not isinstance(error, BrokenPipeError):
                raise InputError(f"standard output cannot be written ({error.strerror}); send it elsewhere") from None


def run(main: Callable[[], Optional[int]]) -> NoReturn:
    """Calls `main` and exits with its status; bad input is one line on stderr and status 1."""
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` and `&` set it
            signal.signal(number, _stop)
    sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to fail
    sys.stdout = _Output(sys.stdout)
    try:
        status = main()
        sys.stdout.flush()
    except InputError as error:
        for line in str(error).splitlines():
            print(f"{program()}: {line}", file=sys.stderr)
        status = 1
    except Stopped as stop:
        number = stop.args[0]
        print(f"{program()}: stopped by {number.name}", file=sys.stderr)
        status = 128 + number
    with contextlib.suppress(InputError):  # what a failed tool has printed so far
        sys.stdout.flush()
    sys.exit(status)
