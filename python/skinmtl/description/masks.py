"""The masks of a data set: each looked at beside its image, its outline for the contact sheets, and all counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import cv2
import numpy as np

from skinmtl.common.counting import counted
from skinmtl.data.manifest import Manifest
from skinmtl.description.sections import Section, Table, listed, percent
from skinmtl.images.masks import ImageError, Mask, mask_fault, nearest, read_mask

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
PERCENTILE_NAMES = ("smallest", "5 %", "25 %", "median", "75 %", "95 %", "largest")
LIGHT, DARK = (60, 255, 120), (20, 20, 20)  # B, G, R: a light line on a dark one is seen on any skin
ROWS = 100  # of masks that cannot be used, on the page
MISSING, UNREADABLE, OTHER_SIZE = "missing", "cannot be read", "of another size than their image"
EMPTY, FULL, SEVERAL, BORDER, GREY = (
    "empty",
    "all white",
    "with several lesions",
    "touching the border",
    "with grey values",
)
REFUSED = (MISSING, UNREADABLE, OTHER_SIZE, EMPTY, FULL)  # by make_lmdb.py, the last two unless a flag allows them
KINDS = (*REFUSED, SEVERAL, BORDER, GREY)


class MaskFacts(NamedTuple):
    """One mask: which of KINDS it is of, in one line why it cannot be used, and the lesion's share of the picture and
    how many lesions there are, None where it cannot be read."""

    kinds: tuple[str, ...] = ()
    problem: str = ""
    share: float | None = None
    n_components: int | None = None


def look_at_mask(path: Path, size: tuple[int, int] | None) -> tuple[MaskFacts, Mask | None]:
    """The facts of a mask and, where it lies on its image of (height, width) `size`, the mask. Never raises.

    None as size: the image cannot be read, and nothing is compared.
    """
    if not path.is_file():
        return MaskFacts((MISSING,), "the file is missing"), None
    try:
        mask = read_mask(path)
    except ImageError as error:
        return MaskFacts((UNREADABLE,), str(error)), None
    other_size = mask_fault(mask, size, allow_empty=True, allow_full=True)
    flags = {
        OTHER_SIZE: bool(other_size),
        EMPTY: mask.is_empty,
        FULL: mask.is_full,
        SEVERAL: mask.n_components > 1,
        BORDER: mask.touches_border,
        GREY: mask.n_values > 2,
    }
    facts = MaskFacts(
        tuple(kind for kind in KINDS if flags.get(kind)), mask_fault(mask, size), mask.share, mask.n_components
    )
    return facts, None if other_size else mask


def outlined(picture: np.ndarray, mask: Mask) -> np.ndarray:
    """The (H, W, 3) BGR picture with the outline of its mask, which may be of another size."""
    height, width = picture.shape[:2]
    pixels = nearest(mask.pixels, height, width).astype(np.uint8)
    outlines = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[-2]  # holes too
    drawn = np.ascontiguousarray(picture)
    for colour, thickness in ((DARK, 3), (LIGHT, 1)):
        cv2.drawContours(drawn, outlines, -1, colour, thickness)
    return drawn


@dataclass(frozen=True)
class MaskSummary:
    """What the masks are together.

    of_kind   each of KINDS -> rows of the manifest
    unmasked  rows that name no mask
    problems  rows whose mask make_lmdb.py refuses
    facts     row -> its mask's facts
    shares    the lesion's share of the picture at PERCENTILES, over masks that are neither empty nor refused otherwise
    """

    of_kind: dict[str, list[int]]
    unmasked: list[int]
    problems: list[int]
    facts: dict[int, MaskFacts]
    shares: list[float]


def summarise_masks(manifest: Manifest, facts: Sequence[MaskFacts | None]) -> MaskSummary | None:
    """None where the manifest has no masks, or where they were not looked at."""
    looked = {n: one for n, one in enumerate(facts) if one is not None}
    if not looked:
        return None
    shares = [one.share for one in looked.values() if not one.problem and one.share]
    return MaskSummary(
        of_kind={kind: [n for n, one in looked.items() if kind in one.kinds] for kind in KINDS},
        unmasked=[n for n, row in enumerate(manifest.rows) if not row.mask],
        problems=[n for n, one in looked.items() if one.problem],
        facts=looked,
        shares=np.percentile(shares, PERCENTILES).tolist() if shares else [],
    )


def masks_json(manifest: Manifest, masks: MaskSummary) -> dict[str, Any]:
    """For description.json: counts, images, and the sizes of the lesions."""
    named = {kind: [manifest.rows[n].image for n in rows] for kind, rows in masks.of_kind.items()}
    return {
        "looked_at": len(masks.facts),
        "images_without": [manifest.rows[n].image for n in masks.unmasked],
        "counts": {kind: len(images) for kind, images in named.items()},
        "images": named,
        "lesions_a_mask": dict(
            sorted(Counter(str(one.n_components) for one in masks.facts.values() if one.share is not None).items())
        ),
        "share_of_the_image": {"of": list(PERCENTILES), "percentiles": masks.shares},
    }


def mask_findings(masks: MaskSummary) -> list[str]:
    """What a person should look at before training, a sentence each."""
    found = []
    if masks.problems:
        kinds = ", ".join(f"{len(rows):,} {kind}" for kind, rows in masks.of_kind.items() if rows and kind in REFUSED)
        found.append(
            f"{counted(len(masks.problems), 'mask')} of {len(masks.facts):,} cannot be used as they are ({kinds}): "
            "make_lmdb.py would refuse them; masks.csv lists them"
        )
    if masks.unmasked:
        images = counted(len(masks.unmasked), "image")
        found.append(f"{images} without a mask: make_lmdb.py leaves such images out with --drop-unmasked")
    found += [
        f"{counted(len(masks.of_kind[kind]), 'mask')} {kind}" for kind in (SEVERAL, BORDER, GREY) if masks.of_kind[kind]
    ]
    return found


def mask_section(manifest: Manifest, masks: MaskSummary) -> Section:
    """Counts, sizes of the lesions, and what cannot be used."""

    def named(rows: list[int]) -> str:
        return listed([manifest.rows[n].image for n in rows], 8)

    n_looked = len(masks.facts)
    kinds = [
        [kind, f"{len(rows):,}", percent(len(rows) / n_looked), named(rows)]
        for kind, rows in [*masks.of_kind.items(), ("images without a mask", masks.unmasked)]
    ]
    tables = [Table("What the masks are", ["what", "masks", "of all", "which"], kinds, frozenset({0, 3}))]
    if masks.shares:
        shares = [["share of the image", *map(percent, masks.shares)]]
        tables.append(Table("Size of the lesions", ["quantity", *PERCENTILE_NAMES], shares))
    if masks.problems:
        rows = [
            [str(manifest.rows[n].line), manifest.rows[n].image, manifest.rows[n].mask, masks.facts[n].problem]
            for n in masks.problems
        ]
        note = f"The first {ROWS} of {len(rows):,}; masks.csv has all." if rows[ROWS:] else ""
        columns = ["line", "image", "mask", "problem"]
        tables.append(Table("Masks that cannot be used", columns, rows[:ROWS], frozenset({1, 2, 3}), note=note))
    notes = [
        f"{counted(n_looked, 'mask')} looked at. A mask is lesion where it is brighter than 128. The contact sheets "
        "show the outlines."
    ]
    return Section("masks", "Masks", notes, tables)
