"""The folder that make_lmdb.py makes: what is in it, and what its dataset.json says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file

LMDB_NAMES = ("image_lmdb", "lesion_lmdb", "location_lmdb")
NEEDED = {
    "n_images": int,
    "n_records": int,
    "copies": int,
    "short_side": list,
    "lesion_names": list,
    "location_names": list,
    "manifest": str,
    "images": str,
}


def read_summary(out: Path) -> dict[str, Any]:
    """What dataset.json says; a folder without one was not made by make_lmdb.py, or was not finished."""
    path = Path(out) / "dataset.json"
    try:
        summary = json.loads(regular_file(path).read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path}: missing; {out} is no data set that make_lmdb.py finished") from None
    except ValueError:
        raise InputError(f"{path}: not JSON; build the LMDBs again") from None
    for name, kind in NEEDED.items():
        if not (isinstance(summary, dict) and isinstance(summary.get(name), kind)):
            raise InputError(f"{path}: no {name!r}, or none of the right kind; build the LMDBs again")
    return summary
