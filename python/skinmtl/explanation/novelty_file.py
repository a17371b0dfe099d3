"""novelty.npz: what it takes to tell photographs that are unlike the training images. Made by novelty.py, copied into a
model folder by export.py, read by predict.py.

features    (M, D) float16: of training images, each of length 1
training    (N,) float32, ascending: how far each training image is from the others
validation  (V,) float32, ascending: how far each validation image is
record      the text of a JSON object: how they were made; no names of images

M x D x 2 bytes, of 5,000 images and a ResNet-50 20 MB.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from skinmtl.common.npz_file import protocol as json_object
from skinmtl.common.npz_file import read_arrays
from skinmtl.explanation.novelty import Novelty, least_images
from skinmtl.scores.crops import CUTS

FORMAT = "skinmtl novelty, version 1"
REMEDY = "make it anew with novelty.py"
ARRAYS = ("features", "training", "validation", "record")


def record_of(novelty: Novelty) -> dict[str, Any]:
    """What made it and what it says, for JSON."""
    return {
        "format": FORMAT,
        "k": novelty.k,
        "keep": novelty.keep,
        "threshold": novelty.threshold,
        "fitted_on": novelty.fitted_on,
        "refused": novelty.refused,
        "protocol": dict(novelty.protocol),
        **novelty.made,
    }


def write_novelty(path: Path, novelty: Novelty, made_by: Mapping[str, Any] | None = None) -> None:
    """Whole or not at all; the same gives the same bytes. `made_by` are the arguments and versions, where these are
    told."""
    arrays = {
        "features": novelty.reference.astype(np.float16),
        "training": novelty.training,
        "validation": novelty.validation,
        "record": np.asarray(json.dumps({**record_of(novelty), **(made_by or {})}, sort_keys=True)),
    }
    with new_file(path) as partial, open(str(partial), "wb") as file:
        np.savez(file, **arrays)


def read_novelty(path: Path, remedy: str = REMEDY) -> Novelty:
    """InputError names the file and what in it is not as novelty.py writes it."""
    try:
        arrays = read_arrays(path, ARRAYS, remedy)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); name a file of novelty.py") from None
    for name in ARRAYS:
        if name not in arrays:
            raise InputError(f"{path}: array {name} is missing; {remedy}")
    features = arrays["features"]
    if features.dtype != np.float16 or features.ndim != 2 or not features.size:
        raise InputError(
            f"{path}: features is {features.shape} {features.dtype}, where (M, D) float16 is wanted; {remedy}"
        )
    if not (np.abs(features) <= 1).all():
        raise InputError(f"{path}: features of length 1 have a value beyond 1, or that is no number; {remedy}")
    for name in ("training", "validation"):
        found = arrays[name]
        whole = found.dtype == np.float32 and found.ndim == 1 and len(found) and np.isfinite(found).all()
        if not whole or (np.diff(found) < 0).any() or found[0] < 0:
            raise InputError(f"{path}: {name} has no ascending distances, float32; {remedy}")
    record = json_object(path, arrays["record"], remedy)
    _check_record(path, record, arrays, remedy)
    kept = ("n_groups", "seed", "features_sha256", "validation_sha256")
    return Novelty(
        reference=features.astype(np.float32),
        training=arrays["training"],
        validation=arrays["validation"],
        k=record["k"],
        keep=record["keep"],
        protocol=record["protocol"],
        fitted_on=record["fitted_on"],
        made={name: record[name] for name in kept if name in record},
    )


def _check_record(path: Path, record: dict[str, Any], arrays: Mapping[str, np.ndarray], remedy: str) -> None:
    protocol, keep, k = (record.get(name) for name in ("protocol", "keep", "k"))
    whole = (
        record.get("format") == FORMAT
        and isinstance(protocol, dict)
        and type(protocol.get("crops")) is int
        and protocol["crops"] in CUTS
        and isinstance(protocol.get("blob"), str)
        and isinstance(protocol.get("weights_sha256"), str)
        and isinstance(record.get("fitted_on"), str)
        and type(k) is int
        and 1 <= k <= len(arrays["features"])
        and type(keep) is float
        and 0 < keep < 1
        and least_images(keep) <= len(arrays["validation"])
    )
    if not whole:
        raise InputError(f"{path}: not a {FORMAT}, or not a whole one; {remedy}")
