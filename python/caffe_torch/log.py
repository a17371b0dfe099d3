"""Lines as Caffe's, so that what reads Caffe's logs reads these: glog's prefix, on standard error."""

from __future__ import annotations

import sys
import threading
from datetime import datetime

from caffe_files.shown import shown


def say(source: str, message: str) -> None:
    """Writes `I1122 21:33:07.123456  1234 solver.cpp:1] message`; `source` is the file of Caffe that says it there."""
    now = datetime.now().strftime("%m%d %H:%M:%S.%f")
    print(f"I{now} {threading.get_native_id():5} {source}:1] {shown(message)}", file=sys.stderr, flush=True)


def number(value: float) -> str:
    """A number as C++ prints it: six digits that count, no zeros behind them."""
    return f"{value:.6g}"
