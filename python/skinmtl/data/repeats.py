"""How often an image with a rare lesion is repeated: the repeat factors of LVIS (Gupta et al. 2019, section 4.2).

A lesion that a share f of the images has is repeated max(1, sqrt(t / f)) times, an image as its rarest lesion. They
draw anew in each pass over the data whether a fraction becomes one more; records that are stored cannot, so that it is
drawn once, for each image by the seed and its name alone: whichever images lie beside it, and in whatever order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from skinmtl.data.manifest import Manifest

BITS = 64


@dataclass(frozen=True)
class Balance:
    """Lesions that less than the share `threshold` of the images has are repeated; `seed` is of the fractions."""

    threshold: float
    seed: int

    def repeats(self, manifest: Manifest) -> np.ndarray:
        """How many times each image of the manifest is stored, (N,) whole numbers from 1."""
        labels, images = manifest.lesion_labels(), [row.image for row in manifest.rows]
        return rounded(image_factors(labels, self.threshold), images, self.seed)

    def record(self, manifest: Manifest, repeats: np.ndarray) -> dict[str, Any]:
        """What dataset.json says: how to find the same again, and how many records there are of each lesion for one
        copy of an image."""
        records = (manifest.lesion_labels() * repeats[:, np.newaxis]).sum(axis=0)
        return {"threshold": self.threshold, "seed": self.seed, "records_per_lesion": records.tolist()}


def balance_of(summary: dict[str, Any]) -> Balance | None:
    """That of a data set, by its dataset.json."""
    said = summary.get("balance")
    return None if said is None else Balance(said["threshold"], said["seed"])


def lesion_factors(labels: np.ndarray, threshold: float) -> np.ndarray:
    """max(1, sqrt(t / f)) of each lesion, (P,), by labels (N, P) of 0 and 1; 1 of one that no image has."""
    shares = labels.sum(axis=0) / max(1, len(labels))
    return np.sqrt(np.maximum(1, threshold / np.where(shares > 0, shares, 1)))


def image_factors(labels: np.ndarray, threshold: float) -> np.ndarray:
    """The largest factor of its lesions, of each image, (N,); 1 without a lesion."""
    return np.maximum(1, (labels * lesion_factors(labels, threshold)).max(axis=1, initial=1))


def rounded(factors: np.ndarray, images: Sequence[str], seed: int) -> np.ndarray:
    """Each factor, up with the chance of its fraction, else down: (N,) whole numbers."""
    chance = [_fraction(image, seed) for image in images]
    return np.floor(factors).astype(int) + (np.array(chance) < factors % 1)


def _fraction(image: str, seed: int) -> float:
    """From 0 to below 1."""
    digest = hashlib.blake2b(image.encode("utf-8", "surrogatepass"), digest_size=BITS // 8, key=b"%d" % seed).digest()
    return int.from_bytes(digest, "little") / 2**BITS
