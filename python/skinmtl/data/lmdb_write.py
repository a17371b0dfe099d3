"""Writes the LMDBs that Caffe's Data layers read in step: images, lesion and location labels, and masks."""

from __future__ import annotations

import csv
import os
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from caffe_files.outputs import new_folder
from caffe_files.schema import caffe_messages
from skinmtl.common.json_file import write_json
from skinmtl.common.parallel import ordered_map
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.bad_images import check_images_exist, check_masks_exist, refuse_bad_files
from skinmtl.data.dataset import IMAGES, LESIONS, LOCATIONS, MASKS, lmdb_names
from skinmtl.data.lmdb_file import new_lmdb, write_lmdb
from skinmtl.data.manifest import Manifest, Row
from skinmtl.data.repeats import Balance
from skinmtl.data.stored_image import JPEG_QUALITY, Stored
from skinmtl.data.stored_mask import KINDS, MaskRules, StoredMask, Task, image_and_mask
from skinmtl.images.jpeg_decoder import name_of_decoder
from skinmtl.images.resizing import RESIZING
from skinmtl.images.told import Told


@dataclass(frozen=True)
class Sizes:
    """How large images are stored: shorter side `smallest`, or for each of `copies` drawn from [smallest, largest]; or,
    where `longest` is not 0, as they are, but with a longer side of `longest` where theirs is longer still."""

    smallest: int
    largest: int
    copies: int
    longest: int = 0


def at_most(longest: int) -> Sizes:
    """Each image once, as it is, but with a longer side of `longest` where its own is longer still."""
    return Sizes(0, 0, 1, longest)


class Record(NamedTuple):
    """One record to make: the image's row in the manifest, which copy of it, and the shorter side to store, or 0."""

    row: int
    copy: int
    short_side: int


class Seen:
    """What the images were: `upscaled` those that had to be enlarged, `n_passed` records with the file's own JPEG data,
    `converted` how many records were converted from which colour profile, `told` what a person should know, `files` the
    size (bytes) and the digest of each file by its row of the manifest; `sides` the shorter side of each record in
    order; `masks` kind -> the images whose masks are of it."""

    def __init__(self) -> None:
        self.upscaled: set[str] = set()
        self.n_passed = 0
        self.converted: Counter[str] = Counter()
        self.told = Told()
        self.files: dict[int, tuple[int, str]] = {}
        self.sides: list[int] = []
        self.masks: dict[str, set[str]] = {kind: set() for kind in KINDS}

    def add(self, image: str, record: Record, stored: Stored, mask: StoredMask) -> None:
        if not stored.problem and stored.had_short_side < record.short_side:
            self.upscaled.add(image)
        self.n_passed += stored.is_passed
        self.files[record.row] = (stored.size, stored.contents)
        self.converted.update([stored.converted] if stored.converted else [])
        self.told.add(image, (*stored.told, *mask.told))
        self.sides.append(record.short_side or min(stored.stored_size))
        for kind in mask.kinds:
            self.masks[kind].add(image)


def write_lmdbs(
    manifest: Manifest,
    image_folder: Path,
    out: Path,
    sizes: Sizes,
    seed: int,
    workers: int,
    arguments: dict[str, Any],
    masks: MaskRules | None = None,
    balance: Balance | None = None,
) -> dict[str, Any]:
    """Makes `out` with the LMDBs, records.csv and dataset.json, and returns what dataset.json holds.

    Keys are the same %08d in all of them, in one order shuffled by `seed`. An image is a JPEG Datum (encoded, BGR when
    decoded, 3 channels): see `image_datum`. Lesions are `float_data` 0/1 with channels=P, the location is one
    `float_data`; there is no location_lmdb where the manifest has no locations. With `masks` there is mask_lmdb too: a
    PNG Datum (encoded, 1 channel, 0 or 255) of the stored image's size; every image must have a mask then
    (`masks_for.for_masks`). With `balance` images of rare lesions are in more records than others. The
    result does not depend on `workers`. InputError lists every file that cannot be used; nothing is written then.
    """
    image_folder = Path(image_folder)
    check_images_exist(manifest, image_folder)
    if masks is not None:
        check_masks_exist(manifest, masks.folder)
    names = lmdb_names(bool(manifest.location_names), masks is not None)
    with new_folder(out) as folder:
        repeats = np.ones(len(manifest.rows), int) if balance is None else balance.repeats(manifest)
        records = _plan(repeats, sizes, seed)
        seen, of_files = _write_files(folder, manifest, image_folder, masks, sizes, records, workers)
        of_labels = _write_labels(folder, manifest, records)
        _write_records(folder, manifest, records, seen)
        digests = {**of_files, **of_labels}
        summary = {
            **_summary(manifest, sizes, seen),
            "upscaled": sorted(seen.upscaled),
            "passed_through": seen.n_passed,
            "converted_to_srgb": dict(sorted(seen.converted.items())),
            "told": seen.told.images(),
            "manifest": _seen_from(out, manifest.path),
            "manifest_sha256": sha256(manifest.path),
            "images": _seen_from(out, image_folder),
            **_of_masks(out, masks, seen),
            **({} if balance is None else {"balance": balance.record(manifest, repeats)}),
            "lmdbs": {name: digests[name] for name in names},
            "records_sha256": sha256(folder / "records.csv"),
            "jpeg_decoder": name_of_decoder(),
            "jpeg_quality": JPEG_QUALITY,
            "resizing": RESIZING,
            **made_by(arguments),
        }
        write_json(folder / "dataset.json", summary)
        return summary


def _of_masks(out: Path, masks: MaskRules | None, seen: Seen) -> dict[str, Any]:
    """What dataset.json says of the masks; nothing where none are stored."""
    if masks is None:
        return {}
    kinds = {kind: sorted(images) for kind, images in seen.masks.items()}
    return {"masks": {"folder": _seen_from(out, masks.folder), "components": masks.components, **kinds}}


def _plan(repeats: np.ndarray, sizes: Sizes, seed: int) -> list[Record]:
    """The records of images that are repeated (N,) times, each with its copies."""
    random = np.random.RandomState(seed)
    counts = repeats * sizes.copies
    rows, first = np.repeat(np.arange(len(counts)), counts), np.cumsum(counts) - counts
    order = random.permutation(len(rows))
    sides = random.randint(sizes.smallest, sizes.largest + 1, len(order))
    return [Record(int(rows[at]), int(at - first[rows[at]]), int(side)) for at, side in zip(order, sides)]


def _write_files(
    folder: Path,
    manifest: Manifest,
    image_folder: Path,
    masks: MaskRules | None,
    sizes: Sizes,
    records: list[Record],
    workers: int,
) -> tuple[Seen, dict[str, Any]]:
    """Images and masks. Returns what was seen of them, and each LMDB's digest.

    After a first bad file only the bad ones are still gathered.
    """
    rows = manifest.rows
    tasks = (_task(rows[record.row], image_folder, masks, sizes, record) for record in records)
    faults: dict[int, str] = {}
    seen = Seen()
    with ExitStack() as stack:
        results = stack.enter_context(closing(ordered_map(image_and_mask, tasks, workers)))  # its workers end here
        names = (IMAGES, MASKS)[: 2 if masks is not None else 1]
        writers = [stack.enter_context(new_lmdb(folder / name, len(records))) for name in names]
        for (image, mask), record in zip(tqdm(results, "images", len(records), unit="image", disable=None), records):
            row = rows[record.row]
            if image.problem:
                faults[record.row] = f"image {image_folder / row.image}: {image.problem}"
            elif masks is not None and mask.problem:
                faults[record.row] = f"mask {masks.folder / row.mask}: {mask.problem}"
            seen.add(row.image, record, image, mask)
            if not faults:
                for writer, datum in zip(writers, (image.datum, mask.datum)):
                    writer.add(datum)
    refuse_bad_files(manifest, faults)
    return seen, {name: writer.made for name, writer in zip(names, writers)}


def _task(row: Row, image_folder: Path, masks: MaskRules | None, sizes: Sizes, record: Record) -> Task:
    mask = masks.folder / row.mask if masks is not None else None
    return Task(image_folder / row.image, record.short_side, sizes.longest, mask, masks)


def _write_labels(folder: Path, manifest: Manifest, records: list[Record]) -> dict[str, Any]:
    """Returns the digest of each LMDB."""
    rows = [record.row for record in records]
    labels = {LESIONS: manifest.lesion_labels()[rows]}
    if manifest.location_names:
        labels[LOCATIONS] = manifest.location_labels()[rows, np.newaxis]
    return {name: write_lmdb(folder / name, map(_label_datum, values), len(records)) for name, values in labels.items()}


def _label_datum(values: np.ndarray) -> bytes:
    datum = caffe_messages().Datum(channels=len(values), height=1, width=1, float_data=values.astype(float).tolist())
    return datum.SerializeToString()


def _write_records(folder: Path, manifest: Manifest, records: list[Record], seen: Seen) -> None:
    """records.csv: which image stands under which key, of which group it is, and of what file it was made."""
    with open(str(folder / "records.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["key", "image", "copy", "short_side", "bytes", "contents", "group"])
        for number, (record, side) in enumerate(zip(records, seen.sides)):
            row = manifest.rows[record.row]
            group = "" if row.group == row.image else row.group
            writer.writerow([f"{number:08d}", row.image, record.copy, side, *seen.files[record.row], group])


def _summary(manifest: Manifest, sizes: Sizes, seen: Seen) -> dict[str, Any]:
    at_location: list[int] = []
    if manifest.location_names:
        at_location = np.bincount(manifest.location_labels(), minlength=len(manifest.location_names)).tolist()
    of_size: dict[str, Any] = {"short_side": [sizes.smallest, sizes.largest]}
    if sizes.longest:
        of_size = {"long_side": sizes.longest, "short_side": [min(seen.sides), max(seen.sides)]}
    return {
        "n_images": len(manifest.rows),
        "n_groups": len({row.group for row in manifest.rows}),
        "n_records": len(seen.sides),
        "copies": sizes.copies,
        **of_size,
        "lesion_names": manifest.lesion_names,
        "location_names": manifest.location_names,
        "images_per_lesion": manifest.lesion_labels().sum(axis=0).tolist(),
        "images_per_location": at_location,
    }


def _seen_from(out: Path, path: Path) -> str:
    """`path` relative to `out`: right from every working folder, and still right where both are moved together."""
    return os.path.relpath(os.path.realpath(str(path)), os.path.realpath(str(out)))
