"""Figures of data sets whose images have one lesion each: accuracy, balanced accuracy, who is taken for whom.

Balanced accuracy is the mean over the lesions of the share of its images that are answered rightly, the figure that
ISIC 2018 (task 3) and 2019 rank by. A lesion without an image is left out of it, as scikit-learn's
balanced_accuracy_score has it. The answer to an image is the lesion of the highest score; where the true one is tied
with another, the other is the answer, as a tie of locations counts against the model too.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from skinmtl.scores.bootstrap import FEWEST, blocks, ends_of, indexed

FIGURES = ("lesion_accuracy", "balanced_accuracy")
OTHERS = ("chance_lesion_accuracy", "chance_balanced_accuracy", "lesion_recall", "lesion_confusion")


def one_lesion_each(labels: np.ndarray) -> bool:
    """Whether each image has just one lesion; labels (N, P), 0 or 1, N at least 1."""
    return len(labels) > 0 and bool((labels.sum(axis=1) == 1).all())


def answers(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The true lesion of each image, and the one that is answered: (N,) both, of labels and scores (N, P)."""
    true = labels.argmax(axis=1)
    others = np.where(labels != 0, -np.inf, scores)
    highest = others.max(axis=1) if scores.shape[1] > 1 else np.full(len(scores), -np.inf)
    right = np.take_along_axis(scores, true[:, None], axis=1)[:, 0] > highest
    return true, np.where(right, true, others.argmax(axis=1))


def one_lesion_figures(labels: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The figures, ready for JSON; all None where an image has no lesion, or several.

    lesion_recall     name -> share of its images that are answered rightly; None without an image
    lesion_confusion  (P, P) numbers of images: rows are the true lesion, columns the answer, in the order of `names`
    chance_...        of a model that always answers the most frequent lesion
    """
    if not one_lesion_each(labels):
        return dict.fromkeys((*FIGURES, *OTHERS))
    confusion = confusion_of(*answers(labels, scores), len(names))
    images, right = confusion.sum(axis=1), confusion.diagonal()
    there = images > 0
    recall = right[there] / images[there]
    return {
        "lesion_accuracy": float(right.sum() / images.sum()),
        "balanced_accuracy": float(recall.mean()),
        "chance_lesion_accuracy": float(images.max() / images.sum()),
        "chance_balanced_accuracy": float(1 / there.sum()),
        "lesion_recall": {name: float(hit / n) if n else None for name, hit, n in zip(names, right, images)},
        "lesion_confusion": confusion.tolist(),
    }


def confusion_of(true: np.ndarray, answered: np.ndarray, n: int) -> np.ndarray:
    """(n, n) numbers of images: rows are what is true, columns what is answered."""
    return np.bincount(true * n + answered, minlength=n * n).reshape(n, n)


def one_lesion_intervals(
    labels: np.ndarray, scores: np.ndarray, groups: Sequence[str], resamples: int, seed: int, level: float
) -> dict[str, Any]:
    """[low, high] of FIGURES, of the same resamples as those of the other figures; None as `one_lesion_figures`,
    and where there is too little to draw from."""
    if not one_lesion_each(labels):
        return dict.fromkeys(FIGURES)
    drawn = resampled_one_lesion(labels, scores, groups, resamples, seed)
    return {name: ends_of(values, level, len(set(groups)) >= FEWEST) for name, values in drawn.items()}


def resampled_one_lesion(
    labels: np.ndarray, scores: np.ndarray, groups: Sequence[str], resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """FIGURES in each resample, (B,) float64; where each image has one lesion. See `bootstrap.resampled_lesions`."""
    index, sizes = indexed(groups, len(labels))
    true, answered = answers(labels, scores)
    per_group = np.zeros((2, labels.shape[1], len(sizes)))  # images, and those that are right, of each lesion
    np.add.at(per_group[0], (true, index), 1)
    np.add.at(per_group[1], (true, index), answered == true)
    accuracy, balanced = [], []
    for counts in blocks(sizes, resamples, seed, "accuracies"):
        images, right = np.einsum("kpg,gb->kpb", per_group, counts)
        recall = np.divide(right, images, out=np.full(images.shape, np.nan), where=images > 0)
        accuracy.append(right.sum(axis=0) / images.sum(axis=0))
        balanced.append(np.nanmean(recall, axis=0))
    return dict(zip(FIGURES, (np.concatenate(accuracy)[:resamples], np.concatenate(balanced)[:resamples])))
