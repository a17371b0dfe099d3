"""Records as JSON files, all written alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping


def write_json(path: Path, record: Mapping[str, Any], allow_nan: bool = True) -> None:
    """UTF-8, two spaces a level. A path of bytes that are no UTF-8 is written as \\udc.., which JSON reads."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=allow_nan)
    path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
