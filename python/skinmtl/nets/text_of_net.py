"""A net as Caffe is given it: what was read here and found harmless, not the file that it was read from."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import Iterator

from google.protobuf import text_format
from google.protobuf.message import Message


def without_drawing(net: Message) -> None:
    """Leaves out the fillers that draw, where no weight is to keep its initial value: drawing takes Caffe longest.

    Those stay that Caffe would refuse.
    """
    for layer in net.layer:
        for settings in (value for _, value in layer.ListFields() if isinstance(value, Message)):
            for field, filler in settings.ListFields():
                if field.message_type and field.message_type.name == "FillerParameter" and _draws(filler):
                    settings.ClearField(field.name)


def _draws(filler: Message) -> bool:
    if not isinstance(filler, Message):  # of DummyData, a list: they are what it gives
        return False
    sound = {
        "xavier": True,
        "msra": True,
        "gaussian": filler.std > 0 and not filler.HasField("sparse"),
        "uniform": filler.min <= filler.max,
    }
    return sound.get(filler.type, False)


@contextmanager
def as_file(net: Message) -> Iterator[str]:
    """A path under which this process can read the net's text, in memory where this Python can."""
    # not a pipe: Caffe keeps Python's lock while it reads, so that no thread could write
    in_memory = hasattr(os, "memfd_create")  # from Python 3.8
    with os.fdopen(os.memfd_create("net"), "wb") if in_memory else tempfile.TemporaryFile() as file:
        file.write(text_format.MessageToString(net).encode("utf-8"))
        file.flush()
        yield f"/dev/fd/{file.fileno()}"
