"""Scores files side by side: rows matched by name, folds pooled, and every difference refused by its name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.pairing import aligned, groups_of, pooled
from skinmtl.scores.scores_file import HEADS, Scores

BOTH = ("lesion", "location")


def scored(n=6, seed=0, start=0):
    """Scores of images start.jpg, start + 1.jpg, ...; the labels go with the image's number, the scores with `seed`."""
    numbers = np.arange(start, start + n)
    random = np.random.RandomState([seed, start])
    return Scores(
        image=[f"{number}.jpg" for number in numbers],
        protocol={"net": f"net {seed}"},
        lesion_scores=random.random_sample((n, 3)).astype(np.float32),
        lesion_labels=(numbers[:, None] >> np.arange(3) & 1).astype(np.uint8),
        lesion_names=["cyst", "crust", "scar"],
        location_scores=random.random_sample((n, 2)).astype(np.float32),
        location_labels=numbers % 2,
        location_names=["face", "trunk"],
    )


def only(scores, head):
    (other,) = (each for each in HEADS if each != head)
    return replace(scores, **{f"{other}_{part}": None for part in ("scores", "labels", "names")})


def in_order(scores, rows):
    arrays = {
        f"{head}_{part}": getattr(scores, f"{head}_{part}")[rows] for head in HEADS for part in ("scores", "labels")
    }
    return replace(scores, image=[scores.image[row] for row in rows], **arrays)


def with_label(scores, array, place, value):
    labels = getattr(scores, array).copy()
    labels[place] = value
    return replace(scores, **{array: labels})


def refusal(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestAligned:
    @settings(max_examples=50, deadline=None, derandomize=True, database=None)
    @given(st.permutations(range(6)))
    def test_rows_are_matched_by_name_and_take_the_first_files_order(self, rows):
        one, other = scored(seed=1), scored(seed=2)
        first, second = aligned([("a.npz", one), ("b.npz", in_order(other, rows))], BOTH)
        for found, wanted in (first, one), (second, other):
            assert found.image == one.image
            for head in BOTH:
                for part in ("scores", "labels", "names"):
                    name = f"{head}_{part}"
                    np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
            assert found.protocol == wanted.protocol

    def test_a_head_that_was_not_asked_for_is_neither_compared_nor_returned(self):
        other = with_label(scored(seed=2), "location_labels", 0, 1)
        for part in aligned([("a.npz", scored()), ("b.npz", other), ("c.npz", only(scored(), "lesion"))], ["lesion"]):
            assert part.location_scores is part.location_labels is part.location_names is None
            assert part.lesion_scores.shape == (6, 3)

    def test_the_inputs_stay_as_they_are(self):
        one, other = scored(seed=1), in_order(scored(seed=2), [5, 4, 3, 2, 1, 0])
        aligned([("a.npz", one), ("b.npz", other)], BOTH)
        assert other.image[0] == "5.jpg"
        np.testing.assert_array_equal(other.lesion_scores, scored(seed=2).lesion_scores[::-1])

    @pytest.mark.parametrize(
        "other, words",
        [
            (in_order(scored(), [0, 2, 3, 5]), ["b.npz: has no image '1.jpg' (row 1 of a.npz) and 1 more"]),
            (scored(7), ["a.npz: has no image '6.jpg' (row 6 of b.npz); score both on the same images"]),
            (scored(start=1), ["b.npz: has no image '0.jpg' (row 0 of a.npz);"]),
            (
                replace(scored(), lesion_names=["cyst", "scar", "crust"]),
                ["b.npz: lesion 1 is 'scar'", "a.npz", "'crust'"],
            ),
            (replace(scored(), location_names=["face", "arm"]), ["b.npz: location 1 is 'arm'", "a.npz", "'trunk'"]),
            (
                with_label(with_label(scored(), "lesion_labels", (3, 2), 1), "lesion_labels", (4, 0), 1),
                ["b.npz: image '3.jpg' has lesion 'scar', in a.npz it has not (labels that differ: 2)"],
            ),
            (
                with_label(scored(), "lesion_labels", (5, 2), 0),
                ["b.npz: image '5.jpg' has not lesion 'scar', in a.npz it has (labels that differ: 1)"],
            ),
            (
                with_label(scored(), "location_labels", 2, 1),
                ["b.npz: image '2.jpg' is at location 'trunk', in a.npz at 'face' (labels that differ: 1)"],
            ),
            (only(scored(), "location"), ["b.npz: has no lesion head"]),
        ],
        ids=["fewer", "more", "others", "names", "location names", "lesion more", "lesion less", "location", "head"],
    )
    def test_the_first_difference_is_named(self, other, words):
        message = refusal(aligned, [("a.npz", scored()), ("b.npz", other)], BOTH)
        assert [word for word in words if word not in message] == [], message

    def test_a_difference_of_the_third_file_names_the_third(self):
        named = [("a.npz", scored()), ("b.npz", scored(seed=1)), ("c.npz", scored(5))]
        assert refusal(aligned, named, BOTH).startswith("c.npz: has no image '5.jpg'")

    def test_another_number_of_classes(self):
        other = scored()
        two = {f"lesion_{part}": getattr(other, f"lesion_{part}")[:, :2] for part in ("scores", "labels")}
        other = replace(other, lesion_names=other.lesion_names[:2], **two)
        assert "b.npz: has 2 lesions, a.npz has 3" in refusal(aligned, [("a.npz", scored()), ("b.npz", other)], BOTH)


class TestPooled:
    def test_the_folds_stand_one_after_the_other(self):
        folds = [scored(4, start=0), scored(3, start=4)]
        whole = pooled([("0.npz", folds[0]), ("1.npz", folds[1])])
        assert whole.image == folds[0].image + folds[1].image
        for name in ("lesion_scores", "lesion_labels", "location_scores", "location_labels"):
            np.testing.assert_array_equal(getattr(whole, name), np.concatenate([getattr(fold, name) for fold in folds]))
        assert (whole.lesion_names, whole.location_names) == (folds[0].lesion_names, folds[0].location_names)
        assert [source["file"] for source in whole.protocol["pooled"]] == ["0.npz", "1.npz"]
        assert whole.protocol["pooled"][0]["protocol"] == folds[0].protocol

    @pytest.mark.parametrize("head", BOTH)
    def test_a_model_with_one_head(self, head):
        named = [("0.npz", only(scored(4), head)), ("1.npz", only(scored(4, start=4), head))]
        whole = pooled(named)
        assert len(whole.image) == 8
        assert (whole.lesion_scores is None, whole.location_scores is None) == (head != "lesion", head != "location")

    def test_a_class_without_a_positive_in_one_fold_has_its_own_ap_in_the_pool_and_none_in_the_fold(self):
        folds = [scored(4, start=0), scored(4, start=4)]  # images 0 to 3 have no scar
        named = [("0.npz", folds[0]), ("1.npz", folds[1])]
        assert evaluate(folds[0])["average_precision"]["scar"] is None
        assert evaluate(folds[0])["n_classes_used"] == 2
        assert evaluate(pooled(named))["average_precision"]["scar"] > 0
        assert evaluate(pooled(named[:1]))["average_precision"]["scar"] is None

    def test_an_image_of_two_folds(self):
        message = refusal(pooled, [("0.npz", scored(4)), ("1.npz", scored(4, start=3))])
        assert "1.npz: image '3.jpg' (row 0) is in 0.npz (row 3) too" in message

    def test_other_names(self):
        other = replace(scored(start=6), lesion_names=["cyst", "crust", "naevus"])
        assert "1.npz: lesion 2 is 'naevus', in 0.npz it is 'scar'" in refusal(
            pooled, [("0.npz", scored()), ("1.npz", other)]
        )

    @pytest.mark.parametrize("first, second", [("lesion", None), (None, "lesion")])
    def test_other_heads(self, first, second):
        folds = [
            scored(start=start) if head is None else only(scored(start=start), head)
            for start, head in ((0, first), (6, second))
        ]
        message = refusal(pooled, [("0.npz", folds[0]), ("1.npz", folds[1])])
        assert "1.npz: has " in message and "location head" in message and "0.npz has" in message


class TestGroups:
    @pytest.fixture
    def manifest(self, tmp_path):
        lines = [f"{number}.jpg,cyst,face,{'' if number == 3 else number // 2}" for number in (5, 4, 3, 2, 1, 0)]
        (tmp_path / "m.csv").write_text("\n".join(["image,lesions,location,group", *lines]) + "\n")
        return read_manifest(tmp_path / "m.csv")

    def test_are_the_manifests_in_the_order_of_the_scores(self, manifest):
        assert groups_of("s.npz", scored(6), manifest) == ["0", "0", "1", "3.jpg", "2", "2"]
        assert groups_of("s.npz", scored(2, start=4), manifest) == ["2", "2"]

    def test_an_image_that_the_manifest_lacks(self, manifest):
        message = refusal(groups_of, "s.npz", scored(4, start=4), manifest)
        assert message.startswith(f"{manifest.path}: no line for image '6.jpg' (row 2 of s.npz) and 1 more")
