"""What to attend to: images of a manifest, all, named or drawn at random, or files without one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Mapping, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.data.manifest import Manifest
from skinmtl.data.near_images import hint, near_image
from skinmtl.data.table import read_csv
from skinmtl.nets.label_names import names_file, read_label_names

COLUMNS = ("image", "lesion")  # of a list of images
NO_MORE: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True)
class Task:
    """An image to attend to: its name, its file, what its overlays' names start with, and each head's labels to make
    maps of; None: the likeliest."""

    name: str
    path: Path
    overlays: str
    labels: dict[str, tuple[str, ...]] | None


def chosen(manifest: Manifest, images: Sequence[str], sample: int | None, seed: int) -> Manifest:
    """The manifest with the rows of `images`, or of `sample` images at random, or with all; always in its order."""
    rows = manifest.rows
    if images:
        known = {row.image for row in rows}
        for image in images:
            if image not in known:
                near = hint(near_image(image, known))
                raise InputError(f"{manifest.path}: no image {image!r} in it, or not in this fold{near}; check --image")
        rows = tuple(row for row in rows if row.image in set(images))
    elif sample is not None:
        if sample > len(rows):
            raise InputError(f"{manifest.path}: {len(rows)} images, {sample} wanted; lower --sample")
        keep = np.random.RandomState(seed).permutation(len(rows))[:sample]
        rows = tuple(rows[n] for n in sorted(keep))
    return replace(manifest, rows=rows)


def read_listed(path: Path, manifest: Manifest) -> dict[str, list[str]]:
    """Image -> the lesions that a list names with it, as list_errors.py writes them. InputError where one of them is
    not of the manifest."""
    lesions, known = set(manifest.lesion_names), {row.image for row in manifest.rows}
    listed: dict[str, list[str]] = {}
    for line, record in read_csv(path, COLUMNS):
        image, lesion = (record[column] for column in COLUMNS)
        if image not in known:
            near = hint(near_image(image, known))
            raise InputError(f"{path}:{line}: image {image!r} is not in {manifest.path}{near}; give its manifest")
        if lesion not in lesions:
            raise InputError(f"{path}:{line}: {lesion!r} is no lesion of {manifest.path}; give its manifest")
        of_image = listed.setdefault(image, [])
        if lesion not in of_image:
            of_image.append(lesion)
    return listed


def of_manifest(
    manifest: Manifest, image_folder: Path, true_labels: bool, listed: Mapping[str, Sequence[str]] = NO_MORE
) -> list[Task]:
    """A task for each row, with its true labels and those that are `listed` with it, or for the likeliest ones."""
    tasks = []
    for row in manifest.rows:
        lesions = tuple(dict.fromkeys([*row.lesions, *listed.get(row.image, ())]))
        labels = {"lesion": lesions, "location": (row.location,)} if true_labels else None
        tasks.append(Task(row.image, image_folder / row.image, row.image, labels))
    return tasks


def of_files(paths: Sequence[Path]) -> list[Task]:
    """A task for each file, under its path as given; InputError where a file is missing."""
    tasks: dict[str, Task] = {}
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file; check --query")
        if path.name in tasks:
            raise InputError(f"{path}: {tasks[path.name].path} has the same name; give them in two commands")
        tasks[path.name] = Task(str(path), path, path.name, None)
    return list(tasks.values())


def manifest_names(manifest: Manifest, heads: dict[str, int], deploy: Path) -> dict[str, list[str]]:
    """The manifest's label names by head; InputError unless there are as many as the head (name -> number) has."""
    all_names = {"lesion": list(manifest.lesion_names), "location": list(manifest.location_names)}
    for head, count in heads.items():
        if count != len(all_names[head]):
            raise InputError(f"{deploy}: {head}_prob has {count} outputs, {manifest.path} names {len(all_names[head])}")
    return {head: all_names[head] for head in heads}


def net_names(heads: dict[str, int], deploy: Path) -> dict[str, list[str]]:
    """The label names that are beside `deploy`, by head; the indices of a head that it does not name."""
    known = read_label_names(deploy.parent)
    names = {}
    for head, count in heads.items():
        names[head] = known.get(f"{head}_names", [str(index) for index in range(count)])
        if count != len(names[head]):
            raise InputError(
                f"{names_file(deploy.parent)}: names {len(names[head])} for the {count} outputs of {head}_prob; "
                "run make_prototxt.py again"
            )
    return names
