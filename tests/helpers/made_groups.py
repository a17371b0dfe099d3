"""Manifests with the group sizes of public data sets, labels drawn: to see what folds leak and how even they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skinmtl.data.manifest import Manifest, Row

# HAM10000 has 7,470 lesions and 10,015 images. These sizes sum to both; how many lesions have 1, 2, ... 6 images:
HAM_SIZES = (5514, 1423, 490, 34, 5, 4)
HAM_LESIONS = {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115}
HAM_LOCATIONS = {
    **{"back": 2192, "lower extremity": 2077, "trunk": 1404, "upper extremity": 1118, "abdomen": 1022, "face": 745},
    **{"chest": 407, "foot": 319, "unknown": 234, "neck": 168, "scalp": 128, "hand": 90, "ear": 56, "genital": 48},
    "acral": 7,
}
DERMQUEST_CASES, DERMQUEST_IMAGES = 6391, 23060


def ham_like(seed=1):
    """One lesion label and one site a lesion, drawn as often as HAM10000's images have them."""
    random = np.random.RandomState(seed)
    sizes = random.permutation(np.repeat(np.arange(1, 7), HAM_SIZES))
    group = np.repeat(np.arange(len(sizes)), sizes)
    lesions = _draw(random, HAM_LESIONS, len(sizes))[group]
    locations = _draw(random, HAM_LOCATIONS, len(sizes))[group]
    return manifest_of([((lesion,), location, str(g)) for lesion, location, g in zip(lesions, locations, group)])


def dermquest_like(seed=1):
    """Cases with 1, 2, 3, ... images in a geometric progression whose mean is 23,060 / 6,391, the only thing known.

    25 lesions and 23 sites by Zipf's law, one lesion of a case in all its images, 40 % of the images with another, 20 %
    with a site of their own.
    """
    random = np.random.RandomState(seed)
    quantile = (np.arange(DERMQUEST_CASES) + 0.5) / DERMQUEST_CASES
    stop = DERMQUEST_CASES / DERMQUEST_IMAGES
    sizes = 1 + np.floor(np.log(1 - quantile) / np.log(1 - stop)).astype(int)
    sizes[-1] += DERMQUEST_IMAGES - sizes.sum()  # rounding leaves a few images: the largest case has them
    group = np.repeat(np.arange(DERMQUEST_CASES), random.permutation(sizes))
    names = {f"lesion {p}": 1 / p for p in range(1, 26)}
    sites = {f"site {q}": 1 / q for q in range(1, 24)}
    main, more = _draw(random, names, DERMQUEST_CASES)[group], _draw(random, names, len(group))
    site, own = _draw(random, sites, DERMQUEST_CASES)[group], _draw(random, sites, len(group))
    with_more, with_own = random.uniform(size=(2, len(group))) < [[0.4], [0.2]]
    return manifest_of(
        [
            (tuple({a, b} if two else {a}), own_site if moved else case_site, str(g))
            for a, b, two, case_site, own_site, moved, g in zip(main, more, with_more, site, own, with_own, group)
        ]
    )


def manifest_of(rows):
    """Of (lesions, location, group) for every image, named 0.jpg, 1.jpg, ..."""
    made = tuple(Row(n + 2, f"{n}.jpg", tuple(of), at, group) for n, (of, at, group) in enumerate(rows))
    lesions = sorted({name for row in made for name in row.lesions})
    return Manifest(Path("manifest.csv"), made, tuple(lesions), tuple(sorted({row.location for row in made})))


def expected_leak(sizes, k):
    """The share of images with a sibling in another of k folds, where every image is dealt at random: of an image with
    s - 1 siblings, 1 less the probability that all are in its own fold."""
    sizes = np.asarray(sizes)
    return float((sizes * (1 - (1 / k) ** (sizes - 1.0))).sum() / sizes.sum())


def _draw(random, weights, n):
    share = np.array(list(weights.values()), float)
    return np.array(list(weights))[random.choice(len(share), n, p=share / share.sum())]
