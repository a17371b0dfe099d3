"""What every tool shares: the library from a clone, and the exit status (0 done, 1 bad input, 2 usage)."""

from stops import STOPS  # isort: skip

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
from caffe_files.shown import shown, shown_with_bars
from caffe_files.system_errors import of_anything
from parsing import Parser

# set by the entry point, skinmtl; not for the programs that this one starts
_COMMAND = os.environ.pop("SKINMTL_COMMAND", None)


def program() -> str:
    """What the user has typed to start this tool, without its arguments: `skinmtl make-lmdb`, or make_lmdb.py."""
    return _COMMAND or Path(sys.argv[0]).name


def _explain(kind: Type[BaseException], error: BaseException, trace: Optional[TracebackType]) -> None:
    """What is said of an import that fails: a package that is not there, or what the system refuses."""
    line = of_anything(error) if isinstance(error, Exception) else None
    if isinstance(error, ModuleNotFoundError):
        remedy = "put .caffe/bin first on PATH (make caffe), use the Docker image, or pip install ."
        line = f"this Python has no {error.name}: {remedy}"
    if line:
        print(f"{program()}: {line}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# the packages that the tools import take seconds to load
sys.excepthook = _explain


def new_parser(description: str) -> Parser:
    """A parser that takes flags by their whole names only: a mistyped one is an error."""
    return Parser(prog=program(), description=description)


def finite(text: str) -> float:
    """An argparse type: a number, neither NaN nor infinite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def above_zero(text: str) -> float:
    """An argparse type: a number above 0."""
    value = finite(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def from_zero(text: str) -> float:
    """An argparse type: a number from 0."""
    value = finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
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
    # a module of C that is just being imported may drop the exception, and the tool would go on
    signal.signal(signal.SIGALRM, lambda *_: _stop_again(number))
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    raise Stopped(signal.Signals(number))


def _stop_again(number: int) -> None:
    """Raises it once more unless the tool is cleaning because of it."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Stopped):
            return
        error = error.__context__
    raise Stopped(signal.Signals(number))


class _Output:
    """A standard stream that outlives its reader: where that leaves (`| head`), the tool goes on to its own status.

    What is written may have names from any file in it: none of them is to do something to a terminal.
    """

    def __init__(self, stream: Optional[TextIO], name: str) -> None:
        # Python has none where the number was closed
        self._stream = open(os.devnull, "w") if stream is None else stream  # noqa: SIM115
        self._name = name

    def write(self, text: str) -> int:
        safe = shown(text) if self._name else shown_with_bars(text)
        self._try(lambda: self._stream.write(safe))
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
            if self._name and not isinstance(error, BrokenPipeError):
                raise InputError(f"{self._name} cannot be written ({error.strerror}); send it elsewhere") from None


def run(main: Callable[[], Optional[int]]) -> NoReturn:
    """Calls `main` and exits with its status; bad input, or what the system refuses, is one line on stderr and status
    1."""
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` and `&` set it
            signal.signal(number, _stop)
    sys.stderr = _Output(sys.stderr, "")  # nobody could be told that it cannot be written
    sys.stdout = _Output(sys.stdout, "standard output")
    sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to fail
    try:
        status = main()
        sys.stdout.flush()
    except InputError as error:
        status = _fail(str(error))
    except Stopped as stop:
        signal.setitimer(signal.ITIMER_REAL, 0)
        number = stop.args[0]
        _fail(f"stopped by {number.name}")
        status = 128 + number
    except Exception as error:
        line = of_anything(error)
        if line is None:
            raise
        status = _fail(line)
    with contextlib.suppress(InputError):  # what a failed tool has printed so far
        sys.stdout.flush()
    sys.exit(status)


def _fail(lines: str) -> int:
    """Says what is wrong, a line each, and returns the status for it."""
    sys.unraisablehook = lambda _: None  # a zip file that could not be written complains once more when it is forgotten
    for line in lines.split("\n"):
        print(f"{program()}: {shown(line)}", file=sys.stderr)
    return 1
