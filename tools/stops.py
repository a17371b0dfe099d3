"""Before anything that takes time is imported: what ends the program without a traceback, three open streams, a home.

A tool imports this first, by way of cli.py. Until cli.run a stop ends the program at once.
"""

import os
import pwd
import signal
from types import FrameType
from typing import NoReturn, Optional

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _quit(number: int, frame: Optional[FrameType]) -> NoReturn:
    os._exit(128 + number)


for _number in STOPS:
    if signal.getsignal(_number) in (signal.SIG_DFL, signal.default_int_handler):
        signal.signal(_number, _quit)
signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)  # which skinmtl holds back while Python starts

# a file that is opened where a standard stream was closed (>&-) would get what Caffe says there
for _number in (0, 1, 2):
    try:
        os.fstat(_number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one

if "HOME" not in os.environ:  # matplotlib and PyTorch ask for it when they are imported, and end without
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:  # a number without a name, as in a container
        os.environ["HOME"] = "/"
