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
    _check_exist(manifest, image_folder, {n: row.image for n, row in enumerate(manifest.rows)}, "image", "--images")


def check_masks_exist(manifest: Manifest, mask_folder: Path) -> None:
    """The same for the masks, of rows that have one."""
    names = {n: row.mask for n, row in enumerate(manifest.rows) if row.mask}
    _check_exist(manifest, mask_folder, names, "mask", "--masks")


def _check_exist(manifest: Manifest, folder: Path, names: dict[int, str], what: str, flag: str) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; correct {flag}")
    missing = [n for n, name in names.items() if not (folder / name).is_file()]
    if len(missing) == len(names) > 1:
        near = hint(near_file(folder, names[missing[0]]))
        raise InputError(
            f"{folder}: has none of the {len(missing)} {what}s of {manifest.path}{near}; "
            f"correct {'the names' if near else flag}"
        )
    faults = {n: f"{what} {folder / names[n]}: the file is missing" for n in missing}
    for n in missing[:SHOWN]:
        there = no_file(folder / names[n])
        if there:
            faults[n] = f"{what} {folder / names[n]}: it is {there}, no file"
        else:
            faults[n] += hint(near_file(folder, names[n]))
    refuse_bad_files(manifest, faults, what)


def refuse_bad_images(manifest: Manifest, image_folder: Path, faults: dict[int, str]) -> None:
    """InputError with a line for each fault, SHOWN at most; a fault stands under its row in the manifest."""
    rows = manifest.rows
    refuse_bad_files(manifest, {n: f"image {image_folder / rows[n].image}: {fault}" for n, fault in faults.items()})


def refuse_bad_files(manifest: Manifest, faults: dict[int, str], what: str = "image") -> None:
    """The same, where each fault names its file too."""
    if not faults:
        return
    lines = [
        f"{manifest.path}:{manifest.rows[n].line}: {faults[n]}; mend it or take the line out"
        for n in sorted(faults)[:SHOWN]
    ]
    if len(faults) > SHOWN:
        lines.append(f"{manifest.path}: {len(faults) - SHOWN} more {what}s cannot be used")
    raise InputError("\n".join(lines))
