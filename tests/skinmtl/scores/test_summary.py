"""The figures in one line: what is in it for which heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from worked_example import SCORES

from skinmtl.scores.metrics import evaluate
from skinmtl.scores.tables import summary

LESIONS = {"lesion_scores": None, "lesion_labels": None, "lesion_names": None}
LOCATIONS = {"location_scores": None, "location_labels": None, "location_names": None}


def test_each_head_has_its_figures_with_what_chance_gives():
    figures = evaluate(SCORES)
    lesions = summary(evaluate(replace(SCORES, **LOCATIONS)))
    locations = summary(evaluate(replace(SCORES, **LESIONS)))
    assert lesions == (
        f"mAP-class {figures['map_class']:.3f} (chance {figures['chance_map_class']:.3f}), mAP-image "
        f"{figures['map_image']:.3f} (chance {figures['chance_map_image']:.3f}) over the 3 images with a lesion"
    )
    assert locations == "location top-1 0.250 (chance 0.500)"
    assert summary(figures) == f"{lesions}, {locations}"


def test_images_without_any_lesion_have_no_map():
    healthy = replace(SCORES, **LOCATIONS, lesion_labels=np.zeros((4, 3), np.uint8))
    assert summary(evaluate(healthy)) == "no mAP, since no image has a lesion"
