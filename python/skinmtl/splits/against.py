"""Images that stand in two sets: known again by their id, by their files' bytes, or as near-duplicates.

An id is the name of the image's file without folder and ending, in any case; of a name that holds an ISIC id, such as
`ISIC_0000003_downsampled.jpg`, it is that. A number alone (`00017.jpg`), and a name that several images of one set have
(`front.jpg`, in a folder a case), are no ids: they are counted and not compared.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Iterable, Mapping, NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.data.bad_images import check_images_exist
from skinmtl.data.manifest import Manifest, Row
from skinmtl.data.near_images import folded
from skinmtl.data.trained_on import digest
from skinmtl.images import formats
from skinmtl.splits.near_duplicates import Found, Hashes, Search, find_pairs, hash_images

ISIC = re.compile(r"isic_?([0-9]{7})(?![0-9])")
ID, BYTES, NEAR = "same id", "same bytes", "near-duplicate"
WAYS = (ID, BYTES, NEAR)


class Meeting(NamedTuple):
    """Row `a` of the set and row `b` of the other: in which of WAYS they are one; a near-duplicate's distance in bits
    and correlation, else None."""

    a: int
    b: int
    ways: tuple[str, ...]
    distance: int | None = None
    correlation: float | None = None


@dataclass(frozen=True)
class Shared:
    """What two sets share.

    meetings  in the order of the set's rows, then of the other's
    no_ids    how many images of both sets have a name that is no id; None: names are not compared
    near      what was found of near-duplicates, of the rows of both sets, one after the other; None: not sought
    """

    meetings: tuple[Meeting, ...]
    no_ids: int | None
    near: Found | None

    def rows(self, way: str | None = None) -> list[int]:
        """The set's rows that stand in the other too (in this way), ascending."""
        return sorted({each.a for each in self.meetings if way is None or way in each.ways})


def image_id(image: str) -> str:
    """The id in a manifest's name of an image, in lower case.

    >>> image_id("train/ISIC_0000003_downsampled.JPG"), image_id("case 7/Photo-2.png")
    ('isic_0000003', 'photo-2')
    """
    path = PurePosixPath(folded(image))
    name = path.stem if formats.has_image_ending(path.name) else path.name
    known = ISIC.search(name)
    return f"isic_{known.group(1)}" if known else name


def shared(
    manifest: Manifest,
    other: Manifest,
    images: Path | None = None,
    other_images: Path | None = None,
    names: bool = True,
    search: Search | None = None,
) -> Shared:
    """Compares the images of two manifests.

    images, other_images  where they are, to compare bytes; None: names alone are compared
    names                 whether an equal id makes two images one
    search                how near-duplicates are sought (its `images` are the set's); None: they are not
    InputError with a line for each image that is missing or, where near-duplicates are sought, cannot be read.
    """
    ways: dict[tuple[int, int], list[str]] = defaultdict(list)
    no_ids = None
    if names:
        first, others = _ids(manifest.rows), _ids(other.rows)
        no_ids = len(manifest.rows) + len(other.rows) - len(first) - len(others)
        for name in first.keys() & others.keys():
            ways[first[name], others[name]].append(ID)
    if images is not None and other_images is not None:
        check_images_exist(manifest, images)
        check_images_exist(other, other_images)
        for pair in _same_bytes(_paths(manifest, images), _paths(other, other_images)):
            ways[pair].append(BYTES)
    near, apart = None, {}
    if search is not None and other_images is not None:
        near = _near(manifest, other, other_images, search)
        for pair in near.pairs:
            a, b = sorted((pair.a, pair.b))
            key = a, b - len(manifest.rows)
            ways[key].append(NEAR)
            apart[key] = pair.distance, pair.correlation
    meetings = (Meeting(a, b, tuple(found), *apart.get((a, b), (None, None))) for (a, b), found in sorted(ways.items()))
    return Shared(tuple(meetings), no_ids, near)


def without(manifest: Manifest, rows: Iterable[int]) -> Manifest:
    """The manifest without these rows. A label that no image has any more is no label of it. InputError where nothing
    is left."""
    leave_out = set(rows)
    kept = tuple(row for n, row in enumerate(manifest.rows) if n not in leave_out)
    if not kept:
        raise InputError(f"{manifest.path}: every image stands in the other set too, so that none would be left")
    lesions, locations = {name for row in kept for name in row.lesions}, {row.location for row in kept}
    return replace(
        manifest,
        rows=kept,
        lesion_names=tuple(name for name in manifest.lesion_names if name in lesions),
        location_names=tuple(name for name in manifest.location_names if name in locations),
    )


def _ids(rows: Sequence[Row]) -> Mapping[str, int]:
    """Id -> row, without names that are none."""
    found: dict[str, list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        found[image_id(row.image)].append(n)
    return {name: of[0] for name, of in found.items() if len(of) == 1 and not name.isdigit()}


def _paths(manifest: Manifest, images: Path) -> list[Path]:
    return [images / row.image for row in manifest.rows]


def _same_bytes(first: Sequence[Path], others: Sequence[Path]) -> list[tuple[int, int]]:
    """Pairs of files with the same bytes. Only files whose size both sets have are read."""
    of_size = [defaultdict(list), defaultdict(list)]  # size -> rows, of each set
    for sizes, paths in zip(of_size, (first, others)):
        for n, path in enumerate(paths):
            sizes[path.stat().st_size].append(n)
    pairs = []
    for size in of_size[0].keys() & of_size[1].keys():
        contents: dict[str, list[int]] = defaultdict(list)
        for n in of_size[1][size]:
            contents[digest(others[n].read_bytes())].append(n)
        for n in of_size[0][size]:
            pairs += [(n, same) for same in contents.get(digest(first[n].read_bytes()), ())]
    return pairs


def _near(manifest: Manifest, other: Manifest, other_images: Path, search: Search) -> Found:
    """Near-duplicates across the two sets; rows of the other come after the set's."""
    both = replace(manifest, rows=manifest.rows + other.rows)
    of_set = hash_images(manifest, search.images, search.workers)
    of_other = hash_images(other, other_images, search.workers)
    hashes = Hashes(*(np.concatenate(pair) for pair in zip(of_set, of_other)))
    return find_pairs(both, ["set"] * len(manifest.rows) + ["other"] * len(other.rows), hashes, search)
