"""Writes the three LMDBs that Caffe's Data layers read in step: images, lesion labels, location labels."""

from __future__ import annotations

import csv
import os
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Iterator, NamedTuple

import lmdb
import numpy as np
from tqdm import tqdm

from caffe_files.outputs import new_folder
from caffe_files.schema import caffe_messages
from skinmtl.common.json_file import write_json
from skinmtl.common.parallel import ordered_map
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.bad_images import check_images_exist, refuse_bad_images
from skinmtl.data.dataset import LMDB_NAMES
from skinmtl.data.lmdb_digest import RecordsDigest, described, sampled
from skinmtl.data.manifest import Manifest
from skinmtl.data.stored_image import JPEG_QUALITY, Stored, image_datum
from skinmtl.images.told import Told

MAP_SIZE = 1 << 30
RECORDS_PER_COMMIT = 256
BYTES_PER_COMMIT = 16 << 20  # kept in memory until they are written


@dataclass(frozen=True)
class Sizes:
    """How large images are stored: shorter side `smallest`, or for each of `copies` drawn from [smallest, largest]."""

    smallest: int
    largest: int
    copies: int


class Record(NamedTuple):
    """One record to make: the image's row in the manifest, which copy of it, and the shorter side to store."""

    row: int
    copy: int
    short_side: int


class Seen:
    """What the images were: `upscaled` those that had to be enlarged, `n_passed` records with the file's own JPEG data,
    `converted` how many records were converted from which colour profile, `told` what a person should know, `files` the
    size (bytes) and the digest of each file by its row of the manifest."""

    def __init__(self) -> None:
        self.upscaled: set[str] = set()
        self.n_passed = 0
        self.converted: Counter[str] = Counter()
        self.told = Told()
        self.files: dict[int, tuple[int, str]] = {}

    def add(self, image: str, record: Record, stored: Stored) -> None:
        if not stored.problem and stored.had_short_side < record.short_side:
            self.upscaled.add(image)
        self.n_passed += stored.is_passed
        self.files[record.row] = (stored.size, stored.contents)
        self.converted.update([stored.converted] if stored.converted else [])
        self.told.add(image, stored.told)


def write_lmdbs(
    manifest: Manifest, image_folder: Path, out: Path, sizes: Sizes, seed: int, workers: int, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Makes `out` with the three LMDBs, records.csv and dataset.json, and returns what dataset.json holds.

    Keys are the same %08d in all three, in one order shuffled by `seed`. An image is a JPEG Datum (encoded, BGR when
    decoded, 3 channels): see `image_datum`. Lesions are `float_data` 0/1 with channels=P, the location is one
    `float_data`. The result does not depend on `workers`. InputError lists every image that cannot be used; nothing is
    written then.
    """
    image_folder = Path(image_folder)
    check_images_exist(manifest, image_folder)
    with new_folder(out) as folder:
        records = _plan(len(manifest.rows), sizes, seed)
        seen, of_images = _write_images(folder, manifest, image_folder, records, workers)
        of_labels = _write_labels(folder, manifest, records)
        _write_records(folder, manifest, records, seen.files)
        summary = {
            **_summary(manifest, sizes, len(records)),
            "upscaled": sorted(seen.upscaled),
            "passed_through": seen.n_passed,
            "converted_to_srgb": dict(sorted(seen.converted.items())),
            "told": seen.told.images(),
            "manifest": _seen_from(out, manifest.path),
            "manifest_sha256": sha256(manifest.path),
            "images": _seen_from(out, image_folder),
            "lmdbs": dict(zip(LMDB_NAMES, (of_images, *of_labels))),
            "records_sha256": sha256(folder / "records.csv"),
            "jpeg_quality": JPEG_QUALITY,
            **made_by(arguments),
        }
        write_json(folder / "dataset.json", summary)
        return summary


def _plan(n_rows: int, sizes: Sizes, seed: int) -> list[Record]:
    random = np.random.RandomState(seed)
    order = random.permutation(n_rows * sizes.copies)
    sides = random.randint(sizes.smallest, sizes.largest + 1, len(order))
    return [Record(int(at // sizes.copies), int(at % sizes.copies), int(side)) for at, side in zip(order, sides)]


def _write_images(
    folder: Path, manifest: Manifest, image_folder: Path, records: list[Record], workers: int
) -> tuple[Seen, dict[str, Any]]:
    """Returns what was seen of the images, and the LMDB's digest.

    After a first bad image only the bad ones are still gathered.
    """
    tasks = ((image_folder / manifest.rows[record.row].image, record.short_side) for record in records)
    faults: dict[int, str] = {}
    seen = Seen()

    def datums() -> Iterator[bytes]:
        with closing(ordered_map(image_datum, tasks, workers)) as results:  # its workers end here, whatever happens
            for stored, record in zip(tqdm(results, "images", len(records), unit="image", disable=None), records):
                if stored.problem:
                    faults[record.row] = stored.problem
                seen.add(manifest.rows[record.row].image, record, stored)
                if not faults:
                    yield stored.datum

    with closing(datums()) as stream:
        digest = _write_lmdb(folder / LMDB_NAMES[0], stream, len(records))
    refuse_bad_images(manifest, image_folder, faults)
    return seen, digest


def _write_labels(folder: Path, manifest: Manifest, records: list[Record]) -> list[dict[str, Any]]:
    """Returns the digests of both LMDBs."""
    rows = [record.row for record in records]
    labels = (manifest.lesion_labels()[rows], manifest.location_labels()[rows, np.newaxis])
    return [
        _write_lmdb(folder / name, map(_label_datum, values), len(records))
        for name, values in zip(LMDB_NAMES[1:], labels)
    ]


def _label_datum(values: np.ndarray) -> bytes:
    datum = caffe_messages().Datum(channels=len(values), height=1, width=1, float_data=values.astype(float).tolist())
    return datum.SerializeToString()


def _write_lmdb(folder: Path, datums: Iterable[bytes], n_records: int) -> dict[str, Any]:
    """Writes `n_records` under the keys 00000000, 00000001, ...; returns what dataset.json says of them. The sample's
    digest is made on the way: read back from the map, its pages would count as memory.

    Until the last record is on disk the file has another name than LMDB and Caffe look for, so that what a killed
    build leaves is never taken for a whole one.
    """
    unfinished = folder.with_name(folder.name + ".unfinished")
    options = {"subdir": False, "map_size": MAP_SIZE, "mode": 0o666, "sync": False, "lock": False}
    digest, sample, in_sample = RecordsDigest(), RecordsDigest(), set(sampled(n_records))
    with lmdb.open(str(unfinished), **options) as environment:
        batch: list[tuple[bytes, bytes]] = []
        waiting = 0  # bytes
        for number, datum in enumerate(datums):
            batch.append((b"%08d" % number, datum))
            digest.add(*batch[-1])
            if number in in_sample:
                sample.add(*batch[-1])
            waiting += len(datum)
            if len(batch) == RECORDS_PER_COMMIT or waiting >= BYTES_PER_COMMIT:
                _commit(environment, batch)
                batch, waiting = [], 0
        _commit(environment, batch)
        environment.sync(True)
        made = described(environment, unfinished, digest.hexdigest(), sample.hexdigest())
    folder.mkdir()
    unfinished.rename(folder / "data.mdb")
    return made


def _commit(environment: lmdb.Environment, batch: list[tuple[bytes, bytes]]) -> None:
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in batch:
                    transaction.put(key, value, append=True)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])


def _write_records(folder: Path, manifest: Manifest, records: list[Record], files: dict[int, tuple[int, str]]) -> None:
    """records.csv: which image stands under which key, of which group it is, and of what file it was made."""
    with open(str(folder / "records.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["key", "image", "copy", "short_side", "bytes", "contents", "group"])
        for number, record in enumerate(records):
            row = manifest.rows[record.row]
            group = "" if row.group == row.image else row.group
            writer.writerow([f"{number:08d}", row.image, record.copy, record.short_side, *files[record.row], group])


def _summary(manifest: Manifest, sizes: Sizes, n_records: int) -> dict[str, Any]:
    locations = np.bincount(manifest.location_labels(), minlength=len(manifest.location_names))
    return {
        "n_images": len(manifest.rows),
        "n_groups": len({row.group for row in manifest.rows}),
        "n_records": n_records,
        "copies": sizes.copies,
        "short_side": [sizes.smallest, sizes.largest],
        "lesion_names": manifest.lesion_names,
        "location_names": manifest.location_names,
        "images_per_lesion": manifest.lesion_labels().sum(axis=0).tolist(),
        "images_per_location": locations.tolist(),
    }


def _seen_from(out: Path, path: Path) -> str:
    """`path` relative to `out`: right from every working folder, and still right where both are moved together."""
    return os.path.relpath(os.path.realpath(str(path)), os.path.realpath(str(out)))
