"""How a layer for pycaffe says what is wrong."""

from __future__ import annotations

import os
from contextlib import contextmanager
from types import FrameType
from typing import Iterator

from caffe_files.errors import InputError


@contextmanager
def told(layer_frame: FrameType) -> Iterator[None]:
    """An InputError goes to the Python program that runs the net. Where there is none, in `caffe train`, it would
    abort with a trace of addresses: there it becomes a line on stderr and status 1.

    layer_frame  the frame of the method that Caffe called: sys._getframe() there
    """
    try:
        yield
    except InputError as error:
        if layer_frame.f_back is not None:
            raise
        os.write(2, f"caffe: {error}\n".encode(errors="backslashreplace"))
        os._exit(1)
