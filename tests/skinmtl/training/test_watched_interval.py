"""The interval of the watched error by chance: as drawn sets have it, and never none for want of images."""

from __future__ import annotations

import numpy as np
import pytest

from skinmtl.training.validation import WATCHED
from skinmtl.training.watched_interval import half_width

COUNTS = {"lesion": [300, 150, 50], "location": [250, 150, 100]}


@pytest.mark.parametrize(
    "watch, head, error_of",
    [
        ("location_top1", "location", lambda labels: labels != 0),
        ("map_image", "lesion", lambda labels: 1 - 1 / (labels + 1)),
        ("location_loss", "location", lambda labels: -np.log(np.array(COUNTS["location"]) / 500)[labels]),
    ],
)
def test_it_is_that_of_drawn_validation_sets(watch, head, error_of):
    error, half = half_width(watch, COUNTS, 500, None)
    random = np.random.RandomState(1)
    drawn = [error_of(random.choice(3, 500, p=np.array(COUNTS[head]) / 500)).mean() for _ in range(2000)]
    assert error == pytest.approx(np.mean(drawn), rel=0.02)
    assert half == pytest.approx(1.96 * np.std(drawn), rel=0.1)


@pytest.mark.parametrize("watch", sorted(WATCHED))
def test_it_is_there_for_all_that_can_be_watched_and_shrinks_with_the_root_of_the_groups(watch):
    error, half = half_width(watch, COUNTS, 500, 100)
    assert error > 0
    assert half > 0
    assert half_width(watch, COUNTS, 500, 25)[1] == pytest.approx(2 * half)
    assert half_width(watch, COUNTS, 500, 500)[1] < half


@pytest.mark.parametrize("watch", sorted(WATCHED))
def test_a_few_images_that_are_all_alike_are_not_certain(watch):
    assert half_width(watch, {"lesion": [4, 0, 0], "location": [0, 4]}, 4, None)[1] > 0.1
