"""How many images have each lesion or are of each location, by the labels that a training will read."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import lmdb
import numpy as np
from google.protobuf.message import DecodeError

from caffe_files.errors import InputError
from caffe_files.lmdb_open import open_lmdb
from caffe_files.schema import caffe_messages
from skinmtl.data.dataset import LESIONS, LOCATIONS, REMEDY, read_summary


def lesion_counts(folder: Path) -> tuple[int, ...]:
    """The number of images of a folder of make_lmdb.py, then of those with each lesion.

    The records are counted, so that an image that --balance repeats counts as often as training sees it; copies that
    --jitter made do not.
    """
    copies = read_summary(folder)["copies"]
    total, n_records = 0, 0
    for _, values in _lesions(folder):
        total, n_records = total + values, n_records + 1
    return (n_records // copies, *(int(count) // copies for count in total))


def location_counts(folder: Path) -> tuple[int, ...]:
    """How many images of a folder of make_lmdb.py are of each location; records are counted as for lesions."""
    summary = read_summary(folder)
    total = np.zeros(len(summary["location_names"]), int)
    if not len(total):
        raise InputError(f"{folder}: has no locations to weigh; leave --location-weights out")
    for key, values in _records(folder, LOCATIONS):
        if values.shape != (1,) or values[0] not in range(len(total)):
            raise InputError(f"{folder / LOCATIONS}: record {key} holds no location; {REMEDY}")
        total[int(values[0])] += 1
    return tuple(int(count) // summary["copies"] for count in total)


def check_one_lesion(folder: Path) -> None:
    """InputError where an image has not just one lesion, as a softmax needs it."""
    names = read_summary(folder)["lesion_names"]
    for key, values in _lesions(folder):
        if values.sum() != 1:
            has = ", ".join(name for name, value in zip(names, values) if value) or "none"
            raise InputError(
                f"{folder / LESIONS}: record {key} has {int(values.sum())} lesions ({has}), where --lesion-loss "
                "softmax is of one an image; leave the flag out, or give each image of the manifest one lesion"
            )


def _lesions(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each record's key and its lesions, 0 or 1, (P,)."""
    n_lesions = len(read_summary(folder)["lesion_names"])
    for key, values in _records(folder, LESIONS):
        if values.shape != (n_lesions,) or not np.isin(values, (0, 1)).all():
            raise InputError(f"{folder / LESIONS}: record {key} holds no lesions; {REMEDY}")
        yield key, values


def _records(folder: Path, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each record's key and its numbers."""
    with open_lmdb(folder / name) as environment:
        try:
            with environment.begin() as transaction:
                for key, value in transaction.cursor():
                    yield key.decode(), np.array(caffe_messages().Datum.FromString(value).float_data)
        except (lmdb.Error, DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{folder / name}: damaged ({error}); {REMEDY}") from None
