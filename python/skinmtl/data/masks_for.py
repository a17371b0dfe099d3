"""Whether a manifest is one for a net that tells one lesion's class, box and mask, and what of it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from caffe_files.errors import InputError
from skinmtl.common.counting import counted
from skinmtl.data.manifest import Manifest, Row


def for_masks(manifest: Manifest, drop_unmasked: bool = False) -> tuple[Manifest, int]:
    """The manifest's images that have masks, and how many have none and were dropped.

    InputError where some have none and `drop_unmasked` does not allow that, and where an image has several lesion
    names: a mask has one class.
    """
    without = [row for row in manifest.rows if not row.mask]
    if without and not drop_unmasked:
        raise InputError(
            f"{manifest.path}: {_some(without, manifest)} no mask; give {'them' if len(without) > 1 else 'it'} one, or "
            "leave such images out: --drop-unmasked"
        )
    rows = tuple(row for row in manifest.rows if row.mask)
    several = [row for row in rows if len(row.lesions) > 1]
    if several:
        raise InputError(
            f"{manifest.path}: {_some(several, manifest)} several lesion names, and a mask has one; name the one that "
            "the mask shows"
        )
    if not rows:
        raise InputError(f"{manifest.path}: no image that is asked for has a mask; fill the column 'mask'")
    return replace(manifest, rows=rows), len(without)


def check_classes(manifest: Manifest) -> None:
    """InputError where no image to train on has one of the classes: the net's output for it would never be right."""
    counts = manifest.lesion_labels().sum(axis=0)
    unseen = [name for name, count in zip(manifest.lesion_names, counts) if not count]
    if unseen:
        more = f" or any of {len(unseen) - 1} more" if unseen[1:] else ""
        raise InputError(
            f"{manifest.path}: no image to train on has the lesion {unseen[0]!r}{more}; take it out of lesions.txt, or "
            "deal other folds"
        )


def _some(rows: Sequence[Row], manifest: Manifest) -> str:
    """Such as `2 of 9 images, such as 'a.jpg' (line 4), have`."""
    of = f"{len(rows)} of {counted(len(manifest.rows), 'image')}"
    first = f"{rows[0].image!r} (line {rows[0].line})"
    return f"{of}, such as {first}, have" if len(rows) > 1 else f"{of}, {first}, has"
