"""net.json: what a net was made for and no prototxt says, so that no tool asks for it again."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json
from skinmtl.layers.region_settings import HEADS

NET_FILE = "net.json"
FORMAT = "skinmtl net, version 1"
REMEDY = "run make_prototxt.py again"
KINDS = ("lesion_names", "location_names")


@dataclass(frozen=True)
class NetRecord:
    """What a net was made for. None is what was not known then, or what the net has not.

    short_side     of the resized test images, pixels
    scales         smallest and largest shorter side of the training images, as stored or as drawn for each visit
    mean           (B, G, R)
    names          "lesion_names", "location_names" -> the names in the order of the head's outputs, where known
    features_blob  what retrieval compares: a vector for each crop
    maps_blob      what class activation maps are made of, before the pooling
    trunk          of TRUNKS, or a name for one that was given
    trunk_net      of one that was given: "file", "sha256", and the blob "features" that it was taken up to
    heads          of a mask net: "class", "box", "mask", those that it has; of other nets there are none, and the rest
                   below is as empty
    side           of its square input, pixels, which `crop` is too
    classes        K of its detections: 1 without a class head
    mask_side      of its masks, without a mask head too
    detections     rows that an image has
    long_side      at most, of the images that it is trained on, as stored, where known
    class_names    of its classes, without the background, where known
    """

    crop: int
    short_side: int | None
    scales: tuple[int, int] | None
    mean: tuple[float, float, float]
    names: dict[str, list[str]]
    features_blob: str | None
    maps_blob: str | None
    trunk: str = ""
    heads: tuple[str, ...] = ()
    side: int = 0
    classes: int = 0
    mask_side: int = 0
    detections: int = 0
    long_side: int | None = None
    class_names: list[str] | None = None
    trunk_net: dict[str, str] | None = None

    @property
    def is_mask_net(self) -> bool:
        """Whether it finds boxes or masks."""
        return bool(self.heads)


def read_net_record(folder: Path) -> NetRecord | None:
    """What net.json in a net's folder says; None where there is none, as beside older nets."""
    record = _read(folder / NET_FILE)
    if record is None:
        return None
    return NetRecord(
        crop=record["crop"],
        short_side=record["short_side"],
        scales=record["scales"] and tuple(record["scales"]),
        mean=tuple(map(float, record["mean"])),
        names={kind: record[kind] for kind in KINDS if record.get(kind) is not None},
        features_blob=record["features_blob"],
        maps_blob=record["maps_blob"],
        trunk=record["trunk"],
        heads=tuple(record.get("heads", ())),
        class_names=record.get("class_names"),
        long_side=record.get("long_side"),
        trunk_net=record.get("trunk_net"),
        **{name: record[name] for name in ("side", "classes", "mask_side", "detections") if "heads" in record},
    )


def differs(made: str, path: Path) -> bool:
    """Whether net.json at `path` is not as `made`, which may know less of the data: that must only fit the outputs."""
    try:
        there = _read(path)
    except InputError:
        return True
    if there is None:
        return True
    wanted = json.loads(made)
    of_data = ("short_side", "long_side", "scales", "class_names", *KINDS)
    if any(there.get(name) != value for name, value in wanted.items() if value is not None or name not in of_data):
        return True
    return bool(set(there) - set(wanted))


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    record = read_json(path, REMEDY)
    if record.get("format") != FORMAT:
        raise InputError(f"{path}: not the record of a {FORMAT}; {REMEDY}")
    wanted = {**_SOUND, **(_OF_MASKS if "heads" in record else {})}
    if "long_side" in record:  # older nets have none
        wanted["long_side"] = lambda value: value is None or _side(value)
    if "trunk_net" in record:
        wanted["trunk_net"] = _given
    fault = next((name for name, sound in wanted.items() if name not in record or not sound(record[name])), None)
    if fault is None:
        counts = {kind: record["outputs"].get(kind[:-6]) for kind in KINDS}
        counts["class_names"] = record.get("classes")
        fault = next((kind for kind, count in counts.items() if not _fits(record.get(kind), count)), None)
    if fault is not None:
        raise InputError(f"{path}: no {fault!r}, or none of the right kind; {REMEDY}")
    return record


def _side(value: Any) -> bool:
    return type(value) is int and value > 0  # True is no number of pixels


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _heads(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and set(map(str, value)) <= set(HEADS)


def _blob(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _given(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("file", "sha256", "features"))


def _fits(names: Any, outputs: int | None) -> bool:
    if names is None:
        return True
    return isinstance(names, list) and len(names) == outputs and all(isinstance(name, str) for name in names)


_SOUND = {
    "model": lambda value: isinstance(value, str),
    "trunk": lambda value: isinstance(value, str),
    "crop": _side,
    "short_side": lambda value: value is None or _side(value),
    "scales": lambda value: value is None or (isinstance(value, list) and list(map(_side, value)) == [True] * 2),
    "mean": lambda value: isinstance(value, list) and list(map(_number, value)) == [True] * 3,
    "outputs": lambda value: isinstance(value, dict) and set(value) <= {"lesion", "location"},
    "features_blob": _blob,
    "maps_blob": _blob,
    "made_by": lambda value: isinstance(value, str),
}
_OF_MASKS = {"heads": _heads, "side": _side, "classes": _side, "mask_side": _side, "detections": _side}
