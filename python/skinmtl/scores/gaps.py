"""How far the figures of lesions in one set of images are from those of the same net in another set.

The sets are independent: each is resampled by itself, and the interval of the gap is that of the differences of the
two, resample by resample. Where either set has too few groups for an interval of its own, the gap has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skinmtl.scores.bootstrap import FEWEST, ends_of, indexed
from skinmtl.scores.evaluating import Resampling
from skinmtl.scores.intervals import enough_by_figure, resampled_lesion_figures
from skinmtl.scores.label_figures import FIGURES, MEANS, OF_HEAD, Thresholds, head_of
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
    of_lesions, of_sets, enough, enough_groups = [], [], [], True
    for each in (side, other):
        groups, resamples, seed, level = each.resampling
        head = head_of(each.scores, "lesion")
        figures, of_set = resampled_lesion_figures(head, groups, resamples, seed, thresholds)
        if found["balanced_accuracy"] is not None:
            labels, scores = each.scores.lesion_labels, each.scores.lesion_scores
            of_set.update(resampled_one_lesion(labels, scores, groups, resamples, seed))
        of_lesions.append(figures)
        of_sets.append(of_set)
        enough.append(enough_by_figure(head, indexed(groups, len(groups))[0], thresholds))
        enough_groups = enough_groups and len(set(groups)) >= FEWEST
    ends: dict[str, Any] = dict.fromkeys(OF_SET)
    for name in of_sets[0]:
        if found[name] is not None:
            ends[name] = ends_of(of_sets[0][name] - of_sets[1][name], level, enough_groups)
    ends[KEY] = {}
    for p, lesion in enumerate(found[KEY]):
        ends[KEY][lesion] = dict.fromkeys(found[KEY][lesion])
        for figure, gap in found[KEY][lesion].items():
            if gap is None:
                continue
            differences = of_lesions[0][figure][:, p] - of_lesions[1][figure][:, p]
            if figure == "ece":  # it grows with mere scatter: moved back as in `intervals`
                differences = differences - np.nanmean(differences) + gap
            ends[KEY][lesion][figure] = ends_of(differences, level, all(each[lesion][figure] for each in enough))
    return ends
