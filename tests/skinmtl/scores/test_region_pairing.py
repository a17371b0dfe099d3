"""Regions of several models side by side, and of several folds as one set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_regions import BY_HAND, drawn_regions, rows_of
from worked_example import SCORES

from caffe_files.errors import InputError
from skinmtl.scores.region_metrics import evaluate_regions
from skinmtl.scores.region_pairing import aligned_regions, pooled_regions
from skinmtl.scores.regions_file import CLASS, MASK


def shuffled(scores, seed=0):
    rows = np.random.RandomState(seed).permutation(len(scores.image))
    return replace(rows_of(scores, rows), image=[scores.image[row] for row in rows])


def test_rows_come_in_the_order_of_the_first():
    scores = drawn_regions(20, without=0.3)
    first, second = aligned_regions([("one", scores), ("two", shuffled(scores))])
    assert second.image == scores.image
    for name in ("boxes", "true_boxes", "class_labels", "mask_counts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_models_need_not_have_the_same_heads():
    one, other = replace(BY_HAND, **dict.fromkeys(CLASS)), replace(BY_HAND, **dict.fromkeys(MASK))
    first, second = aligned_regions([("mask", one), ("class", other)])
    assert first.class_scores is None and second.mask_counts is None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"image": ["1.jpg", "2.jpg", "3.jpg", "5.jpg"]}, "two: has no image '4.jpg'"),
        ({"class_names": ["benign", "melanoma"]}, "two: class 1 is 'melanoma', in one it is 'malignant'"),
        ({"class_labels": np.array([1, 0, 1, 1])}, "two: image '4.jpg' has another class than in one"),
        ({"image_sizes": np.full((4, 2), 11)}, "two: image '1.jpg' has another size than in one"),
        ({"true_boxes": np.ones((4, 4), np.float32)}, r"has another true box than in one \(images that differ: 4\)"),
    ],
)
def test_the_first_difference_is_named(change, words):
    with pytest.raises(InputError, match=words):
        aligned_regions([("one", BY_HAND), ("two", replace(BY_HAND, **change))])


def test_a_file_without_regions_is_refused():
    with pytest.raises(InputError, match="two: has no boxes of lesions"):
        aligned_regions([("one", BY_HAND), ("two", SCORES)])


def test_folds_are_one_set():
    scores = drawn_regions(30)
    folds = [(str(fold), replace(rows_of(scores, rows), image=[scores.image[row] for row in rows]))
             for fold, rows in enumerate(np.array_split(np.arange(30), 3))]  # fmt: skip
    pooled = pooled_regions(folds)
    assert pooled.image == scores.image
    assert evaluate_regions(pooled, "malignant") == evaluate_regions(scores, "malignant")
    assert [source["file"] for source in pooled.protocol["pooled"]] == ["0", "1", "2"]


def test_folds_of_other_parts_or_with_an_image_twice_are_refused():
    with pytest.raises(InputError, match=r"two: image '1\.jpg' \(row 0\) is in one \(row 0\) too"):
        pooled_regions([("one", BY_HAND), ("two", BY_HAND)])
    other = replace(BY_HAND, image=["5.jpg", "6.jpg", "7.jpg", "8.jpg"], mask_counts=None)
    with pytest.raises(InputError, match="two: has no mask_counts, one has; pool folds of one model"):
        pooled_regions([("one", BY_HAND), ("two", other)])
