"""What the folder of an experiment with mask nets holds: the scores of each variant on each test fold, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.data.folds import read_folds
from skinmtl.data.manifest import Manifest
from skinmtl.report.experiment import scores_path
from skinmtl.scores.region_pairing import pooled_regions
from skinmtl.scores.scores_file import Scores, read_scores

# the variants of the paper's studies (Song et al. 2020), in the order in which they are shown
CROSS_ENTROPY, FOCAL, JACCARD, FULL = "cross_entropy", "focal", "jaccard", "full"
CLASS_ALONE, MASK_ALONE, BOX_ALONE = "class_alone", "mask_alone", "box_alone"
TITLES = {
    FULL: "all tasks, both losses",
    CROSS_ENTROPY: "cross-entropy",
    FOCAL: "focal",
    JACCARD: "Jaccard",
    CLASS_ALONE: "class alone",
    MASK_ALONE: "mask alone",
    BOX_ALONE: "box alone",
}


@dataclass(frozen=True)
class MaskExperiment:
    """The scores that are there, (variant, fold) -> Scores with regions, of the `folds` that there should be.

    Each fold's are of exactly the images of that test fold. `variants` are those that have scores, in the order shown.
    """

    path: Path
    manifest: Manifest
    folds: tuple[int, ...]
    variants: tuple[str, ...]
    scores: dict[tuple[str, int], Scores]
    has_folds_csv: bool

    def folds_of(self, *variants: str) -> tuple[int, ...]:
        """The folds that all of these variants have scores of."""
        return tuple(fold for fold in self.folds if all((each, fold) in self.scores for each in variants))

    def pooled(self, variant: str, folds: Sequence[int]) -> Scores:
        """The variant's scores on several test folds, one after the other."""
        named = [(str(scores_path(self.path, variant, fold)), self.scores[variant, fold]) for fold in folds]
        return pooled_regions(named)

    def groups(self, images: Sequence[str]) -> list[str]:
        """The group of each image."""
        group_of = {row.image: row.group for row in self.manifest.rows}
        return [group_of[image] for image in images]

    def missing(self) -> dict[str, tuple[int, ...]]:
        """The folds that a variant has no scores of, for each variant of the studies and each that is there."""
        wanted = dict.fromkeys([*(name for name in TITLES if name != BOX_ALONE), *self.variants])
        lacking = {name: tuple(fold for fold in self.folds if (name, fold) not in self.scores) for name in wanted}
        return {name: folds for name, folds in lacking.items() if folds}


def title_of(variant: str) -> str:
    """A variant's name for people."""
    return TITLES.get(variant, variant)


def has_mask_nets(path: Path) -> bool:
    """Whether the first scores file of an experiment is of a net that draws lesions."""
    first = next(iter(sorted(Path(path).glob("fold*/*/scores.npz"))), None)
    return first is not None and read_scores(first).has_regions


def read_mask_experiment(path: Path, manifest: Manifest) -> MaskExperiment:
    """Reads EXP/fold*/VARIANT/scores.npz. InputError where there is none, or where one is not of this manifest."""
    path = Path(path)
    there: dict[tuple[str, int], Path] = {}
    for file in sorted(path.glob("fold*/*/scores.npz")):
        found = re.fullmatch("fold(0|[1-9][0-9]{0,5})", file.parent.parent.name)
        if found:
            there[file.parent.name, int(found.group(1))] = file
    if not there:
        raise InputError(f"{path}: no fold*/VARIANT/scores.npz; run the experiment first")
    fold_of = read_folds(path / "folds.csv", manifest) if (path / "folds.csv").exists() else None
    of_folders = {fold for _, fold in there}
    if fold_of is not None and not of_folders <= set(fold_of.tolist()):
        strange = min(of_folders - set(fold_of.tolist()))
        raise InputError(f"{path / 'folds.csv'}: has no fold {strange}, but {path}/fold{strange} has scores")
    scores = {}
    for (variant, fold), file in there.items():
        scores[variant, fold] = read_scores(file)
        _check(file, scores[variant, fold], manifest, fold, fold_of)
    order = [*(name for name in TITLES), *sorted({name for name, _ in there} - set(TITLES))]
    variants = tuple(name for name in order if any(name == variant for variant, _ in there))
    return MaskExperiment(path, manifest, tuple(sorted(of_folders)), variants, scores, fold_of is not None)


def _check(file: Path, scores: Scores, manifest: Manifest, fold: int, fold_of: np.ndarray | None) -> None:
    """InputError where the scores are not of a mask net, or not of the fold's images with the manifest's classes."""
    if not scores.has_regions:
        raise InputError(f"{file}: of a net that draws no lesions; report experiments of one kind of net at a time")
    rows = {row.image: row for row in manifest.rows}
    foreign = [image for image in scores.image if image not in rows]
    if foreign:
        raise InputError(f"{file}: image {foreign[0]!r} is not in {manifest.path}; give the manifest that was scored")
    if fold_of is not None:
        wanted = {row.image for row, number in zip(manifest.rows, fold_of.tolist()) if number == fold}
        others = sorted(wanted.symmetric_difference(scores.image))
        if others:
            raise InputError(
                f"{file}: image {others[0]!r} is in it or in fold {fold}, not in both; score the fold again"
            )
    if scores.class_names is None:
        return
    for n, image in enumerate(scores.image):
        said = scores.class_names[scores.class_labels[n]]
        if rows[image].lesions != (said,):
            raise InputError(
                f"{file}: image {image!r} is {said!r}, in {manifest.path} it is {';'.join(rows[image].lesions)!r}; "
                "score both with the same manifest"
            )
