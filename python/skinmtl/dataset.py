"""The folder that make_lmdb.py makes: what is in it, and what its dataset.json says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from skinmtl.errors import InputError

LMDB_NAMES = ("image_lmdb", "lesion_lmdb", "location_lmdb")


def read_summary(out: Path) -> dict[str, Any]:
    """What dataset.json says; a folder without one was not made by make_lmdb.py, or was not finished."""
    path = Path(out) / "dataset.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path}: missing; {out} is no data set that make_lmdb.py finished") from None
    except ValueError:
        raise InputError(f"{path}: not JSON; build the LMDBs again") from None
