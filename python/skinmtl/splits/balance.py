"""How evenly folds hold the labels, and how evenly folds dealt at random would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator

import numpy as np
from scipy.sparse import csr_matrix

from skinmtl.common.counting import cut
from skinmtl.data.manifest import Manifest
from skinmtl.splits.dealing import image_labels, make_folds, membership, unit_names

RANDOM_DEALS = 5  # our choice: enough for a mean to compare with


@dataclass(frozen=True)
class Balance:
    """The labels of folds: lesions, then locations (L = P + Q).

    labels     (L,) such as "lesion 'naevus'"
    units      (L,) int64: the groups (or images, where these were dealt) that have the label
    per_fold   (k, L) int64: its images in each fold
    sizes      (k,) int64: the images of each fold
    """

    labels: tuple[str, ...]
    units: np.ndarray
    per_fold: np.ndarray
    sizes: np.ndarray

    @property
    def deviations(self) -> np.ndarray:
        """(L,) float64: how far the worst fold is from an even share of the label's images, relative to that share.

        0 where every fold has the same number, 1 where a fold has none or twice its share; nan for no image at all.
        """
        even = self.per_fold.sum(axis=0) / len(self.per_fold)
        with np.errstate(invalid="ignore"):
            return np.abs(self.per_fold - even).max(axis=0) / np.where(even > 0, even, np.nan)

    @property
    def judged(self) -> np.ndarray:
        """(L,) bool: the labels that could be in every fold, having a group for each at least."""
        return self.units >= len(self.per_fold)

    @property
    def summary(self) -> tuple[float, float] | None:
        """The worst and the mean deviation over the judged labels; None where there is none."""
        judged = self.deviations[self.judged]
        return (float(judged.max()), float(judged.mean())) if len(judged) else None


def balance(manifest: Manifest, folds: np.ndarray, k: int, by: str) -> Balance:
    """Of folds (N,) with numbers 0..k-1 that were dealt by "group" or by "image"."""
    labels = image_labels(manifest)
    names, of_row = np.unique(unit_names(manifest, by), return_inverse=True)
    per_unit = csr_matrix(membership(of_row.reshape(-1), len(names)).T @ labels)
    kinds = [f"lesion {name!r}" for name in manifest.lesion_names]
    kinds += [f"location {name!r}" for name in manifest.location_names]
    return Balance(
        tuple(kinds),
        np.bincount(per_unit.indices, minlength=len(kinds)),
        (membership(folds, k).T @ labels).toarray(),
        np.bincount(folds, minlength=k),
    )


def balance_by_chance(manifest: Manifest, k: int, seed: int, by: str) -> tuple[float, float] | None:
    """The summary of plain random folds, its mean over RANDOM_DEALS seeds from `seed` on."""
    seeds = [(seed + n) % 2**32 for n in range(RANDOM_DEALS)]
    found = [balance(manifest, make_folds(manifest, k, each, by), k, by).summary for each in seeds]
    if found[0] is None:
        return None
    worst, mean = np.mean(found, axis=0).tolist()
    return worst, mean


def lines(found: Balance, by_chance: tuple[float, float] | None, by: str) -> Iterator[str]:
    """For people: sizes, a table of the labels, the summary, and each label that some fold lacks."""
    for fold, size in enumerate(found.sizes):
        yield f"fold {fold}: {size} images"
    yield from table(found, by)
    if found.summary:
        worst = int(np.where(found.judged, found.deviations, -1).argmax())
        text = (
            f"from even, {found.judged.sum()} labels: worst {_percent(found.summary[0])} ({cut(found.labels[worst])}), "
        )
        text += f"mean {_percent(found.summary[1])}"
        if by_chance:
            text += f"; {by}s dealt at random: worst {_percent(by_chance[0])}, mean {_percent(by_chance[1])}"
            text += f" (mean of {RANDOM_DEALS} deals)"
        yield text
    yield from lacking(found, by)


def lacking(found: Balance, by: str) -> Iterator[str]:
    """A sentence for each label that is not in every fold."""
    k = len(found.per_fold)
    for label, units, images in zip(found.labels, found.units.tolist(), found.per_fold.T):
        without = np.flatnonzero(images == 0).tolist()
        if 0 < units < k:
            yield f"{cut(label)} is in {units} {by}{'s' * (units > 1)}: it cannot be in each of {k} folds"
        elif units and without:
            yield f"{cut(label)} is in {units} {by}s, and not in fold {', '.join(map(str, without))}"


def record(found: Balance, by_chance: tuple[float, float] | None) -> dict[str, Any]:
    """The same for a JSON file."""
    deviations = found.deviations.tolist()
    return {
        "fold_sizes": found.sizes.tolist(),
        "labels": {
            label: {
                "images": int(found.per_fold[:, n].sum()),
                "units": int(found.units[n]),
                "images_by_fold": found.per_fold[:, n].tolist(),
                "worst_deviation": None if np.isnan(deviations[n]) else deviations[n],
            }
            for n, label in enumerate(found.labels)
        },
        "worst_and_mean_deviation": found.summary,
        "worst_and_mean_deviation_by_chance": by_chance,
    }


def table(found: Balance, by: str) -> Iterator[str]:
    """The labels' images in each fold, a line each."""
    header = ["label", "images", f"{by}s", *(f"fold {fold}" for fold in range(len(found.sizes))), "from even"]
    rows = [header]
    for n, label in enumerate(found.labels):
        images = found.per_fold[:, n]
        deviation = "-" if not images.any() else _percent(found.deviations[n])
        rows.append([cut(label), str(images.sum()), str(found.units[n]), *map(str, images), deviation])
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:]))])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
