"""Where the weights that a training starts from are from: their sha256, what lies beside them, and their licence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json
from skinmtl.common.provenance import sha256
from skinmtl.pretrained.converting import record_path

ARGS = "args.json"
FIELDS = ("file", "sha256", "origin", "licence")


def origin_of(caffemodel: Path, licence: str | None) -> list[dict[str, Any]]:
    """FIELDS of a caffemodel: "origin" as fetch_weights.py or convert_weights.py wrote it beside, None where unknown.

    `licence` is the user's word, else that of the record. A caffemodel of a run of ours has its run's starting weights
    behind it, whose licences may hold for it too.
    """
    try:
        digest = sha256(caffemodel)
    except OSError as error:
        raise InputError(f"{caffemodel}: cannot be read ({error.strerror}); check the path") from None
    beside = _record(record_path(caffemodel))
    if beside.get("sha256") != digest:  # of another file
        beside = {}
    origin = None
    if isinstance(beside.get("page"), str):
        origin = f"{beside.get('name')}, {beside['page']}"
    elif isinstance(beside.get("checkpoint"), str):
        origin = f"{beside['checkpoint']}, sha256 {beside.get('checkpoint_sha256')}, by convert_weights.py"
    said = beside.get("licence")
    found = {
        "file": caffemodel.name,
        "sha256": digest,
        "origin": origin,
        "licence": licence or (said if isinstance(said, str) else None),
    }
    return [found, *earlier(caffemodel.resolve().parent)]


def earlier(run: Path) -> list[dict[str, Any]]:
    """What a run folder, or the folder above its snapshots, says of the weights that it started from."""
    for folder in (run, run.parent):
        listed = _record(folder / ARGS).get("weights")
        if isinstance(listed, list):
            return [one for one in listed if is_origin(one)]
    return []


def is_origin(value: Any) -> bool:
    """Whether a record has FIELDS, as text or unknown."""
    return isinstance(value, dict) and all(isinstance(value.get(name), (str, type(None))) for name in FIELDS)


def _record(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, "") if path.is_file() else {}
    except InputError:
        return {}
