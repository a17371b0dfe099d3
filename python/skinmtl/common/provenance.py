"""What made an output: arguments, versions, and the sha256 of what went in."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Any

import skinmtl
from caffe_files.inputs import regular_file


def made_by(arguments: dict[str, Any]) -> dict[str, Any]:
    """A JSON-ready record for an output file. It holds no date: the same input gives the same bytes."""
    # here, since their loading is most of the start of a tool that asks nothing else of them
    import cv2
    import google.protobuf
    import lmdb
    import numpy

    return {
        "arguments": {name: _plain(value) for name, value in arguments.items()},
        "versions": {
            "skinmtl": skinmtl.__version__,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "opencv": cv2.__version__,
            "lmdb": lmdb.__version__,
            "protobuf": google.protobuf.__version__,
        },
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(str(regular_file(path)), "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
