"""What every tool shares: the library from a clone, and the exit status (0 done, 1 bad input, 2 usage)."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Callable, NoReturn, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from skinmtl.errors import InputError


def positive(text: str) -> int:
    """An argparse type: a whole number from 1."""
    return _whole_number(text, 1)


def not_negative(text: str) -> int:
    """An argparse type: a whole number from 0."""
    return _whole_number(text, 0)


def _whole_number(text: str, smallest: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = smallest - 1
    if value < smallest:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {smallest}")
    return value


def add_fold_arguments(parser: argparse.ArgumentParser) -> None:
    """--folds, --fold and --subset, for tools that work on a part of the manifest."""
    parser.add_argument(
        "--folds", type=Path, help="the CSV that make_folds.py wrote (default: take the whole manifest)"
    )
    parser.add_argument("--fold", type=not_negative, metavar="K", help="which fold is the test fold, from 0")
    parser.add_argument("--subset", choices=("train", "test"), help="the test fold, or all others")


def check_fold_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exits with a usage error unless --folds, --fold and --subset came all or none."""
    given = [args.folds is not None, args.fold is not None, args.subset is not None]
    if any(given) and not all(given):
        parser.error("--folds, --fold and --subset go together")


class Terminated(BaseException):
    """SIGTERM, raised where the program stands, so that half-made output is cleaned away as on Ctrl-C."""


def _terminate(signal_number: int, frame: Optional[FrameType]) -> NoReturn:
    raise Terminated()


def run(main: Callable[[], Optional[int]]) -> NoReturn:
    """Calls `main` and exits with its status; bad input is one line on stderr and status 1."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = main()
        sys.stdout.flush()
    except InputError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        status = 1
    except (KeyboardInterrupt, Terminated) as stop:
        number = signal.SIGINT if isinstance(stop, KeyboardInterrupt) else signal.SIGTERM
        print(f"{Path(sys.argv[0]).name}: stopped by {number.name}", file=sys.stderr)
        status = 128 + number
    except BrokenPipeError:  # the reader of our output left (`| head`): not an error, and nothing to flush to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
