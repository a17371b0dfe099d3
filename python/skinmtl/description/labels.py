"""What a manifest says, counted: lesions, body locations, groups, how they go together, and folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skinmtl.data.correlation import counts as counts_by_location
from skinmtl.data.manifest import Manifest

RARE_BELOW = 10  # images: the paper drops a label that has fewer
FOLDS = 5  # of the paper: a label in fewer groups cannot be in each test fold


@dataclass(frozen=True)
class LabelCounts:
    """The counts of one kind of label, lesions or body locations: L names.

    names   L names, their place is the label index
    images  (L,) int64: images that have it
    groups  (L,) int64: groups with at least one such image
    alone   (L,) int64: images that have it and no other label of this kind
    folds   (L, K) int64: its images in each fold; None without folds
    """

    names: tuple[str, ...]
    images: np.ndarray
    groups: np.ndarray
    alone: np.ndarray
    folds: np.ndarray | None

    def rare(self) -> list[str]:
        """Names with some images, but fewer than the paper's limit."""
        return [name for name, n in zip(self.names, self.images) if 0 < n < RARE_BELOW]

    def unused(self) -> list[str]:
        """Names that no image has."""
        return [name for name, n in zip(self.names, self.images) if not n]

    def in_few_groups(self, folds: int) -> list[str]:
        """Names with some images whose groups are fewer than the folds: some test folds cannot have them."""
        return [name for name, n in zip(self.names, self.groups) if 0 < n < folds]

    def missing_from_a_fold(self) -> list[str]:
        """Names with some images, none of which is in one fold or more: no AP there."""
        if self.folds is None:
            return []
        return [name for name, n, of in zip(self.names, self.images, self.folds) if n and (of == 0).any()]


@dataclass(frozen=True)
class Folds:
    """K folds: their numbers as written, (K,) int64 images and groups of each, and the groups in more than one."""

    numbers: tuple[int, ...]
    images: np.ndarray
    groups: np.ndarray
    straddling: tuple[str, ...]


@dataclass(frozen=True)
class Labels:
    """All that the manifest says. P lesions, Q locations, N images.

    group_sizes        images a group -> groups with so many
    largest_groups     (group, images) of the ten largest, the largest first
    lesions_per_image  lesions an image -> images with so many
    label_sets         how many different sets of lesions there are
    together           (P, P) int64: images with both lesions; the diagonal is each lesion's images
    at_location        (P, Q) int64: images with the lesion at the location
    """

    n_images: int
    n_groups: int
    group_sizes: dict[int, int]
    largest_groups: list[tuple[str, int]]
    lesions_per_image: dict[int, int]
    label_sets: int
    lesions: LabelCounts
    locations: LabelCounts
    together: np.ndarray
    at_location: np.ndarray
    folds: Folds | None

    def groups_are_images(self) -> bool:
        """True where no two images share a group: most likely nobody said which belong together."""
        return self.n_groups == self.n_images > 1


def count_labels(manifest: Manifest, fold_of: np.ndarray | None = None) -> Labels:
    """Counts a manifest; `fold_of` (N,) is the fold of each image as data.folds.read_folds gives it."""
    names = sorted({row.group for row in manifest.rows})
    number = {name: n for n, name in enumerate(names)}
    group = np.array([number[row.group] for row in manifest.rows])
    sizes = np.bincount(group)
    lesions = manifest.lesion_labels()
    n_locations = len(manifest.location_names)
    locations = np.zeros((len(manifest.rows), 0), np.uint8)
    at_location = np.zeros((len(manifest.lesion_names), 0), np.int64)
    if n_locations:
        locations = np.eye(n_locations, dtype=np.uint8)[manifest.location_labels()]
        at_location = counts_by_location(manifest)
    largest = np.argsort(-sizes, kind="stable")[:10]
    return Labels(
        n_images=len(manifest.rows),
        n_groups=len(names),
        group_sizes=_distribution(sizes),
        largest_groups=[(names[g], int(sizes[g])) for g in largest],
        lesions_per_image=_distribution(lesions.sum(axis=1)),
        label_sets=len({frozenset(row.lesions) for row in manifest.rows}),
        lesions=_counts(manifest.lesion_names, lesions, group, fold_of),
        locations=_counts(manifest.location_names, locations, group, fold_of),
        together=_together(lesions),
        at_location=at_location,
        folds=None if fold_of is None else _folds(fold_of, group, names),
    )


def shares(counts: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(L, M) float64, as the paper's equation 1: row i of `counts` as parts of `images[i]`; nan where that is 0."""
    of = images.reshape(-1, 1)
    return np.divide(counts, of, out=np.full(counts.shape, np.nan), where=of > 0)


def pairs(labels: Labels) -> list[tuple[int, int, int, float]]:
    """(p, other, images with both, times as many as chance), p < other, the most frequent pairs first.

    Chance is what two lesions that do not know of each other would give: images x images / N.
    """
    first, second = np.nonzero(np.triu(labels.together, 1))
    both = labels.together[first, second]
    images = labels.lesions.images
    lift = both * labels.n_images / (images[first] * images[second])
    order = np.lexsort((second, first, -both))
    return [(int(first[n]), int(second[n]), int(both[n]), float(lift[n])) for n in order]


def _together(has: np.ndarray) -> np.ndarray:
    """(L, L) int64: images with both, of `has` (N, L). In floats: numpy multiplies them faster; exact below 2**53."""
    has = has.astype(np.float64)
    return np.rint(has.T @ has).astype(np.int64)


def _counts(names: tuple[str, ...], has: np.ndarray, group: np.ndarray, fold_of: np.ndarray | None) -> LabelCounts:
    """`has` is (N, L): 1 where the image has the label."""
    images, labels = np.nonzero(has)
    in_group = np.unique(np.stack([labels, group[images]]), axis=1)[0]
    alone = has[has.sum(axis=1) == 1].sum(axis=0, dtype=np.int64)
    folds = None
    if fold_of is not None:
        folds = np.stack([has[fold_of == k].sum(axis=0, dtype=np.int64) for k in np.unique(fold_of)], axis=1)
    groups = np.bincount(in_group, minlength=len(names))
    return LabelCounts(names, has.sum(axis=0, dtype=np.int64), groups, alone, folds)


def _folds(fold_of: np.ndarray, group: np.ndarray, names: list[str]) -> Folds:
    numbers, images = np.unique(fold_of, return_counts=True)
    group_and_fold = np.unique(np.stack([group, fold_of]), axis=1)
    groups = np.array([(group_and_fold[1] == k).sum() for k in numbers])
    in_folds = np.bincount(group_and_fold[0], minlength=len(names))
    straddling = tuple(names[g] for g in np.flatnonzero(in_folds > 1))
    return Folds(tuple(numbers.tolist()), images, groups, straddling)


def _distribution(values: np.ndarray) -> dict[int, int]:
    found, times = np.unique(values, return_counts=True)
    return {int(value): int(n) for value, n in zip(found, times)}
