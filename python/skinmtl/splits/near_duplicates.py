"""Near-duplicate images of different groups: those with near perceptual hashes that also look alike.

A hash alone is not enough here: of 8 million pairs of different drawn moles, each a dark spot in the middle, 2,091 had
hashes as near as copies have. So each such pair is looked at again, in grey, 32 x 32: 53 of them still looked alike.

The hash is the DCT hash of Zauner ("Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), as in
the pHash library: grey, smoothed, 32 x 32, two-dimensional DCT-II, the 8 x 8 coefficients of frequencies 1 to 8 in both
directions, each one bit: above their median or not. Size, compression, brightness and contrast hardly matter to it.
One difference: an area filter does the smoothing and the shrinking at once, in place of a 7 x 7 mean before a resize.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, NamedTuple, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from caffe_files.errors import InputError
from skinmtl.common.parallel import ordered_map
from skinmtl.data.bad_images import check_images_exist, refuse_bad_images
from skinmtl.data.manifest import Manifest
from skinmtl.images.image_file import load

SIDE, BITS = 32, 64  # of the picture that is hashed, and of the hash
FREQUENCIES = slice(1, 9)
# Our choices, from copies of 300 pieces of photographs, 600 drawn lesions and 300 drawn moles: saved again as JPEG
# (quality 50 or 20), halved, brighter, with more contrast, or cut by 1 % a side, 97 % or more are within 6 bits (the
# hash has as many ones as zeros, so that distances are even), and 94 % or more correlate by 0.97 too; cut by 2 %, 94 %
# of the moles, 61 % of the lesions and 47 % of the photographs do.
USUAL_DISTANCE = 6
USUAL_CORRELATION = 0.97
# Our choice, in grey levels: below it the noise of a JPEG of quality 75 moves 6 bits or more of one hash in ten.
LEAST_STRENGTH = 5.0
MOST_PAIRS = 1_000_000
TILE = 2048  # hashes a side: a tile of distances takes 16 MB
AT_ONCE = 4096  # pairs of pictures that are compared at a time, in 64 MB


class Search(NamedTuple):
    """Where the images are, how many bits of the hash may differ (0 to 64), the least correlation of the small pictures
    (-1 to 1), and how many processes read images."""

    images: Path
    distance: int
    correlation: float
    workers: int


class PerceptualHash(NamedTuple):
    """bits      (64,) bool
    mirrored  (64,) bool, the bits of the image with left and right exchanged
    strength  root mean square of the 64 coefficients, in grey levels; small where noise alone decides the bits
    picture   (32, 32) uint8, what the hash was made from
    """

    bits: np.ndarray
    mirrored: np.ndarray
    strength: float
    picture: np.ndarray


class Hashes(NamedTuple):
    """bits, mirrored  (N, 64) bool: the hash of every image, and of the same image with left and right exchanged
    pictures        (N, 32, 32) uint8: every image in grey, small
    too_plain       (N,) bool: images with so little structure that their hash says nothing; they are not compared
    """

    bits: np.ndarray
    mirrored: np.ndarray
    pictures: np.ndarray
    too_plain: np.ndarray


class Pair(NamedTuple):
    """Two rows of the manifest, the image first whose name comes first; how many bits their hashes are apart; the
    correlation of their small pictures; `mirrored` where one is more like the other's mirror image than like it."""

    a: int
    b: int
    distance: int
    correlation: float
    mirrored: bool


class Found(NamedTuple):
    """The pairs, nearest first, then by name; how many pairs had near hashes; and (N,) bool, as in Hashes."""

    pairs: list[Pair]
    n_near_hashes: int
    too_plain: np.ndarray


def find_near_duplicates(manifest: Manifest, groups: Sequence[str], search: Search) -> Found:
    """Among the images of a manifest, of different `groups` (N)."""
    return find_pairs(manifest, groups, hash_images(manifest, search.images, search.workers), search)


def hash_images(manifest: Manifest, image_folder: Path, workers: int) -> Hashes:
    """Hashes every image in worker processes. InputError with a line for each that is missing or cannot be read."""
    check_images_exist(manifest, image_folder)
    n_images = len(manifest.rows)
    faults: dict[int, str] = {}
    found = Hashes(
        np.zeros((n_images, BITS), bool),
        np.zeros((n_images, BITS), bool),
        np.zeros((n_images, SIDE, SIDE), np.uint8),
        np.zeros(n_images, bool),
    )
    paths = (image_folder / row.image for row in manifest.rows)
    for n, result in enumerate(tqdm(ordered_map(_hash_file, paths, workers), "hashing", n_images, disable=None)):
        if isinstance(result, str):
            faults[n] = result
        else:
            found.bits[n], found.mirrored[n], found.pictures[n] = result.bits, result.mirrored, result.picture
            found.too_plain[n] = result.strength < LEAST_STRENGTH
    refuse_bad_images(manifest, image_folder, faults)
    return found


def find_pairs(manifest: Manifest, groups: Sequence[str], hashes: Hashes, search: Search) -> Found:
    """The pairs of images of different `groups` (N) whose hashes differ in at most `distance` bits, and whose pictures
    correlate by `correlation` at least, one of the two mirrored or not. InputError where there are over MOST_PAIRS."""
    rows = np.flatnonzero(~hashes.too_plain)
    rows = rows[np.argsort([manifest.rows[n].image for n in rows], kind="stable")]
    group = np.unique(groups, return_inverse=True)[1].reshape(-1)
    pairs: list[Pair] = []
    n_near_hashes = 0
    for a, b, bits in _near(hashes.bits[rows], hashes.mirrored[rows], group[rows], search.distance):
        n_near_hashes += len(a)
        for start in range(0, len(a), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            left, right = rows[a[part]], rows[b[part]]
            straight = _correlation(hashes.pictures[left], hashes.pictures[right])
            across = _correlation(hashes.pictures[left], hashes.pictures[right][:, :, ::-1])
            alike = np.maximum(straight, across)
            columns = (left, right, bits[part], alike, across > straight)
            pairs += map(Pair, *(column[alike >= search.correlation].tolist() for column in columns))
            if len(pairs) > MOST_PAIRS:
                raise InputError(
                    f"{manifest.path}: more than {MOST_PAIRS:,} pairs of images are within a distance of "
                    f"{search.distance}; ask for a smaller one"
                )
    return Found(sorted(pairs, key=lambda pair: pair.distance), n_near_hashes, hashes.too_plain)


def _near(
    bits: np.ndarray, mirrored: np.ndarray, groups: np.ndarray, distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Tile by tile (a, b, distance), a < b, in the order of a, then b.

    With bits as -1 and 1 the product of two hashes is 64 - 2 x their distance: a matrix product, exact in float32.
    """
    signs, flipped = (np.where(each, 1, -1).astype(np.float32) for each in (bits, mirrored))
    for first in tqdm(range(0, len(bits), TILE), "comparing", disable=None):
        row = slice(first, first + TILE)
        found = []
        for second in range(first, len(bits), TILE):
            column = slice(second, second + TILE)
            product = signs[row] @ signs[column].T
            # both ways round: the median makes them differ a little
            np.maximum(product, signs[row] @ flipped[column].T, out=product)
            np.maximum(product, flipped[row] @ signs[column].T, out=product)
            a, b = np.nonzero(product >= BITS - 2 * distance)
            apart = ((BITS - product[a, b]) / 2).astype(np.int64)
            a, b = a + first, b + second
            keep = (a < b) & (groups[a] != groups[b])
            found.append([each[keep] for each in (a, b, apart)])
        a, b, apart = (np.concatenate(each) for each in zip(*found))
        order = np.lexsort((b, a))
        yield a[order], b[order], apart[order]


def _correlation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(M,) Pearson's correlation of the grey levels of pictures (M, 32, 32) uint8; 0 where one has one level only."""
    left, right = (each.reshape(len(each), -1).astype(np.float64) for each in (left, right))
    left, right = (each - each.mean(axis=1, keepdims=True) for each in (left, right))
    size = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    return np.round((left * right).sum(axis=1) / np.maximum(size, 1e-9), 4)


def perceptual_hash(image: np.ndarray) -> PerceptualHash:
    """Of an (H, W, 3) uint8 BGR image, of any size and shape."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small)[FREQUENCIES, FREQUENCIES]
    mirrored = low.copy()
    mirrored[:, ::2] *= -1  # the DCT of a mirrored image: odd horizontal frequencies change their sign
    strength = float(np.sqrt(np.mean(low**2)))
    return PerceptualHash(_above_median(low), _above_median(mirrored), strength, np.rint(small).astype(np.uint8))


def _above_median(low: np.ndarray) -> np.ndarray:
    return (low > np.median(low)).reshape(-1)


def _hash_file(path: Path) -> PerceptualHash | str:
    """Its hash, or in words why there is none. The shorter side of 64 is enough for a hash of 32 x 32."""
    loaded = load((path, 2 * SIDE))
    return loaded.problem if loaded.pixels is None else perceptual_hash(loaded.pixels)
