"""Records as JSON files, all written alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping


def json_text(record: Mapping[str, Any], allow_nan: bool = True) -> str:
    """Two spaces per level, and a line's end after the last line."""
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=allow_nan) + "\n"


def write_json(path: Path, record: Mapping[str, Any], allow_nan: bool = True) -> None:
    """UTF-8. A path of bytes that are no UTF-8 is written as \\udc.., which JSON reads."""
    path.write_text(json_text(record, allow_nan), encoding="utf-8", errors="backslashreplace")
