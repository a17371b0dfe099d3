"""What the header of a Netpbm file (PBM, PGM, PPM, PAM) says: its size, its largest value, its channels."""

from __future__ import annotations

import re
from typing import NamedTuple

ENOUGH = 4096  # bytes in which the numbers must stand: comments come before them
GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
PNM = re.compile(rb"P([1-6])%b(\d{1,10})%b(\d{1,10})(?:%b(\d{1,5}))?\s" % (GAP, GAP, GAP))
PAM = re.compile(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)[ \t]+(\d{1,10})\s", re.MULTILINE)


class Header(NamedTuple):
    """`white` is the value that stands for it."""

    width: int
    height: int
    white: int
    channels: int


def header(data: bytes) -> Header | None:
    """None for what is no Netpbm file."""
    start = data[:ENOUGH]
    if start.startswith(b"P7"):
        said = {b"WIDTH": 0, b"HEIGHT": 0, b"DEPTH": 0, b"MAXVAL": 0}
        for name, number in PAM.findall(start.partition(b"ENDHDR")[0]):
            said[name] = max(said[name], int(number))
        return Header(said[b"WIDTH"], said[b"HEIGHT"], said[b"MAXVAL"], said[b"DEPTH"])
    found = PNM.match(start)
    if found is None:
        return None
    kind, width, height, white = found.groups()
    channels = 3 if kind in b"36" else 1
    return Header(int(width), int(height), 1 if kind in b"14" else int(white or 0), channels)


def problem(data: bytes) -> str:
    """Why its values would not become the colours that are meant, or ""."""
    said = header(data)
    if said is not None and data.startswith(b"P7") and (said.channels not in (1, 3) or said.white != 255):
        return f"a PAM of {said.channels} channels up to {said.white}; save it as PNG"
    if said is not None and not 0 < said.white < 1 << 16:
        return f"says that {said.white} is its largest value; 1 to 65535 are read"
    return ""
