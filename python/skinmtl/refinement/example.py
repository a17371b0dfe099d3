"""A made-up table of 180 lesions to try the refinement on: as many images as DermQuest had, and as uneven."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from caffe_files.outputs import new_folder
from skinmtl.data.manifest import Manifest, Row, write_manifest
from skinmtl.data.table import write_csv
from skinmtl.refinement.rules import COLUMNS, LESION_FAMILY

IMAGES, CASES = 23_060, 6_391
# The most frequent first: the sublesions of the paper's Table 1 are among the first eight, with more than 1,000 images
# each. Locations: the paper names scalp, hands, nails and fingers. All other names, the order and the counts are ours.
FREQUENT = (
    *("erythematous plaque", "erythematous papule", "erythema/erythroderm", "hyperpigmented papule", "squames/scales"),
    *("erythematous-squamous plaque", "pearly papule", "hyperpigmented plaque", "tumour", "nodule", "macule", "crust"),
    *("vesicular/pustular", "scar", "alopecia", "ulcer", "erosion", "hyperkeratosis", "excoriation", "edema", "cyst"),
    *("comedones", "telangiectasis", "oozing", "atrophy"),
)
FAMILIES = {
    "papule": "other papule",
    "plaque": "other plaque",
    "nodule": "nodule",
    "macule": "macule",
    "tumour": "tumour",
    "crust": "crust",
    "scar": "scar",
    "cyst": "cyst",
}
KINDS_OF = (
    *("annular", "atrophic", "blue", "brown", "confluent", "dome-shaped", "eroded", "firm", "flat-topped", "grouped"),
    *("linear", "skin-coloured", "soft", "verrucous", "violaceous", "yellow"),
)
RARE = tuple(f"rare lesion {number:02}" for number in range(1, 28))  # of no family
LOCATIONS = (
    *("face", "back", "hands", "legs", "chest", "arms", "scalp", "feet", "neck", "abdomen", "fingers", "thighs"),
    *("forearms", "lips", "nails", "ears", "buttocks", "groin", "eyelids", "oral mucosa", "axillae", "knees", "nose"),
    *("elbows", "umbilicus"),
)
STEEPNESS, FLATNESS, MORE_LESIONS = 2.5, 15, 0.45


def example_lesions() -> list[str]:
    """The 180 names, the most frequent first."""
    return [*FREQUENT, *(f"{kind} {family}" for kind, family in product(KINDS_OF, FAMILIES)), *RARE]


def example_families() -> list[tuple[str, str, str]]:
    """The lines of a map for them: a lesion is a sublesion of the family that its last word names."""
    families = ((name, FAMILIES.get(name.split()[-1])) for name in example_lesions())
    return [(name, family, LESION_FAMILY) for name, family in families if family and family != name]


def example_manifest(seed: int = 1) -> Manifest:
    """The table, 1 to 3 lesions an image, counts as Zipf and Mandelbrot have them.

    The share of the lesion of rank k is proportional to (k + 15) ** -2.5, that of the location to 1 / k: our choice,
    so that about ten lesions have more than 1,000 images and about forty fewer than 10.
    """
    names = example_lesions()
    random = np.random.RandomState(seed)
    shares = (np.arange(len(names)) + 1.0 + FLATNESS) ** -STEEPNESS
    drawn = random.choice(len(names), (IMAGES, 3), p=shares / shares.sum())
    how_many = 1 + random.binomial(2, MORE_LESIONS / 2, IMAGES)
    at = 1 / np.arange(1, len(LOCATIONS) + 1)
    locations = random.choice(len(LOCATIONS), IMAGES, p=at / at.sum())
    cases = np.sort(random.randint(0, CASES, IMAGES))
    rows = []
    for n in range(IMAGES):
        lesions = tuple(names[p] for p in dict.fromkeys(drawn[n, : how_many[n]].tolist()))
        rows.append(Row(n + 2, f"{n:05}.jpg", lesions, LOCATIONS[locations[n]], f"case {cases[n]:04}"))
    return Manifest(Path("manifest.csv"), tuple(rows), tuple(sorted(names)), tuple(sorted(LOCATIONS)))


def write_example(out: Path) -> None:
    """Makes a folder with the table and its map of families; there are no images."""
    with new_folder(out) as folder:
        write_manifest(folder, example_manifest())
        write_csv(folder / "families.csv", COLUMNS, example_families())
