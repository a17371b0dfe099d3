"""What an experiment's folder holds: the scores of each model on each test fold, checked, and what is missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Mapping, NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.data.folds import read_folds
from skinmtl.data.manifest import Manifest
from skinmtl.scores.pairing import aligned, heads_of, pooled, require_heads
from skinmtl.scores.scores_file import Scores, read_scores

ALEXNET, RESNET, LOCATION, MTL = "alexnet_lesion", "resnet50_lesion", "resnet50_location", "resnet50_mtl"
ENSEMBLE = "ensemble"
# in the order of the paper's Table 1; the ensemble is of RESNET and MTL. Behind the comma stands what differs
TITLES = {
    ALEXNET: "AlexNet, lesions only",
    RESNET: "ResNet, lesions only",
    MTL: "MTL, lesions and location",
    ENSEMBLE: "Ensemble, ResNet and MTL",
    LOCATION: "ResNet, location only",
}
LESION_MODELS = (ALEXNET, RESNET, MTL, ENSEMBLE)
LOCATION_MODELS = (LOCATION, MTL)


class Variants(NamedTuple):
    """Nets that are each like the model `base` but for one thing: name -> what differs, in words."""

    base: str
    what: Mapping[str, str]


NO_VARIANTS = Variants("", {})


@dataclass(frozen=True)
class Experiment:
    """The scores that are there, (model, fold) -> Scores, of the `folds` that there should be.

    All of them are of the manifest's images, labels and names, each fold's of exactly the images of that test fold.
    """

    path: Path
    manifest: Manifest
    folds: tuple[int, ...]
    scores: dict[tuple[str, int], Scores]
    has_folds_csv: bool
    not_used: tuple[str, ...]  # score files of other models or folds, relative to `path`
    number: int = 1  # which training of each model, where there are several, each from its own seed
    variants: Variants = NO_VARIANTS

    @property
    def titles(self) -> dict[str, str]:
        """Of the paper's models and of the variants, for people."""
        return {**TITLES, **{name: name.replace("_", " ") for name in self.variants.what}}

    def folds_of(self, *models: str) -> tuple[int, ...]:
        """The folds that all of these models have scores of."""
        return tuple(fold for fold in self.folds if all((model, fold) in self.scores for model in models))

    def missing(self) -> dict[str, tuple[int, ...]]:
        """The folds that a model has no scores of, for each model that lacks one.

        Where there are variants, it is they and their base that are compared: of the paper's other models those count
        that have scores.
        """
        lacking = {model: tuple(f for f in self.folds if (model, f) not in self.scores) for model in self._wanted()}
        return {model: folds for model, folds in lacking.items() if folds}

    def _wanted(self) -> Iterator[str]:
        there = {model for model, _ in self.scores}
        if {RESNET, MTL} <= there:
            there.add(ENSEMBLE)
        for model in self.titles:
            if not self.variants.what or model in (self.variants.base, *self.variants.what) or model in there:
                yield model

    def pooled(self, model: str, folds: Sequence[int]) -> Scores:
        """The model's scores on several test folds, one after the other."""
        files = (str(scores_path(self.path, model, fold, self.number)) for fold in folds)
        return pooled([(file, self.scores[model, fold]) for file, fold in zip(files, folds)])

    def groups(self, images: Sequence[str]) -> list[str]:
        """The group of each image."""
        group_of = {row.image: row.group for row in self.manifest.rows}
        return [group_of[image] for image in images]


def scores_path(experiment: Path, model: str, fold: int, number: int = 1) -> Path:
    """Where the workflow puts the scores of a model's training on a test fold."""
    return experiment / f"fold{fold}" / _of_training(number) / model / "scores.npz"


def _of_training(number: int) -> str:
    """The folder of a training below that of the fold: the first has none of its own."""
    return "" if number == 1 else f"seed{number}"


def read_experiment(path: Path, manifest: Manifest, number: int = 1, variants: Variants = NO_VARIANTS) -> Experiment:
    """Reads EXP/fold*/MODEL/scores.npz, or of a training from the second on EXP/fold*/seedNUMBER/MODEL/scores.npz.

    MODEL is one of the paper's, or one of the `variants`. InputError where there is none, or where one is not of this
    manifest.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; name the folder that the experiment was run in")
    there: dict[tuple[str, int], Path] = {}
    not_used = []
    pattern = Path("fold*", _of_training(number))
    for file in sorted(path.glob(str(pattern / "*" / "scores.npz"))):
        found = re.fullmatch("fold(0|[1-9][0-9]{0,5})", file.relative_to(path).parts[0])
        if found and file.parent.name in (*TITLES, *variants.what):
            there[file.parent.name, int(found.group(1))] = file
        else:
            not_used.append(str(file.relative_to(path)))
    if not there:
        raise InputError(f"{path}: no {pattern}/MODEL/scores.npz of {', '.join(TITLES)}; run the experiment first")
    fold_of = read_folds(path / "folds.csv", manifest) if (path / "folds.csv").exists() else None
    of_folders = {fold for _, fold in there}
    folds = sorted(of_folders if fold_of is None else set(fold_of.tolist()))
    strange = sorted(of_folders - set(folds))
    if strange:
        raise InputError(f"{path / 'folds.csv'}: has no fold {strange[0]}, but {path}/fold{strange[0]} has scores")
    scores = {}
    for (model, fold), file in sorted(there.items()):
        of = variants.base if model in variants.what else model
        scores[model, fold] = _checked(file, of, read_scores(file), manifest, fold, fold_of)
    return Experiment(path, manifest, tuple(folds), scores, fold_of is not None, tuple(not_used), number, variants)


def _checked(
    file: Path, model: str, scores: Scores, manifest: Manifest, fold: int, fold_of: np.ndarray | None
) -> Scores:
    """The scores in the manifest's order, once images, names and labels are the manifest's; InputError otherwise."""
    heads = heads_of(scores)
    for head, models in (("lesion", LESION_MODELS), ("location", LOCATION_MODELS)):
        if model in models:
            require_heads([(str(file), scores)], [head], f", which {model} must have; score that model")
    if fold_of is None:
        of_file = set(scores.image)
        kept = np.array([row.image in of_file for row in manifest.rows])
        source = str(manifest.path)
    else:
        kept = fold_of == fold
        source = f"{manifest.path}, test fold {fold}"
    lesions, locations = manifest.lesion_labels()[kept], manifest.location_labels()[kept]
    truth = Scores(
        [row.image for row, is_kept in zip(manifest.rows, kept) if is_kept], {},
        lesion_scores=lesions, lesion_labels=lesions, lesion_names=list(manifest.lesion_names),
        location_scores=locations, location_labels=locations, location_names=list(manifest.location_names),
    )  # fmt: skip
    return aligned([(source, truth), (str(file), scores)], heads)[1]
