"""What is said of a data set's labels: lesions, body locations, how they go together, groups, names and folds."""

from __future__ import annotations

import numpy as np

from skinmtl.common.counting import counted
from skinmtl.description.description import Description
from skinmtl.description.labels import FOLDS, RARE_BELOW, LabelCounts, pairs, shares
from skinmtl.description.near_names import COMPARED_AT_MOST
from skinmtl.description.sections import Picture, Section, Table, listed, percent

PAIRS, GROUP_ROWS, NAME_ROWS = 20, 12, 100


def label_sections(description: Description) -> list[Section]:
    """Lesions, body locations, how they go together, groups, and folds where there are some."""
    has_locations = bool(description.labels.locations.names)
    sections = [
        _labels(description, "lesion"),
        *([_labels(description, "location")] if has_locations else []),
        _together(description),
        *([_at_location(description)] if has_locations else []),
        _groups(description),
        *_names(description),
    ]
    return [*sections, *([] if description.labels.folds is None else [_folds(description)])]


def _labels(description: Description, kind: str) -> Section:
    labels = description.labels
    if kind == "lesion":
        counts, other, at = labels.lesions, labels.locations, labels.at_location
    else:
        counts, other, at = labels.locations, labels.lesions, labels.at_location.T
    of_other = shares(at, counts.images)
    folds = () if labels.folds is None else labels.folds.numbers
    order = np.argsort(-counts.images, kind="stable").tolist()
    remarks = [_remark(description, counts, n) for n in order]
    rows, links = [], []
    for n, remark in zip(order, remarks):
        row = [counts.names[n], f"{counts.images[n]:,}", percent(counts.images[n] / labels.n_images)]
        row += [f"{counts.groups[n]:,}", *([remark] if any(remarks) else [])]
        if other.names:
            most = int(at[n].argmax())
            row += [other.names[most], percent(of_other[n, most])] if counts.images[n] else ["-", "-"]
        row += [f"{counts.alone[n]:,}"] if kind == "lesion" else []
        rows.append([*row, *(f"{images:,}" for images in _of_folds(counts, n))])
        has_sheet = bool(description.sheets and description.sheets[kind][n].file)
        links.append(f"#{kind}-{n}" if has_sheet else "")
    most_often = "most often at" if kind == "lesion" else "most often"
    columns = [kind, "images", "of all", "groups", *(["remark"] if any(remarks) else [])]
    columns += [most_often, "its share"] if other.names else []
    columns += [*(["alone"] if kind == "lesion" else []), *(f"fold {number}" for number in folds)]
    words = frozenset(columns.index(name) for name in (kind, "remark", most_often) if name in columns)
    what = "Lesions" if kind == "lesion" else "Body locations"
    notes = [
        f"{counted(len(counts.names), kind)}, the most frequent first. Groups: those with at least one such image."
    ]
    if kind == "lesion":
        notes.append("Alone: images with this lesion and no other. An image with two lesions counts for both.")
    table = Table(what, columns, rows, words, links)
    chart = Picture(f"{kind}s.png", f"Images of each {kind}", "The same counts as in the table.")
    return Section(f"{kind}s", what, notes, [table], [chart])


def _of_folds(counts: LabelCounts, n: int) -> list[int]:
    return [] if counts.folds is None else counts.folds[n].tolist()


def _remark(description: Description, counts: LabelCounts, n: int) -> str:
    folds = description.labels.folds
    n_folds = FOLDS if folds is None else len(folds.numbers)
    if not counts.images[n]:
        return "no image"
    remarks = []
    if counts.images[n] < RARE_BELOW:
        remarks.append(f"below {RARE_BELOW} images")
    if counts.groups[n] < n_folds:
        remarks.append(f"below {n_folds} groups")
    if folds is not None:
        without = [str(number) for number, images in zip(folds.numbers, counts.folds[n]) if not images]
        if without:
            which = f"fold {', '.join(without)}" if len(without) < 4 else f"{len(without)} folds"
            remarks.append(f"not in {which}")
    return "; ".join(remarks)


def _together(description: Description) -> Section:
    labels = description.labels
    names, images = labels.lesions.names, labels.lesions.images
    per_image = [
        [str(lesions), f"{n:,}", percent(n / labels.n_images)] for lesions, n in labels.lesions_per_image.items()
    ]
    mean = images.sum() / labels.n_images
    notes = [f"{mean:.2f} lesions per image on average; {counted(labels.label_sets, 'different set')} of lesions."]
    tables = [Table("Lesions per image", ["lesions", "images", "of all"], per_image, frozenset())]
    found = pairs(labels)
    rows = [
        [names[a], names[b], f"{both:,}", percent(both / images[a]), percent(both / images[b]), f"{lift:.2f}"]
        for a, b, both, lift in found[:PAIRS]
    ]
    pictures = []
    if rows:
        more = (
            f" The {PAIRS} most frequent of {len(found):,} pairs; lesion_by_lesion.csv has all."
            if found[PAIRS:]
            else ""
        )
        columns = ["lesion", "and", "both", "of the first", "of the second", "times chance"]
        note = f"Times chance: how often both come together, as a multiple of what independent lesions would.{more}"
        tables.append(Table("Lesions that come together", columns, rows, frozenset({0, 1}), note=note))
        caption = (
            "Of the images with the row's lesion, the share with the column's lesion too. Counts: lesion_by_lesion.csv."
        )
        pictures.append(Picture("lesion_by_lesion.png", "Heat map of lesions that come together", caption))
    else:
        notes.append("No image has two lesions: nothing comes together.")
    return Section("together", "Lesions that come together", notes, tables, pictures)


def _at_location(description: Description) -> Section:
    caption = (
        "The paper's equation 1: of the images with a lesion, the share at each location. "
        "Counts: lesion_by_location.csv; how strong the dependence is: correlate.py."
    )
    picture = Picture("lesion_by_location.png", "Heat map of lesions by body locations", caption)
    empty = int((description.labels.at_location == 0).sum())
    note = f"{empty:,} of {description.labels.at_location.size:,} pairs of lesion and location have no image."
    return Section("at_location", "Lesions by body location", [note], [], [picture])


def _groups(description: Description) -> Section:
    labels = description.labels
    sizes = labels.group_sizes
    notes = [
        f"{counted(labels.n_groups, 'group')} (patients, cases or lesions that must stay in one fold), "
        f"{labels.n_images / labels.n_groups:.2f} images each on average, {max(sizes):,} at most."
    ]
    if labels.groups_are_images():
        return Section("groups", "Groups", [*notes, "Every image is its own group."])
    rows = [[text, f"{n:,}", percent(n / labels.n_groups)] for text, n in _binned(sizes)]
    largest = [[name, f"{n:,}", percent(n / labels.n_images)] for name, n in labels.largest_groups]
    tables = [
        Table("Images per group", ["images", "groups", "of all"], rows, frozenset()),
        Table("The largest groups", ["group", "images", "of all images"], largest),
    ]
    return Section("groups", "Groups", notes, tables)


def _binned(sizes: dict[int, int]) -> list[tuple[str, int]]:
    """A line a size, or a line a range whose ends double where that would be too many lines."""
    if len(sizes) <= GROUP_ROWS:
        return [(f"{size:,}", n) for size, n in sizes.items()]
    bins: dict[int, int] = {}
    for size, n in sizes.items():
        bins[size.bit_length()] = bins.get(size.bit_length(), 0) + n
    ranges = ((f"{2 ** (bits - 1):,}", f"{2**bits - 1:,}", n) for bits, n in sorted(bins.items()))
    return [(low if low == high else f"{low} to {high}", n) for low, high, n in ranges]


def _names(description: Description) -> list[Section]:
    """Empty where there is nothing to say."""
    near = description.near_names
    notes = []
    for counts, what in ((description.labels.lesions, "lesion"), (description.labels.locations, "location")):
        if len(counts.names) > COMPARED_AT_MOST:
            notes.append(
                f"More than {COMPARED_AT_MOST} {what} names: their spelling is not compared, case and signs are."
            )
    if near:
        notes.insert(0, "A hint only: nothing is merged. refine_labels.py merges labels.")
    more = f"The first {NAME_ROWS} of {len(near):,} pairs; description.json has all." if near[NAME_ROWS:] else ""
    table = Table(
        "Pairs of names", ["name", "and", "how they are alike"], near[:NAME_ROWS], frozenset({0, 1, 2}), (), more
    )
    return [Section("names", "Names that may be one label", notes, [table] if near else [])] if notes else []


def _folds(description: Description) -> Section:
    labels = description.labels
    folds = labels.folds
    rows = []
    for k, number in enumerate(folds.numbers):
        absent = [
            sum(1 for images, of in zip(counts.images, counts.folds) if images and not of[k])
            for counts in (labels.lesions, labels.locations)
        ]
        images, groups = int(folds.images[k]), int(folds.groups[k])
        rows.append([str(number), f"{images:,}", percent(images / labels.n_images), f"{groups:,}", *map(str, absent)])
    columns = ["fold", "images", "of all", "groups", "lesions without image", "locations without image"]
    note = "Each group is in one fold only."
    if folds.straddling:
        note = f"{counted(len(folds.straddling), 'group')} in more than one fold: {listed(folds.straddling, 20)}."
    return Section("folds", "Folds", [note], [Table("Folds", columns, rows, frozenset())])
