"""What a description counts in a manifest: against counting by hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.data.manifest import Manifest, Row
from skinmtl.description.labels import count_labels, pairs, shares
from skinmtl.description.near_names import near_names
from skinmtl.description.sheets import sample

LESIONS, LOCATIONS = tuple("abcd"), tuple("xyz")

some_images = st.lists(
    st.tuples(
        st.sets(st.sampled_from("abcd"), min_size=1).map(sorted),
        st.sampled_from("xyz"),
        st.sampled_from(["p1", "p2", "p3", "p4"]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=25,
)


def manifest_of(images):
    rows = tuple(Row(n + 2, f"{n}.jpg", tuple(of), at, group) for n, (of, at, group, _) in enumerate(images))
    return Manifest(Path("manifest.csv"), rows, LESIONS, LOCATIONS)


def counted(images):
    return count_labels(manifest_of(images), np.array([fold for *_, fold in images]))


class TestCounts:
    @given(some_images)
    @settings(deadline=None, max_examples=40)
    def test_images_groups_and_folds_of_each_label(self, images):
        labels = counted(images)
        folds = sorted({fold for *_, fold in images})
        for counts, has in (
            (labels.lesions, lambda image, name: name in image[0]),
            (labels.locations, lambda image, name: name == image[1]),
        ):
            for n, name in enumerate(counts.names):
                of_label = [image for image in images if has(image, name)]
                assert counts.images[n] == len(of_label)
                assert counts.groups[n] == len({group for _, _, group, _ in of_label})
                assert counts.folds[n].tolist() == [sum(image[3] == k for image in of_label) for k in folds]
        for n, name in enumerate(LESIONS):
            assert labels.lesions.alone[n] == sum(of == [name] for of, *_ in images)
        assert labels.locations.alone.tolist() == labels.locations.images.tolist()

    @given(some_images)
    @settings(deadline=None, max_examples=40)
    def test_what_comes_together(self, images):
        labels = counted(images)
        for i, a in enumerate(LESIONS):
            for j, b in enumerate(LESIONS):
                assert labels.together[i, j] == sum(a in of and b in of for of, *_ in images)
            for j, location in enumerate(LOCATIONS):
                assert labels.at_location[i, j] == sum(a in of and location == at for of, at, *_ in images)
        by_hand = Counter(pair for of, *_ in images for pair in combinations(of, 2))
        found = {(LESIONS[a], LESIONS[b]): both for a, b, both, _ in pairs(labels)}
        assert found == dict(by_hand)
        assert [both for *_, both, _ in pairs(labels)] == sorted(by_hand.values(), reverse=True)

    @given(some_images)
    @settings(deadline=None, max_examples=40)
    def test_distributions_and_folds(self, images):
        labels = counted(images)
        groups = Counter(group for _, _, group, _ in images)
        assert (labels.n_images, labels.n_groups) == (len(images), len(groups))
        assert labels.group_sizes == dict(Counter(groups.values()))
        assert labels.largest_groups[0][1] == max(groups.values())
        assert labels.lesions_per_image == dict(Counter(len(of) for of, *_ in images))
        assert labels.label_sets == len({tuple(of) for of, *_ in images})
        folds_of = defaultdict(set)
        for _, _, group, fold in images:
            folds_of[group].add(fold)
        assert set(labels.folds.straddling) == {group for group, folds in folds_of.items() if len(folds) > 1}
        for k, number in enumerate(labels.folds.numbers):
            inside = [image for image in images if image[3] == number]
            assert labels.folds.images[k] == len(inside)
            assert labels.folds.groups[k] == len({group for _, _, group, _ in inside})

    def test_shares_are_of_the_row_and_nan_where_it_has_no_image(self):
        found = shares(np.array([[4, 1], [0, 0]]), np.array([4, 0]))
        np.testing.assert_array_equal(found, [[1, 0.25], [np.nan, np.nan]])

    def test_times_chance_is_1_for_lesions_that_do_not_know_of_each_other(self):
        images = [(of, "x", "p1", 0) for of in (["a", "b"], ["a", "c"], ["b", "c"], ["c"])]
        lift = {(a, b): times for a, b, _, times in pairs(counted(images))}
        assert lift[0, 1] == pytest.approx(1)  # 2 of 4 and 2 of 4: 1 expected, 1 seen
        assert lift[0, 2] == pytest.approx(1 / (2 * 3 / 4))


class TestWhatNeedsALook:
    IMAGES = (
        *((["a"], "x", f"p{n}", n % 3) for n in range(12)),
        *((["b"], "x", f"p{n}", 0) for n in range(9)),
        *((["c"], "y", "p1", n % 3) for n in range(10)),
    )

    def test_rare_unused_and_few_groups(self):
        lesions = counted(self.IMAGES).lesions
        assert lesions.rare() == ["b"]  # 9 images; c has 10, which the paper keeps
        assert lesions.unused() == ["d"]
        assert lesions.in_few_groups(5) == ["c"]
        assert lesions.missing_from_a_fold() == ["b"]

    def test_without_folds_nothing_is_missing_from_one(self):
        labels = count_labels(manifest_of(self.IMAGES))
        assert (labels.folds, labels.lesions.missing_from_a_fold()) == (None, [])

    def test_a_manifest_without_groups(self):
        assert counted([(["a"], "x", f"{n}", 0) for n in range(3)]).groups_are_images()
        assert not counted([(["a"], "x", "p1", 0)] * 3).groups_are_images()


class TestNearNames:
    @pytest.mark.parametrize(
        "a, b",
        [
            ("Naevus", "naevus"),
            ("squames/scales", "Squames / scale"),
            ("back_of_hand", "back of hand"),
            ("arm", "arms"),
            ("body", "bodies"),
            ("éruption", "eruption"),
            ("erythematous plaque", "erythematus plaque"),
        ],
    )
    def test_one_label_in_two_spellings(self, a, b):
        assert [pair[:2] for pair in near_names(["macule", a, "nodule", b])] == [(a, b)]

    @pytest.mark.parametrize(
        "a, b", [("macule", "papule"), ("naevus of grade 1", "naevus of grade 2"), ("hand", "head"), ("肘", "膝")]
    )
    def test_two_labels(self, a, b):
        assert near_names([a, b]) == []

    def test_signs_alone_and_long_names_do_not_stop_it(self):
        assert near_names(["?", "!", "x" * 50_000, "y" * 50_000]) == []


class TestSample:
    IMAGES = tuple((["a"] if n % 2 else ["a", "b"], "xy"[n % 2], f"p{n // 10}", 0) for n in range(40))

    def test_images_of_the_label_each_once_and_every_group_before_any_second_image(self):
        manifest = manifest_of(self.IMAGES)
        drawn = sample(manifest, 6, seed=3)
        assert [len(rows) for rows in drawn["lesion"]] == [6, 6, 0, 0]
        assert [len(rows) for rows in drawn["location"]] == [6, 6, 0]
        for kind, names in (("lesion", LESIONS), ("location", LOCATIONS)):
            for name, rows in zip(names, drawn[kind]):
                assert len(set(rows)) == len(rows)
                assert all(name in (*manifest.rows[n].lesions, manifest.rows[n].location) for n in rows)
                assert len({manifest.rows[n].group for n in rows[:4]}) == min(4, len(rows))

    def test_the_seed_decides(self):
        manifest = manifest_of(self.IMAGES)
        assert sample(manifest, 6, 3) == sample(manifest, 6, 3) != sample(manifest, 6, 4)

    def test_a_label_with_few_images_shows_all_and_0_shows_none(self):
        manifest = manifest_of(self.IMAGES)
        assert sorted(sample(manifest, 100, 1)["lesion"][1]) == list(range(0, 40, 2))
        assert sample(manifest, 0, 1)["lesion"][0] == []
