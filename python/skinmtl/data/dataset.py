"""The folder that make_lmdb.py makes: what is in it, and what its dataset.json says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json
from skinmtl.data.names import spelled

IMAGES, LESIONS, LOCATIONS, MASKS = "image_lmdb", "lesion_lmdb", "location_lmdb", "mask_lmdb"
LMDB_NAMES = (IMAGES, LESIONS, LOCATIONS)  # of a data set with locations and without masks
REMEDY = "build the LMDBs again"
# what is said of each LMDB: lmdb_digest.py
OF_LMDB = {"records": int, "sha256": str, "sample_sha256": str, "bytes": int, "pages": int, "last_transaction": int}


def lmdb_names(has_locations: bool, has_masks: bool) -> tuple[str, ...]:
    """Those of a data set."""
    return (IMAGES, LESIONS, *([LOCATIONS] if has_locations else []), *([MASKS] if has_masks else []))


def lmdbs_of(summary: dict[str, Any]) -> tuple[str, ...]:
    """Those that a data set has, by its dataset.json."""
    return lmdb_names(bool(summary["location_names"]), "masks" in summary)


def read_summary(out: Path) -> dict[str, Any]:
    """What dataset.json says; a folder without one was not made by make_lmdb.py, or was not finished."""
    path = Path(out) / "dataset.json"
    if not path.exists():
        raise InputError(f"{path}: missing; {out} is no data set that make_lmdb.py finished")
    summary = read_json(path, REMEDY)
    for name, is_sound in _SOUND.items():
        if not is_sound(summary.get(name)):
            raise InputError(f"{path}: no {name!r}, or none of the right kind; {REMEDY}")
    for name, is_sound in _NEWER.items():
        if name in summary and not is_sound(summary[name]):
            raise InputError(f"{path}: {name!r} is of another kind; {REMEDY}")
    if not set(lmdbs_of(summary)) <= set(summary.get("lmdbs", lmdbs_of(summary))):
        raise InputError(f"{path}: 'lmdbs' is of another kind; {REMEDY}")
    for kind in ("lesion_names", "location_names"):
        summary[kind] = list(map(spelled, summary[kind]))
    return summary


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0  # True is no number


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _sides(value: Any) -> bool:
    return isinstance(value, list) and list(map(_count, value)) == [True] * 2


def _digests(value: Any) -> bool:
    """Each as OF_LMDB; `read_summary` looks whether all are there."""
    return isinstance(value, dict) and all(
        isinstance(of_one, dict) and all(type(of_one.get(name)) is kind for name, kind in OF_LMDB.items())
        for of_one in value.values()
    )


def _masks(value: Any) -> bool:
    return isinstance(value, dict) and _text(value.get("folder")) and _text(value.get("components"))


def _balance(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("threshold")) in (int, float)
        and 0 < value["threshold"] <= 1
        and _count(value.get("seed"))
    )


_SOUND = {
    "n_images": _count,
    "n_records": _count,
    "copies": _count,
    "short_side": _sides,
    "lesion_names": _names,
    "location_names": _names,
    "manifest": _text,
    "images": _text,
}
_NEWER = {
    "n_groups": _count,
    "lmdbs": _digests,
    "records_sha256": _text,
    "long_side": _count,
    "masks": _masks,
    "balance": _balance,
}  # not in those of older versions
