"""Records as JSON files, all written alike and read alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file

LONGEST_NUMBER = 40  # digits


def json_text(record: Mapping[str, Any], allow_nan: bool = True) -> str:
    """Two spaces per level, and a line's end after the last line."""
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=allow_nan) + "\n"


def write_json(path: Path, record: Mapping[str, Any], allow_nan: bool = True) -> None:
    """UTF-8. A path of bytes that are no UTF-8 is written as \\udc.., which JSON reads."""
    path.write_text(json_text(record, allow_nan), encoding="utf-8", errors="backslashreplace")


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The object in a JSON file. InputError where there is none, with `remedy` behind what is wrong."""
    try:
        text = regular_file(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except ValueError:  # no UTF-8
        raise InputError(f"{path}: not JSON; {remedy}") from None
    found = json_value(text)
    if not isinstance(found, dict):
        raise InputError(f"{path}: {'not JSON' if found is None else 'no JSON object'}; {remedy}")
    return found


def json_value(text: str) -> Any:
    """What a JSON text holds; None where it is none, is nested too deep to be read, or has a number too long to be
    one."""
    try:
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:  # slow to read; Python 3.11 refuses 5,000 digits
        raise ValueError("a number is too long")
    return int(digits)
