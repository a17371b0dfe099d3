"""Images whose files are the same byte for byte: under several names, in several folds, with several labels.

Such a file is one photograph, whatever the manifest says of it. Only files of equal size are read.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Iterable, Sequence

from caffe_files.errors import InputError
from skinmtl.common.counting import counted
from skinmtl.common.provenance import sha256
from skinmtl.data.manifest import Manifest

SHOWN = 2  # images of a set in a note


def same_bytes(manifest: Manifest, image_folder: Path) -> list[list[int]]:
    """Sets of two rows or more whose files are the same, in the manifest's order; a file that cannot be read is of
    none."""
    by_size, by_digest = defaultdict(list), defaultdict(list)
    for number, row in enumerate(manifest.rows):
        try:
            by_size[(image_folder / row.image).stat().st_size].append(number)
        except (OSError, ValueError):
            continue
    for size, numbers in by_size.items():
        for number in numbers if len(numbers) > 1 else ():
            try:
                by_digest[size, sha256(image_folder / manifest.rows[number].image)].append(number)
            except (OSError, InputError):
                continue
    return sorted(numbers for numbers in by_digest.values() if len(numbers) > 1)


def notes_on_same_bytes(
    manifest: Manifest, image_folder: Path, folds: Sequence[int] | None = None, of: Iterable[str] | None = None
) -> list[str]:
    """What is to be told of such sets, a line each: those in several of the `folds` (N,), where they are given, and
    those with several labels. Of sets that have one of the images `of` alone, where these are named."""
    wanted = None if of is None else set(of)
    sets = [
        numbers
        for numbers in same_bytes(manifest, image_folder)
        if wanted is None or any(manifest.rows[number].image in wanted for number in numbers)
    ]
    lines = []
    if folds is not None:
        parted = [numbers for numbers in sets if len({int(folds[number]) for number in numbers}) > 1]
        if parted:
            first_of_fold = {int(folds[number]): number for number in reversed(parted[0])}
            names = sorted(parted[0], key=lambda number: number not in first_of_fold.values())
            where = [f"{manifest.rows[number].image} (fold {int(folds[number])})" for number in names]
            lines.append(
                f"{_are(parted, 'is', 'are')} in several folds, so that what is tested on was trained on: "
                f"{_few(where)}; take all but one out, or make_folds.py --near-duplicates 0 --merge-near-duplicates"
            )
    differing = [numbers for numbers in sets if len({_labels(manifest, number) for number in numbers}) > 1]
    if differing:
        where = [f"{manifest.rows[number].image} ({', '.join(_labels(manifest, number))})" for number in differing[0]]
        lines.append(f"{_are(differing, 'has', 'have')} different labels: {_few(where)}; correct the manifest")
    return lines


def _labels(manifest: Manifest, number: int) -> tuple[str, ...]:
    row = manifest.rows[number]
    return (*sorted(row.lesions), *([row.location] if row.location else []))


def _are(sets: list[list[int]], one: str, more: str) -> str:
    return f"{counted(len(sets), 'file')} of several names {one if len(sets) == 1 else more}"


def _few(where: list[str]) -> str:
    more = f" and {len(where) - SHOWN} more" if len(where) > SHOWN else ""
    return f"{', '.join(where[:SHOWN])}{more}"
