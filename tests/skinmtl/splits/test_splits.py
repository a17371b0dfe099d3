"""Folds of whole groups that hold every label evenly: what is promised of any data, and what public sizes give."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_groups import DERMQUEST_CASES, DERMQUEST_IMAGES, dermquest_like, expected_leak, ham_like, manifest_of
from scipy.sparse import csr_matrix
from sklearn.model_selection import GroupKFold

from caffe_files.errors import InputError
from skinmtl.splits.balance import balance, balance_by_chance, lacking, lines
from skinmtl.splits.dealing import image_labels, make_folds
from skinmtl.splits.exchange import even_out
from skinmtl.splits.leakage import leakage
from skinmtl.splits.stratify import deal_at_random, stratify

some_rows = st.lists(
    st.tuples(
        st.sets(st.sampled_from("abcdef"), min_size=1, max_size=3).map(sorted),
        st.sampled_from("xyz"),
        st.integers(0, 25).map("g{}".format),
    ),
    min_size=5,
    max_size=80,
)


def group_sizes(manifest):
    return np.unique([row.group for row in manifest.rows], return_counts=True)[1]


class TestAnyData:
    @settings(max_examples=40, derandomize=True, deadline=None)
    @given(some_rows, st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from(["labels", "none"]))
    def test_groups_stay_whole_and_sizes_differ_by_the_largest_group_at_most(self, rows, k, seed, even):
        manifest = manifest_of(rows)
        sizes = group_sizes(manifest)
        if len(sizes) < k:
            with pytest.raises(InputError, match=f"{len(sizes)} groups? cannot fill {k} folds; lower the number"):
                make_folds(manifest, k, seed, "group", even)
            return
        folds = make_folds(manifest, k, seed, "group", even)
        assert folds.shape == (len(rows),)
        assert len(set(zip([group for _, _, group in rows], folds.tolist()))) == len(sizes), "a group straddles folds"
        filled = np.bincount(folds, minlength=k)
        assert len(filled) == k
        assert filled.min() >= 1
        assert filled.max() - filled.min() <= sizes.max()
        np.testing.assert_array_equal(folds, make_folds(manifest, k, seed, "group", even))

    @settings(max_examples=15, derandomize=True, deadline=None)
    @given(some_rows, st.randoms(use_true_random=False))
    def test_the_order_of_the_rows_plays_no_part(self, rows, random):
        manifest = manifest_of(rows)
        if len(group_sizes(manifest)) < 3:
            return
        shuffled = replace(manifest, rows=tuple(random.sample(manifest.rows, len(rows))))
        for by, even in (("group", "labels"), ("group", "none"), ("image", "labels"), ("image", "none")):
            folds = dict(zip([row.image for row in manifest.rows], make_folds(manifest, 3, 1, by, even)))
            again = dict(zip([row.image for row in shuffled.rows], make_folds(shuffled, 3, 1, by, even)))
            assert folds == again

    @settings(max_examples=25, derandomize=True, deadline=None)
    @given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(2, 6))
    def test_a_label_of_as_many_groups_as_folds_is_in_every_fold(self, images, k):
        """Where it can be: one lesion a group, one image a group."""
        rows = [(f"l{n}", "x") for n, many in enumerate(images) for _ in range(many)]
        if len(rows) < k:
            return
        manifest = manifest_of([((lesion,), place, str(n)) for n, (lesion, place) in enumerate(rows)])
        found = balance(manifest, make_folds(manifest, k, 1, "group", "labels"), k, "group")
        assert found.sizes.max() - found.sizes.min() <= 1
        assert (found.per_fold[:, found.judged] > 0).all()
        for label, there in zip(found.labels, found.per_fold.T):
            assert there.max() - there.min() <= 1, label

    def test_one_huge_group_fills_a_fold_and_the_others_share_the_rest(self):
        manifest = manifest_of([(("a",), "x", "huge")] * 100 + [(("a",), "x", str(n)) for n in range(80)])
        folds = make_folds(manifest, 5, 1, "group", "labels")
        assert sorted(np.bincount(folds)) == [20, 20, 20, 20, 100]

    def test_by_image_is_even_and_may_split_a_group(self):
        folds = make_folds(manifest_of([(("a",), "x", "g")] * 23), 5, 1, "image")
        assert sorted(np.bincount(folds).tolist()) == [4, 4, 5, 5, 5]

    @pytest.mark.parametrize("even", ["labels", "none"])
    def test_the_seed_decides(self, even):
        manifest = manifest_of([(("a",), "x", str(n // 2)) for n in range(40)])
        one, other = (make_folds(manifest, 5, seed, "group", even) for seed in (1, 2))
        assert one.tolist() != other.tolist()

    def test_the_folds_of_a_seed_never_change(self):
        """Published folds must come out again, whatever numpy is installed."""
        rows = [("ab", "x", "a"), ("a", "x", "a"), ("b", "y", "b"), ("c", "x", "c"), ("a", "z", "c"), ("c", "x", "c")]
        manifest = manifest_of([*rows, ("b", "y", "d"), ("ac", "y", "e")])
        assert make_folds(manifest, 3, 1, "group").tolist() == [1, 1, 2, 0, 0, 0, 1, 2]
        assert make_folds(manifest, 3, 1, "group", "labels").tolist() == [2, 2, 1, 0, 0, 0, 2, 1]


class TestStratification:
    def test_the_rarest_label_is_dealt_first_and_to_the_fold_that_wants_it_most(self):
        """By hand: b, in two groups, before a, in three; most images first; the last has no room where it is wanted."""
        counts = np.array([[1, 0], [2, 0], [3, 1], [0, 4]])  # images with a, with b
        folds = stratify(np.array([1, 2, 4, 4]), csr_matrix(counts), 2, 1)
        assert folds.tolist() == [1, 0, 1, 0]

    def test_a_fold_takes_the_one_image_more_that_some_folds_must_have(self):
        """By hand: nine images in two folds. The third group goes where its last label is not, to five images."""
        counts = np.array([[2, 0, 0, 0, 0], [0, 1, 0, 0, 1], [0, 0, 3, 0, 3], [0, 0, 0, 3, 0]])
        assert stratify(np.array([2, 1, 3, 3]), csr_matrix(counts), 2, 1).tolist() == [0, 1, 0, 1]

    def test_what_a_group_is_dealt_for_counts_before_its_other_labels(self):
        """By hand: the third group is dealt for the second label, to the fold without it, for all its third label."""
        counts = np.array([[1, 0, 3], [0, 2, 0], [0, 1, 3], [0, 0, 1], [0, 0, 1]])
        assert stratify(np.array([3, 2, 3, 4, 4]), csr_matrix(counts), 2, 1).tolist() == [0, 1, 0, 1, 1]

    def test_it_does_not_end_where_an_exchange_would_help(self):
        """Every way to move a group or exchange two between two folds, tried one by one."""
        random = np.random.RandomState(3)
        for _ in range(10):
            counts = random.binomial(3, 0.3, (14, 5))
            counts[:, 3] = np.arange(14) < 3  # in as many groups as there are folds: none can lose it
            counts[:, 4] += 1
            sizes = counts.max(axis=1)
            folds = even_out(random.randint(0, 3, 14), sizes, csr_matrix(counts), 3)
            best = self.worth(folds, sizes, counts)
            for folds_after in self.neighbours(folds):
                assert self.worth(folds_after, sizes, counts, folds) >= best

    @staticmethod
    def neighbours(folds):
        for group in range(len(folds)):
            for fold in range(3):
                moved = folds.copy()
                moved[group] = fold
                yield moved
        for one, other in combinations(range(len(folds)), 2):
            swapped = folds.copy()
            swapped[[one, other]] = swapped[[other, one]]
            yield swapped

    @staticmethod
    def worth(folds, sizes, counts, before=None):
        """(folds that lack a label, unevenness); infinite where the sizes spread further than they did."""
        filled = np.bincount(folds, sizes, 3)
        if before is not None:
            changed = folds != before
            two = sorted({*folds[changed], *before[changed]})
            had = np.bincount(before, sizes, 3)[two]
            least, most = min(had.min(initial=99), sizes.sum() // 3), max(had.max(initial=0), -(-sizes.sum() // 3))
            if len(two) and (filled[two].min() < least or filled[two].max() > most):
                return np.inf, np.inf
        held = np.array([counts[folds == fold].sum(axis=0) for fold in range(3)])
        could = (counts > 0).sum(axis=0) >= 3
        weight = 2**20 // np.maximum(counts.sum(axis=0), 1)
        return int((held == 0)[:, could].sum()), int((held**2 * weight).sum())

    def test_it_beats_group_folds_that_look_at_sizes_only(self):
        """scikit-learn's GroupKFold and our plain random groups, on 300 groups with 12 labels."""
        random = np.random.RandomState(1)
        rows = []
        for group in range(300):
            site, lesion = random.randint(5), random.randint(7) ** 2 // 7
            for _ in range(random.randint(1, 6)):
                more = {lesion, random.randint(7)} if random.uniform() < 0.3 else {lesion}
                rows.append((tuple(f"l{p}" for p in sorted(more)), f"s{site}", str(group)))
        manifest = manifest_of(rows)
        ours = balance(manifest, make_folds(manifest, 5, 1, "group", "labels"), 5, "group").summary
        peer = np.zeros(len(rows), np.int64)
        for fold, (_, test) in enumerate(GroupKFold(5).split(rows, groups=[group for _, _, group in rows])):
            peer[test] = fold
        for other in (balance(manifest, peer, 5, "group").summary, balance_by_chance(manifest, 5, 1, "group")):
            assert ours[0] < other[0] / 4
            assert ours[1] < other[1] / 4

    def test_at_random_two_folds_differ_by_the_largest_group_at_most(self):
        sizes = np.random.RandomState(1).geometric(0.2, 200)
        filled = np.bincount(deal_at_random(sizes, 7, 1), sizes, 7)
        assert filled.max() - filled.min() <= sizes.max()


class TestBalance:
    def test_it_counts_and_says_what_a_fold_lacks(self):
        rows = [("a", "x", "1"), ("ab", "x", "1"), ("a", "x", "2"), ("c", "x", "3"), ("c", "y", "4"), ("c", "x", "5")]
        found = balance(manifest_of(rows), np.array([0, 0, 0, 1, 1, 1]), 2, "group")
        assert found.labels == ("lesion 'a'", "lesion 'b'", "lesion 'c'", "location 'x'", "location 'y'")
        assert found.per_fold.tolist() == [[3, 1, 0, 3, 0], [0, 0, 3, 2, 1]]
        assert found.units.tolist() == [2, 1, 3, 4, 1]
        np.testing.assert_allclose(found.deviations, [1, 1, 1, 0.2, 1])
        assert found.summary == (1, pytest.approx(2.2 / 3))
        assert list(lacking(found, "group")) == [
            "lesion 'a' is in 2 groups, and not in fold 1",
            "lesion 'b' is in 1 group: it cannot be in each of 2 folds",
            "lesion 'c' is in 3 groups, and not in fold 0",
            "location 'y' is in 1 group: it cannot be in each of 2 folds",
        ]

    def test_a_label_of_the_list_without_an_image_is_shown_and_not_judged(self):
        manifest = replace(manifest_of([("a", "x", "1"), ("a", "x", "2")]), lesion_names=("a", "unseen"))
        found = balance(manifest, np.array([0, 1]), 2, "group")
        assert np.isnan(found.deviations[1])
        assert found.summary == (0, 0)
        assert "worst 0.0 % (lesion 'a'), mean 0.0 %" in list(lines(found, None, "group"))[-1]
        shown = next(line for line in lines(found, None, "group") if "unseen" in line)
        assert shown.split() == ["lesion", "'unseen'", "0", "0", "0", "0", "-"]

    def test_labels_are_those_of_the_manifest(self):
        manifest = manifest_of([("ab", "x", "1"), ("b", "y", "2")])
        at = np.eye(2, dtype=int)[manifest.location_labels()]
        np.testing.assert_array_equal(image_labels(manifest).toarray(), np.hstack([manifest.lesion_labels(), at]))


@pytest.fixture(scope="module", params=[ham_like, dermquest_like])
def public(request):
    return request.param()


class TestPublicSizes:
    """Group folds leak nothing, image folds of HAM10000 39 %, of DermQuest 90 %."""

    def test_the_sizes_are_as_published(self):
        assert (len(group_sizes(ham_like())), group_sizes(ham_like()).sum()) == (7470, 10015)
        sizes = group_sizes(dermquest_like())
        assert (len(sizes), sizes.sum()) == (DERMQUEST_CASES, DERMQUEST_IMAGES)

    def test_image_folds_leak_as_much_as_expected_and_group_folds_nothing(self, public):
        manifest, groups = public, [row.group for row in public.rows]
        expected = expected_leak(group_sizes(manifest), 5)
        assert round(100 * expected) == (39 if len(groups) == 10015 else 90)
        for even in ("none", "labels"):
            found = leakage(groups, make_folds(manifest, 5, 1, "image", even), None)
            assert found.siblings.sum() / len(groups) == pytest.approx(expected, abs=0.01)
            assert not leakage(groups, make_folds(manifest, 5, 1, "group", even), None).siblings.any()

    def test_group_folds_are_as_large_as_each_other_and_far_more_even_than_at_random(self, public):
        manifest = public
        found = balance(manifest, make_folds(manifest, 5, 1, "group", "labels"), 5, "group")
        assert found.sizes.max() - found.sizes.min() <= 1
        assert (found.per_fold[:, found.judged] > 0).all()
        worst, mean = balance_by_chance(manifest, 5, 1, "group")
        assert found.summary[1] < mean / 5
        assert found.summary[0] < worst
        for label, there in zip(found.labels, found.per_fold.T):
            assert there.max() - there.min() <= 0.05 * there.mean() + 3, label
