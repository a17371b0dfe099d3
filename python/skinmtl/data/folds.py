"""Folds for cross-validation: written, read, and applied to a manifest."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from skinmtl.data.manifest import Manifest
from skinmtl.data.near_images import hint, near_image
from skinmtl.data.table import read_csv

# fixed (our choice), so that every command sets the same images aside without being told which
SET_ASIDE_SEED = 1


def write_folds(path: Path, manifest: Manifest, folds: np.ndarray) -> None:
    """Writes `image,fold`, one line per image, in the manifest's order."""
    with new_file(path) as partial, open(str(partial), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "fold"])
        writer.writerows([row.image, int(fold)] for row, fold in zip(manifest.rows, folds))


def read_folds(path: Path, manifest: Manifest) -> np.ndarray:
    """(N,) int64 in the manifest's order. The file must list exactly the manifest's images."""
    fold_of: dict[str, int] = {}
    for line, record in read_csv(path, ("image", "fold")):
        if record["image"] in fold_of:
            raise InputError(f"{path}:{line}: image {record['image']!r} is listed twice; keep one line per image")
        if not re.fullmatch("[0-9]{1,6}", record["fold"]):
            raise InputError(f"{path}:{line}: fold {record['fold']!r} is not a whole number from 0")
        fold_of[record["image"]] = int(record["fold"])
    missing = [row for row in manifest.rows if row.image not in fold_of]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        more += hint(near_image(missing[0].image, fold_of))
        raise InputError(
            f"{path}: no fold for {missing[0].image!r} ({manifest.path}:{missing[0].line}){more}; make the folds from "
            "this manifest"
        )
    extra = set(fold_of) - {row.image for row in manifest.rows}
    if extra:
        more = f" and {len(extra) - 1} more are" if len(extra) > 1 else " is"
        raise InputError(f"{path}: {min(extra)!r}{more} not in {manifest.path}; make the folds from this manifest")
    return np.array([fold_of[row.image] for row in manifest.rows], np.int64)


def select(
    manifest: Manifest,
    folds_path: Path | None,
    fold: int | None,
    subset: str | None,
    validation: float = 0.0,
    validation_fold: int | None = None,
) -> Manifest:
    """The images of test fold `fold` (subset "test"), the others ("train"), or a part of the others ("validation").

    `validation` is the share of the images outside the test fold, in whole groups, that "validation" takes and "train"
    leaves out: what training may watch while the test fold stays unseen. 0 leaves "train" whole. `validation_fold` sets
    that fold aside instead, as the official split of a data set does. Without `folds_path` the whole manifest. The
    label names stay the whole manifest's, so that every subset has the same label indices.
    """
    if folds_path is None:
        return manifest
    folds = read_folds(folds_path, manifest)
    for number in (fold, *([] if validation_fold is None else [validation_fold])):
        if number not in folds:
            raise InputError(f"{folds_path}: no image is in fold {number}; the folds are {sorted(set(folds.tolist()))}")
    if subset == "test":
        keep = folds == fold
    else:
        set_aside = folds == validation_fold
        if validation_fold is None:
            set_aside = _set_aside(manifest, folds == fold, validation)
        keep = set_aside if subset == "validation" else (folds != fold) & ~set_aside
    rows = tuple(row for row, kept in zip(manifest.rows, keep) if kept)
    if not rows and validation_fold is not None:
        raise InputError(
            f"{folds_path}: all images are in folds {fold} and {validation_fold}, none is left to train on"
        )
    if not rows and not validation:
        raise InputError(f"{folds_path}: every image is in fold {fold}, none is left to train on; make more folds")
    if not rows:
        raise InputError(f"{folds_path}: no image of fold {fold} is left for {subset}; set another share aside")
    return replace(manifest, rows=rows)


def _set_aside(manifest: Manifest, in_test: np.ndarray, share: float) -> np.ndarray:
    """(N,) bool: groups outside the test fold, in a random order, until they have `share` of the images there."""
    names, of_row, sizes = np.unique(
        [row.group for row, test in zip(manifest.rows, in_test) if not test], return_inverse=True, return_counts=True
    )
    order = np.random.RandomState(SET_ASIDE_SEED).permutation(len(names))
    before = np.cumsum(sizes[order]) - sizes[order]
    taken = np.zeros(len(names), bool)
    taken[order[before < share * sizes.sum()]] = True
    set_aside = np.zeros(len(in_test), bool)
    set_aside[~in_test] = taken[of_row.reshape(-1)]
    return set_aside
