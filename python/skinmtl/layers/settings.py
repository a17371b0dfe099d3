"""What a JitteredImageData layer is told: the JSON text in its `param_str`."""

from __future__ import annotations

import difflib
import json
import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from caffe_files.errors import InputError

REMEDY = "correct the param_str, or make the net with make_prototxt.py --online-jitter"

# in the text of a net, where a string's quotes may be escaped
PACE = re.compile(r',\s*\\?"(?:workers|prefetch)\\?"\s*:\s*\w+|\\?"(?:workers|prefetch)\\?"\s*:\s*\w+\s*,\s*')
MOST = {"workers": 256, "prefetch": 100}  # our choice: far above use, far below what would take a machine down


@dataclass(frozen=True)
class JitterSettings:
    """source      the image LMDB, as Caffe sees it
    batch_size  images a forward pass
    crop        side of the square crop, in pixels
    scales      the smallest and the largest shorter side that an image is resized to, in pixels
    mean        (B, G, R) that is subtracted
    seed        of all that is drawn
    start       the visit that the first image is; record `start` mod n of the LMDB
    workers     processes that prepare images; 0: none, each batch is prepared when it is asked for; None: one a core
    prefetch    batches that are prepared ahead (our choice: as many as Caffe's Data layer)
    """

    source: str
    batch_size: int
    crop: int
    scales: tuple[int, int]
    mean: tuple[float, float, float]
    seed: int
    start: int = 0
    workers: int | None = None
    prefetch: int = 4


def read_settings(text: str, where: str) -> JitterSettings:
    """The settings in a param_str. InputError names `where` and the field that is missing, unknown or wrong."""
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: param_str is not JSON ({error}); {REMEDY}") from None
    if not isinstance(given, dict):
        raise InputError(f"{where}: param_str is not a JSON object {{...}}; {REMEDY}")
    names = [field.name for field in fields(JitterSettings)]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            meant = f", did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
            raise InputError(f"{where}: param_str has an unknown field {name!r}{meant}")
    for name in names[: names.index("start")]:
        if name not in given:
            raise InputError(f"{where}: param_str has no {name!r}; {REMEDY}")
    for name, value in given.items():
        wanted = _wanted(name, value)
        if wanted:
            raise InputError(f"{where}: {name} in param_str is {json.dumps(value)}; give {wanted}")
    for name in ("scales", "mean"):
        given[name] = tuple(given[name])
    settings = JitterSettings(**given)
    if settings.crop > settings.scales[0]:
        raise InputError(
            f"{where}: no crop of {settings.crop} in an image of {settings.scales[0]} pixels, the smallest of scales; "
            "give a smaller crop or larger scales"
        )
    return settings


def settings_text(settings: JitterSettings) -> str:
    """The param_str of settings: only what is needed and what is not the default."""
    defaults = {field.name: field.default for field in fields(JitterSettings)}
    return json.dumps(
        {name: value for name, value in asdict(settings).items() if value != defaults[name]}, ensure_ascii=False
    )


def without_pace(net: str) -> str:
    """The text of a net without its layers' workers and prefetch: what they prepare does not depend on them."""
    return PACE.sub("", net)


def _wanted(name: str, value: Any) -> str:
    """What a field should be, in words; nothing where it is."""
    if name == "source":
        return "" if isinstance(value, str) and value else "the path of an image LMDB"
    if name == "scales":
        fits = _numbers(value, 2, int) and 1 <= value[0] <= value[1]
        return "" if fits else "two whole numbers, such as [256, 480]"
    if name == "mean":
        return "" if _numbers(value, 3, (int, float)) else "three numbers: B, G, R"
    if name == "workers" and value is None:
        return ""
    smallest = 0 if name in ("seed", "start", "workers") else 1
    largest = MOST.get(name, 2**63 - 1)
    fits = _numbers([value], 1, int) and smallest <= value <= largest
    return "" if fits else f"a whole number from {smallest}" + (f" to {largest}" if name in MOST else "")


def _numbers(value: Any, count: int, kind: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(one, kind) and not isinstance(one, bool) and math.isfinite(one) for one in value)
    )
