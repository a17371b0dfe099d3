"""Scores of the same images by several models, row by row; and scores of several folds as one set.

What differs is never matched by guess: files are combined or compared only where images, labels and names agree, and
the first difference is named. Rows are matched by the image's name, so that their order may differ.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.data.manifest import Manifest
from skinmtl.data.near_images import hint, near_image
from skinmtl.scores.scores_file import HEADS, PARTS, Scores

Named = Sequence["tuple[str, Scores]"]
NOT_SAID = "not said"  # of files from when there was no name for it
PLURALS = {"lesion": "lesions", "location": "locations", "class": "classes"}


def aligned(named: Named, heads: Sequence[str]) -> list[Scores]:
    """The scores of all files with their rows in the first one's order.

    named    (file, scores) of each; the file is for the messages
    heads    "lesion", "location" or both: which must be there and agree in names and labels
    returns  each file's scores with these heads alone: what was not compared is left out

    InputError names the first difference from the first file: the head, an image, a class's name or an image's label.
    """
    require_heads(named, heads)
    first_file, first = named[0]
    result = []
    for file, scores in named:
        row_of = {image: row for row, image in enumerate(scores.image)}
        check_images(first_file, first, file, scores)
        rows = np.array([row_of[image] for image in first.image])
        ordered = Scores(first.image, scores.protocol, **_arrays(scores, heads, rows))
        for head in heads:
            check_names(first_file, first, file, scores, head)
            check_labels = _check_lesions if head == "lesion" else _check_locations
            check_labels(first_file, first, file, ordered)
        result.append(ordered)
    return result


def pooled(named: Named) -> Scores:
    """The scores of several test folds as one set, one fold after the other: every image is scored once.

    `protocol` lists what each fold's file says. InputError where an image is in two files, where one has a head that
    another lacks, and where the classes' names differ.
    """
    first_file, first = named[0]
    heads = heads_of(first)
    image = only_once(named)
    for file, scores in named:
        for head in HEADS:
            if head in heads_of(scores) and head not in heads:
                raise InputError(f"{file}: has a {head} head, {first_file} has none; pool folds of one model")
        require_heads([(file, scores)], heads, f"; {first_file} has one: pool folds of one model")
        for head in heads:
            check_names(first_file, first, file, scores, head)
    parts = [_arrays(scores, heads, slice(None)) for _, scores in named]
    fields = {
        name: values if name.endswith("_names") else np.concatenate([part[name] for part in parts])
        for name, values in parts[0].items()
    }
    sources = [{"file": file, "protocol": scores.protocol} for file, scores in named]
    return Scores(image, {"pooled": sources}, **fields)


def only_once(named: Named) -> list[str]:
    """The images of all files, one file after the other. InputError where an image is in two of them."""
    seen: dict[str, tuple[str, int]] = {}
    for file, scores in named:
        for row, image in enumerate(scores.image):
            if image in seen:
                other, other_row = seen[image]
                raise InputError(
                    f"{file}: image {image!r} (row {row}) is in {other} (row {other_row}) too; "
                    "pool test folds, where every image is in one"
                )
            seen[image] = file, row
    return list(seen)


def unlike_resizing(protocols: Sequence[tuple[str, Any]]) -> str:
    """Which of them, each with its name, were made of images that were resized by another rule; "" where all agree.

    Of an ensemble or of pooled folds the files that it was made of count.
    """
    names: dict[str, list[str]] = {}
    for name, protocol in protocols:
        for rule in sorted(_resizing(protocol)):
            names.setdefault(rule, []).append(name)
    if len(names) < 2:
        return ""
    each = "; ".join(f"{', '.join(of_rule)}: {rule}" for rule, of_rule in names.items())
    return f"the images were resized by different rules, which moves figures a little ({each})"


def _resizing(protocol: Any) -> set[str]:
    if not isinstance(protocol, dict):
        return {NOT_SAID}
    sources = protocol.get("sources", protocol.get("pooled"))
    if isinstance(sources, list):
        return {rule for one in sources if isinstance(one, dict) for rule in _resizing(one.get("protocol"))}
    return {str(protocol.get("resizing", NOT_SAID))}


def groups_of(file: str, scores: Scores, manifest: Manifest) -> list[str]:
    """Each image's group in the manifest, N names. InputError where an image is not in it."""
    group_of = {row.image: row.group for row in manifest.rows}
    missing = [(row, image) for row, image in enumerate(scores.image) if image not in group_of]
    if missing:
        row, image = missing[0]
        raise InputError(
            f"{manifest.path}: no line for image {image!r} (row {row} of {file}){_more(missing)}"
            f"{hint(near_image(image, group_of))}; give the manifest that was scored"
        )
    return [group_of[image] for image in scores.image]


def heads_of(scores: Scores) -> list[str]:
    """Which of "lesion" and "location" the scores have."""
    return [head for head in HEADS if getattr(scores, f"{head}_scores") is not None]


def require_heads(named: Named, heads: Sequence[str], remedy: str = "; name files of models that have one") -> None:
    """InputError for the first file without one of the heads."""
    for file, scores in named:
        for head in heads:
            if head not in heads_of(scores):
                raise InputError(f"{file}: has no {head} head{remedy}")


def check_names(first_file: str, first: Scores, file: str, scores: Scores, head: str) -> None:
    """InputError where the names of a head's classes, or their order, differ; "class" is that of regions."""
    wanted, found = getattr(first, f"{head}_names"), getattr(scores, f"{head}_names")
    for number, (one, other) in enumerate(zip(wanted, found)):
        if one != other:
            raise InputError(
                f"{file}: {head} {number} is {other!r}, in {first_file} it is {one!r}; "
                "score both with the same label names"
            )
    if len(wanted) != len(found):
        raise InputError(
            f"{file}: has {len(found)} {PLURALS[head]}, {first_file} has {len(wanted)}; score both with the same label "
            "names"
        )


def _arrays(scores: Scores, heads: Sequence[str], rows: Any) -> dict[str, Any]:
    """The arrays of the heads, with these rows."""
    arrays = {f"{head}_{part}": getattr(scores, f"{head}_{part}") for head in heads for part in PARTS}
    return {name: values if name.endswith("_names") else values[rows] for name, values in arrays.items()}


def check_images(first_file: str, first: Scores, file: str, scores: Scores) -> None:
    """InputError where an image is in one of the two alone."""
    there, wanted = set(scores.image), set(first.image)
    for one_file, one, other_file, other in ((first_file, first, file, there), (file, scores, first_file, wanted)):
        missing = [(row, image) for row, image in enumerate(one.image) if image not in other]
        if missing:
            row, image = missing[0]
            raise InputError(
                f"{other_file}: has no image {image!r} (row {row} of {one_file}){_more(missing)}"
                f"{hint(near_image(image, other))}; score both on the same images"
            )


def _more(found: list) -> str:
    return f" and {len(found) - 1} more" if len(found) > 1 else ""


def _check_lesions(first_file: str, first: Scores, file: str, ordered: Scores) -> None:
    wrong = np.argwhere(first.lesion_labels != ordered.lesion_labels)
    if len(wrong):
        row, column = wrong[0]
        here, there = ("has" if each.lesion_labels[row, column] else "has not" for each in (ordered, first))
        raise InputError(
            f"{file}: image {first.image[row]!r} {here} lesion {first.lesion_names[column]!r}, in {first_file} it "
            f"{there} (labels that differ: {len(wrong)}); score both with the same manifest"
        )


def _check_locations(first_file: str, first: Scores, file: str, ordered: Scores) -> None:
    wrong = np.flatnonzero(first.location_labels != ordered.location_labels)
    if len(wrong):
        row = wrong[0]
        names = [first.location_names[each.location_labels[row]] for each in (ordered, first)]
        raise InputError(
            f"{file}: image {first.image[row]!r} is at location {names[0]!r}, in {first_file} at {names[1]!r} "
            f"(labels that differ: {len(wrong)}); score both with the same manifest"
        )
