"""Whether data sets are what a mask net can be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.data.dataset import read_summary
from skinmtl.nets.mask_options import MaskNetOptions


def check_mask_data(options: MaskNetOptions) -> None:
    """InputError where a data set that is there has no masks, or other labels than the net is to tell."""
    for folder in map(Path, (options.train_data, options.test_data)):
        if folder.exists():
            _check(folder, read_summary(folder), options)


def _check(folder: Path, summary: dict[str, Any], options: MaskNetOptions) -> None:
    if not (folder / "mask_lmdb").exists():
        raise InputError(
            f"{folder}: has no mask_lmdb, and {options.model} learns from masks; build it from a manifest with a "
            "column mask"
        )
    if "location" in options.also and not (folder / "location_lmdb").exists():
        raise InputError(f"{folder}: has no location_lmdb for --also location; leave it out, or give locations")
    wanted = {}
    if "class" in options.heads or "lesion" in options.also:
        wanted["lesion_names"] = options.lesions
    if "location" in options.also:
        wanted["location_names"] = options.locations
    for kind, count in wanted.items():
        if len(summary[kind]) != count:
            raise InputError(
                f"{folder}: has {len(summary[kind])} {kind}, the net is to have {count}; leave the counts out, and "
                "they follow from the data"
            )
