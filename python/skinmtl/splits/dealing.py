"""A manifest's images into folds for cross-validation."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, hstack

from caffe_files.errors import InputError
from skinmtl.data.manifest import Manifest
from skinmtl.splits.exchange import even_out
from skinmtl.splits.stratify import deal_at_random, stratify


def make_folds(manifest: Manifest, k: int, seed: int, by: str, balance: str = "none") -> np.ndarray:
    """(N,) int64: the fold 0..k-1 of every image. The order of the rows plays no part.

    by="group" keeps a group whole. by="image" takes every image for a group of its own: with balance="none" the paper's
    protocol as far as it states one, and one that leaks where a patient has several images.
    balance="labels" spreads lesions and locations evenly (`stratify`, then `even_out`), "none" only the images.
    """
    names, of_row, sizes = np.unique(unit_names(manifest, by), return_inverse=True, return_counts=True)
    of_row = of_row.reshape(-1)
    if len(names) < k:
        units = by if len(names) == 1 else f"{by}s"
        raise InputError(f"{manifest.path}: {len(names)} {units} cannot fill {k} folds; lower the number of folds")
    if balance == "none":
        return deal_at_random(sizes, k, seed)[of_row]
    counts = csr_matrix(membership(of_row, len(names)).T @ image_labels(manifest))
    return even_out(stratify(sizes, counts, k, seed), sizes, counts, k)[of_row]


def unit_names(manifest: Manifest, by: str) -> list[str]:
    """(N,) what is dealt whole: the group of every image, or the image itself."""
    return [row.group if by == "group" else row.image for row in manifest.rows]


def image_labels(manifest: Manifest) -> csr_matrix:
    """(N, P + Q) int64: 1 where an image has the lesion, or the location; Q is 0 where no image has one."""
    index = {name: p for p, name in enumerate(manifest.lesion_names)}
    lesions = [index[name] for row in manifest.rows for name in row.lesions]
    starts = np.cumsum([0] + [len(row.lesions) for row in manifest.rows])
    shape = (len(manifest.rows), len(index))
    of_lesions = csr_matrix((np.ones(len(lesions), np.int64), lesions, starts), shape=shape)
    if not manifest.location_names:
        return of_lesions
    locations = membership(manifest.location_labels(), len(manifest.location_names))
    return csr_matrix(hstack([of_lesions, locations]))


def membership(codes: np.ndarray, n: int) -> csr_matrix:
    """(N, n) int64: 1 in the column of each row's code."""
    return csr_matrix((np.ones(len(codes), np.int64), (np.arange(len(codes)), codes)), shape=(len(codes), n))
