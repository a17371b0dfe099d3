"""What every tool shares: the library from a clone, and the exit status (0 done, 1 bad input, 2 usage)."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Callable, NoReturn, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from skinmtl.errors import InputError


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
