"""What of a description a person should look at before training, in sentences."""

from __future__ import annotations

from typing import Iterable, Sequence

from skinmtl.common.counting import counted
from skinmtl.data.nothing import Nothings
from skinmtl.description.description import Description
from skinmtl.description.file_summary import LONG, SIDES, FileSummary
from skinmtl.description.labels import FOLDS, RARE_BELOW, Labels
from skinmtl.description.masks import mask_findings
from skinmtl.description.sections import NAMED, listed, shortened
from skinmtl.splits.group_notes import notes_on_groups


def findings(description: Description) -> list[str]:
    """One sentence each, files first; an empty list where there is nothing to say."""
    found = [] if description.files is None else [*_of_files(description.files, description.masks is None)]
    found += [] if description.masks is None else mask_findings(description.masks)
    found += description.manifest.notes
    found += _of_nothing(description.labels)
    found += notes_on_groups(description.manifest, "where patients have several images, folds leak")
    return [*found, *_of_labels(description.labels), *_of_names(description.near_names)]


def _of_files(files: FileSummary, are_enlarged: bool) -> Iterable[str]:
    """`are_enlarged`: small images are; those with masks are stored as they are."""
    if files.problems:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in files.kinds.items())
        yield (
            f"{counted(len(files.problems), 'image')} of {len(files.facts):,} cannot be used ({kinds}): make_lmdb.py "
            "would refuse the manifest; problems.csv lists them"
        )
    if files.duplicates:
        n_files = sum(len(one.rows) for one in files.duplicates)
        yield (
            f"{counted(n_files, 'file')} in {counted(len(files.duplicates), 'set')} are the same byte for byte; "
            "duplicates.csv lists them"
        )
        for n, what, so in (
            (sum(not one.same_labels for one in files.duplicates), "labels", "some of them are wrong"),
            (sum(not one.same_group for one in files.duplicates), "groups", "folds by group can leak"),
            (sum(one.folds > 1 for one in files.duplicates), "folds", "the test set leaks"),
        ):
            if n:
                yield f"{what} differ within {n:,} of {counted(len(files.duplicates), 'set')} of equal files: {so}"
    crop, test = SIDES[:2]
    if files.below[test] and are_enlarged:
        smaller = f" ({files.below[crop]:,} of them below {crop})" if files.below[crop] else ""
        images = counted(files.below[test], "image")
        yield f"the shorter side of {images} is below {test} pixels{smaller}: they are enlarged"
    if files.long:
        yield f"{counted(len(files.long), 'image')} more than {LONG:g} times as long as wide: crops show little of them"
    if files.blank:
        yield f"{counted(len(files.blank), 'image')} of one colour: most likely broken"
    if files.misnamed:
        yield f"{counted(len(files.misnamed), 'file')} of another format than the name ends in (no harm to training)"
    for line, rows in files.told.items():
        yield f"{counted(len(rows), 'image')}: {line}"


def _of_labels(labels: Labels) -> Iterable[str]:
    n_folds = FOLDS if labels.folds is None else len(labels.folds.numbers)
    for what, counts in (("lesion", labels.lesions), ("location", labels.locations)):
        dropped = " (the paper drops such a lesion)" if what == "lesion" else ""
        for names, said in (
            (counts.rare(), f"fewer than {RARE_BELOW} images{dropped}"),
            (counts.in_few_groups(n_folds), f"fewer groups than {n_folds} folds"),
            (counts.missing_from_a_fold(), "no image in one fold or more"),
            (counts.unused(), f"no image at all ({what}s.txt names them)"),
        ):
            if names:
                yield f"{counted(len(names), what)} with {said}: {listed(names)}"
    if labels.folds is not None and labels.folds.straddling:
        names = labels.folds.straddling
        yield f"{counted(len(names), 'group')} in more than one fold, so that the test set leaks: {listed(names)}"
    if max(labels.lesions_per_image) == 1 and len(labels.lesions.names) > 1:
        yield "no image has more than one lesion: the set is single-label"


def _of_nothing(labels: Labels) -> Iterable[str]:
    is_nothing = Nothings().is_one
    names = [name for counts in (labels.lesions, labels.locations) for name in counts.names if is_nothing(name)]
    if names:
        yield f"words that usually stand for no value are taken as names: {listed(names)}"


def _of_names(near_names: Sequence[tuple[str, str, str]]) -> Iterable[str]:
    if near_names:
        pairs = [f"“{shortened(a)}” and “{shortened(b)}”" for a, b, _ in near_names]
        more = f" and {len(pairs) - NAMED:,} more pairs" if pairs[NAMED:] else ""
        yield f"{counted(len(pairs), 'pair')} of names that may be one label: {'; '.join(pairs[:NAMED])}{more}"
