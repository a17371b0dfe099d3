"""Equation 1, the strength of a lesion's dependence on the location, and tools/correlate.py."""

from __future__ import annotations

import csv
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.data.correlation import clustered_order, correlation, counts, strength
from skinmtl.data.manifest import Manifest, Row


def manifest_of(rows, lesions="abc", locations="xyz"):
    """`rows` are (lesions, location), a letter each."""
    made = tuple(Row(n + 2, f"{n}.jpg", tuple(of), at, str(n)) for n, (of, at) in enumerate(rows))
    return Manifest(Path("manifest.csv"), made, tuple(lesions), tuple(locations))


some_rows = st.lists(
    st.tuples(st.sets(st.sampled_from("abc"), min_size=1).map(sorted), st.sampled_from("xyz")), min_size=1, max_size=12
)


class TestEquation1:
    def test_the_share_of_a_lesions_images_at_each_location(self):
        shares = correlation(manifest_of([("a", "x"), ("ab", "x"), ("a", "y"), ("b", "z")]))
        np.testing.assert_allclose(shares[0], [2 / 3, 1 / 3, 0])
        np.testing.assert_allclose(shares[1], [1 / 2, 0, 1 / 2])

    def test_a_lesion_with_no_image_has_no_share_and_never_0(self):
        assert np.isnan(correlation(manifest_of([("a", "x")]))[1:]).all()

    @given(some_rows)
    def test_it_is_what_counting_by_hand_gives(self, rows):
        shares = correlation(manifest_of(rows))
        for i, lesion in enumerate("abc"):
            of_lesion = [location for lesions, location in rows if lesion in lesions]
            for j, location in enumerate("xyz"):
                if of_lesion:
                    assert shares[i, j] == of_lesion.count(location) / len(of_lesion)
                else:
                    assert np.isnan(shares[i, j])


class TestStrength:
    @given(some_rows)
    @settings(deadline=None)
    def test_the_divergence_against_a_loop(self, rows):
        found = strength(manifest_of(rows)).divergence
        at = [location for _, location in rows]
        for i, lesion in enumerate("abc"):
            of_lesion = [location for lesions, location in rows if lesion in lesions]
            expected = np.nan if not of_lesion else 0.0
            for location in set(of_lesion):
                share = of_lesion.count(location) / len(of_lesion)
                expected += share * np.log2(share / (at.count(location) / len(at)))
            np.testing.assert_allclose(found[i], expected, atol=1e-12)

    def test_what_chance_gives_is_the_mean_over_all_ways_to_shuffle_the_locations(self):
        rows = [("a", "x"), ("ab", "x"), ("b", "y"), ("ac", "z"), ("a", "x"), ("b", "y")]
        locations = [location for _, location in rows]
        shuffled = [
            strength(manifest_of([(of, at) for (of, _), at in zip(rows, order)])).divergence
            for order in permutations(locations)
        ]
        np.testing.assert_allclose(strength(manifest_of(rows)).by_chance, np.mean(shuffled, axis=0))

    def test_a_rare_lesion_that_does_not_care_is_near_0_once_corrected(self):
        random = np.random.RandomState(1)
        rows = [("ab" if random.uniform() < 0.02 else "b", random.choice(list("xyz"))) for _ in range(2000)]
        found = strength(manifest_of(rows))
        assert abs(found.corrected[0]) < 0.05
        assert abs(found.corrected[1]) < 0.001  # of nearly all images: cannot differ from all

    def test_a_lesion_of_one_location_of_three_has_nearly_all_of_its_log2_3_bits(self):
        found = strength(manifest_of([("a", "x")] * 50 + [("b", "y")] * 50 + [("c", "z")] * 50))
        np.testing.assert_allclose(found.divergence, np.log2(3))
        assert (found.corrected > 1.5).all()

    def test_no_image_no_strength(self):
        found = strength(manifest_of([("a", "x")]))
        assert np.isnan([found.divergence[1], found.by_chance[1], found.corrected[1]]).all()
        assert found.images.tolist() == [1, 0, 0]


class TestClusteredOrder:
    def test_similar_rows_stand_together_and_empty_ones_last(self):
        rows = np.array([[1, 0, 0], [np.nan] * 3, [0, 0, 1], [0.9, 0.1, 0], [0, 0.1, 0.9]])
        order = clustered_order(rows).tolist()
        assert order[-1] == 1
        assert {frozenset(order[:2]), frozenset(order[2:4])} == {frozenset({0, 3}), frozenset({2, 4})}

    @given(some_rows)
    @settings(deadline=None)
    def test_every_row_stands_there_once(self, rows):
        assert sorted(clustered_order(correlation(manifest_of(rows)))) == [0, 1, 2]


class TestTool:
    NAMES = ("<b>naevus</b> & co", "it's $x$, or not", "unseen")

    @pytest.fixture()
    def manifest(self, tmp_path):
        lines = ["image,lesions,location"]
        lines += [f'{n}.jpg,"{self.NAMES[n % 2]}",{("arm", "leg")[n % 3 % 2]}' for n in range(12)]
        (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
        (tmp_path / "lesions.txt").write_text("\n".join(self.NAMES) + "\n")
        return tmp_path / "manifest.csv"

    @pytest.mark.parametrize("flags", [(), ("--cluster",)])
    def test_it_writes_the_matrix_the_strength_and_the_heat_map(self, tool, manifest, tmp_path, flags):
        done = tool("correlate.py", "--manifest", manifest, "--out", tmp_path / "out", *flags)
        assert (done.returncode, done.stderr) == (0, "")
        assert "3 lesions by 2 locations, 12 images" in done.stdout
        assert "1 lesion has no image and an empty row: unseen" in done.stdout
        with open(str(tmp_path / "out" / "correlation.csv"), encoding="utf-8") as file:
            rows = {row.pop("lesion"): row for row in csv.DictReader(file)}
        assert set(rows) == set(self.NAMES)
        assert rows["unseen"] == {"arm": "", "leg": ""}
        assert float(rows[self.NAMES[0]]["arm"]) == pytest.approx(4 / 6)
        with open(str(tmp_path / "out" / "strength.csv"), encoding="utf-8") as file:
            assert {row["lesion"]: row["images"] for row in csv.DictReader(file)}["unseen"] == "0"
        assert (tmp_path / "out" / "heat_map.png").read_bytes().startswith(b"\x89PNG")
        drawn = (tmp_path / "out" / "heat_map.svg").read_text(encoding="utf-8")
        assert "&lt;b&gt;naevus&lt;/b&gt; &amp; co (6)" in drawn
        assert "it's $x$, or not (6)" in drawn
        assert "no image" in drawn

    def test_a_folder_that_is_there_is_left_alone(self, tool, refused, manifest, tmp_path):
        (tmp_path / "out").mkdir()
        refused(tool("correlate.py", "--manifest", manifest, "--out", tmp_path / "out"), "exists already")
        assert list((tmp_path / "out").iterdir()) == []

    def test_no_manifest(self, tool, refused, tmp_path):
        refused(tool("correlate.py", "--manifest", tmp_path / "no.csv", "--out", tmp_path / "o"), "no.csv", "read")


def test_counts_are_whole_numbers_of_images():
    found = counts(manifest_of([("ab", "x"), ("a", "x")]))
    assert found.dtype == np.int64
    assert found.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
