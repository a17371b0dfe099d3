"""Proves that the LMDBs of a data set belong together and say what the manifest says."""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator

import lmdb
import numpy as np
from google.protobuf.message import DecodeError, Message
from tqdm import tqdm

from caffe_files.errors import InputError
from caffe_files.lmdb_open import open_lmdb
from caffe_files.schema import caffe_messages
from skinmtl.common.provenance import sha256
from skinmtl.data.dataset import IMAGES, LESIONS, LOCATIONS, MASKS, lmdbs_of, read_summary
from skinmtl.data.group_column import NO_GROUPS
from skinmtl.data.lmdb_digest import RecordsDigest, another
from skinmtl.data.manifest import Manifest, Row, read_manifest
from skinmtl.data.mask_check import check_mask, compare_mask
from skinmtl.data.near_images import hint, near_image
from skinmtl.data.repeats import balance_of
from skinmtl.data.table import read_csv
from skinmtl.images import image_file

# The stored JPEG differs from its source by 1 to 3 grey levels on average, two photographs by tens.
LARGEST_MEAN_DIFFERENCE = 8.0
USUAL_CROP = 224  # of the nets for lesions and locations


@dataclass(frozen=True)
class Checked:
    """What was checked: records, images, how many records were compared with their source files, and whether all were
    held against the digests in dataset.json, which older ones lack; and whether there are masks."""

    n_records: int
    n_images: int
    n_compared: int
    has_digests: bool
    has_masks: bool = False


def check_lmdbs(
    out: Path,
    crop: int | None,
    manifest_path: Path | None,
    image_folder: Path | None,
    compare: int,
    mask_folder: Path | None = None,
) -> Checked:
    """Raises InputError at the first record that is wrong.

    Checked: all have equal keys, as many as dataset.json says; every image decodes to three channels and is at least
    `crop` a side (None: USUAL_CROP, or 1 where there are masks, whose nets do not crop); lesion vectors are 0/1 of
    length P, locations below Q, both equal to the manifest's; masks are 0/255 of their image's size; every image has
    its number of copies, times how often --balance repeats it; all records are those that were written, by the digests
    in dataset.json. `compare` records, evenly spread, are held against their source files. Manifest and folders are
    where dataset.json says, unless given.
    """
    out = Path(out)
    summary = read_summary(out)
    manifest = read_manifest(manifest_path or _recorded(out, summary, "manifest"), NO_GROUPS)
    _check_names(out, summary, manifest)
    rows = {row.image: row for row in manifest.rows}
    listed = [record for _, record in read_csv(out / "records.csv", ("key", "image", "copy", "short_side"))]
    if len(listed) != summary["n_records"]:
        raise InputError(f"{out / 'records.csv'}: {len(listed)} records, dataset.json says {summary['n_records']}")
    names, masks = lmdbs_of(summary), summary.get("masks")
    if crop is None:
        crop = 1 if masks else USUAL_CROP
    sources = (image_folder or _recorded(out, summary, "images")) if compare else None
    mask_sources = (mask_folder or _recorded(out, {"masks": masks["folder"]}, "masks")) if compare and masks else None
    compared = set(np.linspace(0, len(listed) - 1, min(compare, len(listed))).astype(int).tolist())
    digests = {name: RecordsDigest() for name in names}
    for number, (record, datums) in enumerate(zip(listed, _aligned_datums(out, listed, digests))):
        where = f"{out}: record {record['key']}"
        if record["image"] not in rows:
            near = hint(near_image(record["image"], rows))
            raise InputError(f"{where}: {record['image']!r} is not in {manifest.path}{near}; build from this manifest")
        row = rows[record["image"]]
        pixels = _check_image(where, datums[IMAGES], crop)
        _check_lesions(where, datums[LESIONS], row, manifest)
        if LOCATIONS in datums:
            _check_location(where, datums[LOCATIONS], row, manifest)
        mask = check_mask(where, datums[MASKS], pixels) if MASKS in datums else None
        if number in compared:
            if not re.fullmatch("[1-9][0-9]{0,5}", record["short_side"]):
                raise InputError(f"{out / 'records.csv'}: short_side {record['short_side']!r}; build the LMDBs again")
            _compare(where, pixels, sources / row.image, int(record["short_side"]), summary.get("long_side", 0))
            if mask is not None:
                compare_mask(where, mask, mask_sources / row.mask, masks["components"])
    _check_copies(out, Counter(record["image"] for record in listed), summary, manifest)
    return Checked(len(listed), summary["n_images"], len(compared), _check_digests(out, summary, digests), bool(masks))


def _check_digests(out: Path, summary: dict[str, Any], digests: dict[str, RecordsDigest]) -> bool:
    """Whether there are digests in dataset.json; InputError where what they are of has changed."""
    said = summary.get("lmdbs")
    if not said:
        return False
    for name, digest in digests.items():
        if digest.hexdigest() != said[name]["sha256"]:
            raise another(out / name)
    if sha256(out / "records.csv") != summary.get("records_sha256"):
        raise InputError(f"{out / 'records.csv'}: not the file that make_lmdb.py wrote; build the LMDBs again")
    return True


def _recorded(out: Path, summary: dict[str, Any], what: str) -> Path:
    path = Path(os.path.normpath(str(out.resolve() / summary[what])))
    if not path.exists():
        raise InputError(f"{out / 'dataset.json'}: its {what} {path} is not there (any more); give --{what}")
    return path


def _check_names(out: Path, summary: dict[str, Any], manifest: Manifest) -> None:
    for kind, names in (("lesion_names", manifest.lesion_names), ("location_names", manifest.location_names)):
        if tuple(summary[kind]) != names:
            raise InputError(f"{out / 'dataset.json'}: other {kind} than {manifest.path} has; build from this manifest")


def _aligned_datums(
    out: Path, listed: list[dict[str, str]], digests: dict[str, RecordsDigest]
) -> Iterator[dict[str, Message]]:
    """Yields each listed record's Datums by LMDB; all LMDBs must have exactly these keys, in this order."""
    with ExitStack() as stack:
        databases = {name: stack.enter_context(_open(out / name, len(listed))) for name in digests}
        for record in tqdm(listed, "records", unit="record", disable=None):
            datums = {}
            for name, database in databases.items():
                key, value = next(database)
                if key != record["key"].encode():
                    raise InputError(f"{out}: record {record['key']}: {name} has {key!r} there; build the LMDBs again")
                digests[name].add(key, value)
                try:
                    datums[name] = caffe_messages().Datum.FromString(value)
                except DecodeError:
                    raise InputError(f"{out}: record {record['key']}: {name} holds no Datum; build again") from None
            yield datums


@contextmanager
def _open(folder: Path, expected: int) -> Iterator[Iterator[tuple[bytes, bytes]]]:
    with open_lmdb(folder) as environment:
        entries = environment.stat()["entries"]
        if entries != expected:
            raise InputError(f"{folder}: {entries} records, records.csv lists {expected}; build the LMDBs again")
        try:
            with environment.begin() as transaction:
                yield iter(transaction.cursor())
        except lmdb.Error as error:
            raise InputError(f"{folder}: damaged ({error}); build it again") from None


def _check_image(where: str, datum: Message, crop: int) -> np.ndarray:
    try:
        pixels = image_file.decode(datum.data)
    except image_file.ImageError as error:
        raise InputError(f"{where}: the image does not decode: {error}; build the LMDBs again") from None
    height, width = pixels.shape[:2]
    if (datum.channels, datum.height, datum.width, datum.encoded) != (3, height, width, True):
        raise InputError(f"{where}: the image Datum does not describe its {width} x {height} image; build again")
    if min(height, width) < crop:
        raise InputError(
            f"{where}: the image is {width} x {height}, smaller than the crop {crop}; store larger images, "
            "or give the net's --crop"
        )
    return pixels


def _check_bytes(where: str, label: Message) -> None:
    if label.data or label.encoded:
        raise InputError(f"{where}: a label Datum holds bytes, which Caffe would read first; build the LMDBs again")


def _check_lesions(where: str, lesions: Message, row: Row, manifest: Manifest) -> None:
    _check_bytes(where, lesions)
    shape = (lesions.channels, lesions.height, lesions.width, len(lesions.float_data))
    if shape != (len(manifest.lesion_names), 1, 1, len(manifest.lesion_names)):
        raise InputError(
            f"{where}: the lesion Datum has shape {shape[:3]}; {len(manifest.lesion_names)} x 1 x 1 is due"
        )
    if set(lesions.float_data) - {0.0, 1.0}:
        raise InputError(f"{where}: the lesion Datum holds other values than 0 and 1; build the LMDBs again")
    present = {name for name, value in zip(manifest.lesion_names, lesions.float_data) if value}
    if present != set(row.lesions):
        raise InputError(
            f"{where}: lesions {sorted(present)}, {manifest.path}:{row.line} says {sorted(row.lesions)}; build again"
        )


def _check_location(where: str, location: Message, row: Row, manifest: Manifest) -> None:
    _check_bytes(where, location)
    values = list(location.float_data)
    if (location.channels, location.height, location.width, len(values)) != (1, 1, 1, 1):
        raise InputError(f"{where}: the location Datum is not one number; build the LMDBs again")
    if values[0] not in range(len(manifest.location_names)):
        raise InputError(f"{where}: location {values[0]:g}, there are {len(manifest.location_names)}; build again")
    name = manifest.location_names[int(values[0])]
    if name != row.location:
        raise InputError(f"{where}: location {name!r}, {manifest.path}:{row.line} says {row.location!r}; build again")


def _compare(where: str, stored: np.ndarray, source: Path, short_side: int, long_side: int) -> None:
    try:
        data = image_file.read(source)
        pixels = (image_file.fitted(data, long_side) if long_side else image_file.resized(data, short_side)).pixels
    except image_file.ImageError as error:
        raise InputError(f"{where}: its source {source} cannot be compared ({error}); give --images") from None
    if pixels.shape != stored.shape:
        raise InputError(f"{where}: stored as {stored.shape}, {source} gives {pixels.shape}; build the LMDBs again")
    difference = float(np.abs(pixels.astype(np.int16) - stored).mean())
    if difference > LARGEST_MEAN_DIFFERENCE:
        raise InputError(f"{where}: not the image {source} (differs by {difference:.0f} grey levels); build again")


def _check_copies(out: Path, copies: Counter, summary: dict[str, Any], manifest: Manifest) -> None:
    due = dict.fromkeys(copies, summary["copies"])
    balance = balance_of(summary)
    if balance is not None:
        stored = replace(manifest, rows=tuple(row for row in manifest.rows if row.image in copies))
        for row, repeats in zip(stored.rows, balance.repeats(stored).tolist()):
            due[row.image] *= repeats
    wrong = sorted(image for image, n in copies.items() if n != due[image])
    if wrong:
        raise InputError(f"{out}: {wrong[0]!r} has {copies[wrong[0]]} records, {due[wrong[0]]} are due; build again")
    if len(copies) != summary["n_images"]:
        raise InputError(f"{out}: {len(copies)} images, dataset.json says {summary['n_images']}; build again")
