"""The mAPs of a subgroup, and how far they are from those of all other images.

mAP-class is the mean over the lesions that the subgroup has, as everywhere; its gap is over those that both it and the
other images have, since means over different lesions are not to be compared. Both mAPs move with how frequent lesions
are, so that beside each stands what it is by chance, and beside the gap that of chance.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from skinmtl.scores.bootstrap import FEWEST, ends_of, per_group
from skinmtl.scores.label_figures import Head
from skinmtl.scores.label_resamples import mean_over_labels
from skinmtl.scores.metrics import average_precision, evaluate, random_average_precision
from skinmtl.scores.scores_file import Scores
from skinmtl.scores.weighted_ranking import ratio

MAPS = ("map_class", "map_image")
# Our choice. A lesion of one patient is in 63 % of the resamples alone: a mean that loses such lesions again and again
# is over others than the subgroup's, and its interval lies to one side.
LEAST_PRESENT = 0.95  # of the lesions that a mAP-class is over, in the mean of the resamples


def mean_figures(here: Head, elsewhere: Head) -> dict[str, Any]:
    """MAPS of the first, its `chance` and `gaps`, and the gaps' `chance_gaps`, by name; None where there is none.
    `n_lesions` are those of mAP-class, `n_lesions_of_gap` those of its gap, `n_with_lesion` the images of mAP-image."""
    inside, outside = (_evaluated(part) for part in (here, elsewhere))
    both = here.labels.any(axis=0) & elsewhere.labels.any(axis=0)
    precision, by_chance = (
        [of(part) for part in (here, elsewhere)]
        for of in (
            lambda part: average_precision(part.labels[:, both].T, part.scores[:, both].T),
            lambda part: random_average_precision(part.labels[:, both].sum(axis=0), len(part.labels)),
        )
    )
    return {
        **{name: inside[name] for name in MAPS},
        "chance": {name: inside[f"chance_{name}"] for name in MAPS},
        "gaps": {
            "map_class": float(precision[0].mean() - precision[1].mean()) if both.any() else None,
            "map_image": _less(inside["map_image"], outside["map_image"]),
        },
        "chance_gaps": {
            "map_class": float(by_chance[0].mean() - by_chance[1].mean()) if both.any() else None,
            "map_image": _less(inside["chance_map_image"], outside["chance_map_image"]),
        },
        "n_lesions": inside["n_classes_used"],
        "n_lesions_of_gap": int(both.sum()),
        "n_with_lesion": inside["n_images_used"],
    }


def image_sums(part: Head, group: np.ndarray, n_groups: int) -> np.ndarray:
    """(2, G): over the images of each group, the sum of their average precisions, and how many have a lesion."""
    there = part.labels.any(axis=1)
    return per_group(group, n_groups, np.where(there, average_precision(part.labels, part.scores), 0), there)


def mean_intervals(
    found: dict[str, Any],
    precision: Sequence[np.ndarray],
    sums: Sequence[np.ndarray],
    n_groups: Sequence[int],
    level: float,
) -> dict[str, dict[str, Any]]:
    """`intervals` and `gap_intervals` of what `mean_figures` found, by name; None where there is too little to draw
    from, as `bootstrap` has it, and for a mAP-class that has fewer than LEAST_PRESENT of its lesions in the resamples.

    precision  of the subgroup and of the others, (B, P) each: AP of each lesion in each resample, nan without one
    sums       of both, (2, B) each: what `image_sums` counts, over the groups that are drawn
    n_groups   of both: how many groups have an image there with a lesion
    """
    enough = [n >= FEWEST for n in n_groups]
    of_images = [ratio(*each) for each in sums]
    both = ~np.isnan(precision[0]) & ~np.isnan(precision[1])
    of_both = [mean_over_labels(np.where(both, each, np.nan)) for each in precision]
    present = _present(~np.isnan(precision[0]), found["n_lesions"])
    present_in_both = _present(both, found["n_lesions_of_gap"])
    drawn = {"map_class": mean_over_labels(precision[0]), "map_image": of_images[0]}
    gaps = {"map_class": of_both[0] - of_both[1], "map_image": of_images[0] - of_images[1]}
    return {
        "intervals": {
            name: ends_of(values, level, enough[0] and found[name] is not None and (present or name == "map_image"))
            for name, values in drawn.items()
        },
        "gap_intervals": {
            name: ends_of(
                values,
                level,
                all(enough) and found["gaps"][name] is not None and (present_in_both or name == "map_image"),
            )
            for name, values in gaps.items()
        },
    }


def _present(there: np.ndarray, lesions: int) -> bool:
    """Whether nearly all of so many lesions are there in the resamples (B, P)."""
    return bool(there.sum() >= LEAST_PRESENT * lesions * len(there))


def groups_with_lesion(part: Head, group: np.ndarray) -> int:
    """How many groups have an image of the part with a lesion; `group` (N,) is that of each of its images."""
    return len(np.unique(group[part.labels.any(axis=1)]))


def _evaluated(part: Head) -> dict[str, Any]:
    names = [str(row) for row in range(len(part.labels))]
    lesions = {"lesion_scores": part.scores, "lesion_labels": part.labels, "lesion_names": list(part.names)}
    return evaluate(Scores(names, {}, **lesions))


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
