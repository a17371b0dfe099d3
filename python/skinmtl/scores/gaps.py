"""How far the figures of lesions in one set of images are from those of the same net in another set.

The sets are independent: each is resampled by itself, and the interval of the gap is that of the differences of the
two, resample by resample. Where the figure of either set has no interval of its own, the gap has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skinmtl.scores.bootstrap import ends_of
from skinmtl.scores.evaluating import Resampling
from skinmtl.scores.intervals import resampled_lesion_figures
from skinmtl.scores.label_figures import FIGURES, MEANS, OF_HEAD, Thresholds, head_of
from skinmtl.scores.label_resamples import mean_over_labels
from skinmtl.scores.one_lesion import FIGURES as ONE_LESION
from skinmtl.scores.one_lesion import resampled_one_lesion
from skinmtl.scores.scores_file import Scores

KEY = OF_HEAD["lesion"]
OF_SET = ("map_class", "map_image", *ONE_LESION, MEANS["lesion"])


class Side(NamedTuple):
    """One of the two sets: its scores of lesions, their figures, and how its groups are drawn; None: they are not."""

    scores: Scores
    figures: dict[str, Any]
    resampling: Resampling | None


def gaps(side: Side, other: Side, thresholds: Thresholds | None) -> dict[str, Any]:
    """Ready for JSON: `gaps`, the figures of `side` less those of `other` by name, and those of KEY by lesion and
    figure; with resamples `gap_intervals`, by the same names. None where either set has no such figure.

    Both have the same lesions; their resamplings differ in groups and seed alone.
    """
    found: dict[str, Any] = {name: _difference(side.figures, other.figures, name) for name in OF_SET}
    found[KEY] = {
        lesion: {
            figure: _difference(of_lesion, other.figures[KEY][lesion], figure)
            for figure in FIGURES
            if figure in of_lesion
        }
        for lesion, of_lesion in side.figures[KEY].items()
    }
    if side.resampling is None or other.resampling is None:
        return {"gaps": found}
    return {"gaps": found, "gap_intervals": _intervals(side, other, thresholds, found)}


def _difference(here: dict[str, Any], there: dict[str, Any], name: str) -> float | None:
    pair = here.get(name), there.get(name)
    return None if None in pair else pair[0] - pair[1]


def _intervals(side: Side, other: Side, thresholds: Thresholds | None, found: dict[str, Any]) -> dict[str, Any]:
    drawn = []
    for scores, _, resampling in (side, other):
        groups, resamples, seed, level = resampling
        of_lesions, of_set = resampled_lesion_figures(head_of(scores, "lesion"), groups, resamples, seed, thresholds)
        if found["balanced_accuracy"] is not None:
            labels = scores.lesion_labels, scores.lesion_scores
            of_set.update(resampled_one_lesion(*labels, groups, resamples, seed))
        drawn.append((of_lesions, of_set))
    for name, figure in (("map_class", "average_precision"), (MEANS["lesion"], "auroc")):
        for (_, of_set), means in zip(drawn, means_over_both(*(of_lesions[figure] for of_lesions, _ in drawn))):
            of_set[name] = means
    own = [each.figures["intervals"] for each in (side, other)]
    ends: dict[str, Any] = dict.fromkeys(OF_SET)
    for name, values in drawn[0][1].items():
        enough = found[name] is not None and None not in (each[name] for each in own)
        ends[name] = ends_of(values - drawn[1][1][name], level, enough)
    ends[KEY] = {lesion: dict.fromkeys(gaps_of) for lesion, gaps_of in found[KEY].items()}
    for p, (lesion, gaps_of) in enumerate(found[KEY].items()):
        for figure, gap in gaps_of.items():
            if gap is not None:
                differences = drawn[0][0][figure][:, p] - drawn[1][0][figure][:, p]
                if figure == "ece":  # it grows with mere scatter: moved back as in `intervals`
                    differences = differences - np.nanmean(differences) + gap
                enough = None not in (each[KEY][lesion][figure] for each in own)
                ends[KEY][lesion][figure] = ends_of(differences, level, enough)
    return ends


def means_over_both(here: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B,) each, of (B, P): means over the lesions that have a figure in both sets' resamples. Means over different
    lesions are not to be compared."""
    both = ~np.isnan(here) & ~np.isnan(there)
    one, other = (mean_over_labels(np.where(both, each, np.nan)) for each in (here, there))
    return one, other
