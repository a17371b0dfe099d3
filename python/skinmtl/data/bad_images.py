"""Images of a manifest that cannot be used: all of them named at once, not one a run."""

from __future__ import annotations

from pathlib import Path

from caffe_files.errors import InputError
from caffe_files.inputs import no_file
from skinmtl.data.faults import SHOWN
from skinmtl.data.manifest import Manifest
from skinmtl.data.near_images import hint, near_file


def check_images_exist(manifest: Manifest, image_folder: Path) -> None:
    """InputError with a line for each image whose file is missing, SHOWN at most; one line where all of them are."""
    if not image_folder.is_dir():
        raise InputError(f"{image_folder}: no such folder; correct --images")
    missing = [n for n, row in enumerate(manifest.rows) if not (image_folder / row.image).is_file()]
    if len(missing) == len(manifest.rows) > 1:
        near = hint(near_file(image_folder, manifest.rows[0].image))
        raise InputError(
            f"{image_folder}: has none of the {len(missing)} images of {manifest.path}{near}; "
            f"correct {'the names' if near else '--images'}"
        )
    faults = dict.fromkeys(missing, "the file is missing")
    for n in missing[:SHOWN]:
        there = no_file(image_folder / manifest.rows[n].image)
        if there:
            faults[n] = f"it is {there}, no file"
        else:
            faults[n] += hint(near_file(image_folder, manifest.rows[n].image))
    refuse_bad_images(manifest, image_folder, faults)


def refuse_bad_images(manifest: Manifest, image_folder: Path, faults: dict[int, str]) -> None:
    """InputError with a line for each fault, SHOWN at most; a fault stands under its row in the manifest."""
    if not faults:
        return
    lines = [
        f"{manifest.path}:{manifest.rows[n].line}: image {image_folder / manifest.rows[n].image}: {faults[n]}; "
        "mend it or take the line out"
        for n in sorted(faults)[:SHOWN]
    ]
    if len(faults) > SHOWN:
        lines.append(f"{manifest.path}: {len(faults) - SHOWN} more images cannot be used")
    raise InputError("\n".join(lines))
