"""The columns of a manifest beside image and lesions: which may be absent, what stands in them, misspelt headers."""

from __future__ import annotations

import difflib
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Callable, Iterator, Sequence

from caffe_files.errors import InputError
from skinmtl.data.group_column import GROUP
from skinmtl.data.names import CONTROL, TURNING

LOCATION, MASK, SPLIT = "location", "mask", "split"
NEEDED = ("image", "lesions")
KNOWN_COLUMNS = (*NEEDED, LOCATION, GROUP, MASK, SPLIT)
SPLITS = ("train", "validation", "test")
# what a column of masks is called elsewhere, in letters and digits alone; "segmentation" may be many things
USUAL = {
    LOCATION: frozenset(),
    MASK: frozenset(
        ["maskfile", "maskfilename", "maskname", "maskpath", "maskimage", "lesionmask", "segmentationmask"]
    ),
    SPLIT: frozenset(["datasplit", "officialsplit", "traintestsplit"]),
}
NEAR = 0.8  # difflib's ratio, as for the groups: "masks" and "spilt" are near, "task" is not


def check_optional(path: Path) -> Callable[[Sequence[str]], None]:
    """For `read_csv`: InputError, a line each, where a column that may be absent is there under a near name."""

    def check(header: Sequence[str]) -> None:
        faults = []
        for name, usual in USUAL.items():
            near = [each for each in header if each not in KNOWN_COLUMNS and _is_near(each, name, usual)]
            if near and name not in header:
                faults.append(
                    f"{path}:1: no column {name!r}, but {near[0]!r}; rename it to {name!r} if it is that one, else "
                    "otherwise"
                )
        if faults:
            raise InputError("\n".join(faults))

    return check


def _is_near(other: str, name: str, usual: frozenset[str]) -> bool:
    letters = re.sub(r"[\W_]", "", other).lower()
    return letters in usual or difflib.SequenceMatcher(None, letters, name).ratio() >= NEAR


def image_name_fault(image: str, what: str = "image") -> str:
    """Why a file's name cannot stand in a manifest and what to do, or "" where it can."""
    if not image:
        return f"no {what} name; give its path below the image folder"
    if CONTROL.search(image):
        return f"a line break or control character in {what} {image!r}; rename it"
    if TURNING.search(image):
        return f"a character that changes the direction of writing in {what} {image!r}; rename it"
    if image.startswith("/") or (any(mark in image for mark in ":\\") and PureWindowsPath(image).is_absolute()):
        return f"{what} {image!r} is an absolute path; give it relative to the image folder"
    if ".." in image and ".." in PurePosixPath(image).parts:
        return f"{what} {image!r} leaves the image folder ('..'); give a path inside it"
    return ""


def cell_faults(mask: str, split: str) -> Iterator[str]:
    """What is wrong with a row's mask and split; "" is neither's fault: the image has none."""
    fault = image_name_fault(mask, MASK) if mask else ""
    if fault:
        yield fault
    if split and split not in SPLITS:
        yield f"split {split!r} is none of {', '.join(SPLITS)}; correct it, or leave it empty"
