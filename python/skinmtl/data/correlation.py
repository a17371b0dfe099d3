"""How lesions and body locations go together: equation 1, and how strongly each lesion depends on the location."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.special import gammaln

from skinmtl.data.manifest import Manifest

ORDERED_UP_TO = 1000


@dataclass(frozen=True)
class Strength:
    """How far the locations of each lesion's images are from the locations of all images, in bits.

    images       (P,) int64: images with the lesion
    divergence   (P,) float64: the Kullback-Leibler divergence of row R_i from the location shares of all images
    by_chance    (P,) float64: its exact mean where the locations are shuffled over the images
    corrected    (P,) float64: divergence - by_chance; about 0, and as often below, for a lesion that does not care

    The divergence of few images is large by chance alone, so that rare lesions would lead: `corrected` takes the mean
    of that away, and is what the report calls strength. It cannot take the noise away. nan for a lesion with no image.
    A lesion that most images have cannot be far from all of them: its divergence is at most log2(all images / its own).
    """

    images: np.ndarray
    divergence: np.ndarray
    by_chance: np.ndarray
    corrected: np.ndarray


def counts(manifest: Manifest) -> np.ndarray:
    """(P, Q) int64: the images with lesion p at location q. An image with two lesions counts in both rows."""
    rows, lesions = np.nonzero(manifest.lesion_labels())
    p, q = len(manifest.lesion_names), len(manifest.location_names)
    return np.bincount(lesions * q + manifest.location_labels()[rows], minlength=p * q).reshape(p, q)


def correlation(manifest: Manifest) -> np.ndarray:
    """(P, Q) float64, equation 1: R_ij = images with lesion i and location j / images with lesion i.

    Each row sums to 1; the row of a lesion with no image is nan.
    """
    return _shares(counts(manifest))


def strength(manifest: Manifest) -> Strength:
    """How strongly each lesion depends on the location (our choice of measure; the paper has none)."""
    at_location = np.bincount(manifest.location_labels(), minlength=len(manifest.location_names))
    of_lesion = counts(manifest)
    images = of_lesion.sum(axis=1)
    overall = at_location / at_location.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = _shares(of_lesion)
        terms = np.where(of_lesion > 0, shares * np.log2(shares / overall), 0)
    divergence = np.where(images > 0, terms.sum(axis=1), np.nan)
    of_number = {n: _divergence_by_chance(n, at_location) for n in set(images.tolist())}
    by_chance = np.array([of_number[n] for n in images.tolist()])
    return Strength(images, divergence, by_chance, divergence - by_chance)


def clustered_order(rows: np.ndarray) -> np.ndarray:
    """(P,) indices that put similar rows of an (P, Q) correlation side by side; rows of nan come last, as listed.

    Average linkage on the total variation distance (half the sum of absolute differences: the share of images that
    would have to move), leaves in the order that makes neighbours most alike: up to
    ORDERED_UP_TO rows, more would take minutes (our choice).
    """
    empty = np.isnan(rows).any(axis=1)
    filled = np.flatnonzero(~empty)
    if len(filled) > 2:
        ordered = len(filled) <= ORDERED_UP_TO
        filled = filled[leaves_list(linkage(rows[filled] / 2, "average", "cityblock", optimal_ordering=ordered))]
    return np.concatenate([filled, np.flatnonzero(empty)])


def _shares(of_lesion: np.ndarray) -> np.ndarray:
    images = of_lesion.sum(axis=1, keepdims=True)
    return np.divide(of_lesion, images, out=np.full(of_lesion.shape, np.nan), where=images > 0)


def _divergence_by_chance(images: int, at_location: np.ndarray) -> float:
    """The mean divergence of `images` images drawn without replacement from all: each location's number of them is
    hypergeometric, and a mean of a sum is the sum of the means."""
    if not images:
        return np.nan
    everything = int(at_location.sum())
    total = 0.0
    sizes, times = np.unique(at_location[at_location > 0], return_counts=True)
    for there, n_such in zip(sizes.tolist(), times.tolist()):
        drawn = np.arange(max(1, images + there - everything), min(images, there) + 1)
        share = drawn / images
        probability = np.exp(
            _log_choose(there, drawn)
            + _log_choose(everything - there, images - drawn)
            - _log_choose(everything, images)
        )
        total += n_such * float((probability * share * np.log2(share * everything / there)).sum())
    return total


def _log_choose(n: int, k: np.ndarray | int) -> np.ndarray:
    """The logarithm of n over k."""
    return gammaln(n + 1) - gammaln(np.add(k, 1)) - gammaln(np.subtract(n, k) + 1)
