"""The steps of the refinement, one by one."""

from __future__ import annotations

import pytest
from made_labels import manifest_of, map_of

from caffe_files.errors import InputError
from skinmtl.refinement.refine import Limits, refine

ALL = Limits(lesion_images=1, site_images=1, keep_over=1000)


def labels_of(done):
    return [("".join(row.lesions), row.location) for row in done.manifest.rows]


def fate_of(done, label):
    return next(fate for fate in done.lesions + done.sites if fate.label == label)


class TestMerges:
    def test_a_merge_turns_one_label_into_another_however_frequent(self):
        manifest = manifest_of([("a", "x")] * 5 + [("b", "x")])
        done = refine(manifest, [map_of(("a", "b", "lesion-merge"))], Limits(1, 1, keep_over=2))
        assert labels_of(done) == [("b", "x")] * 6
        assert done.manifest.lesion_names == ("b",)
        assert (fate_of(done, "a").outcome, fate_of(done, "a").into) == ("merged", "b")

    def test_an_image_with_two_labels_that_become_one_has_it_once(self):
        manifest = manifest_of([("cab", "x"), ("b", "x")])
        done = refine(manifest, [map_of(("a", "d", "lesion-merge"), ("b", "d", "lesion-merge"))], ALL)
        assert labels_of(done) == [("cd", "x"), ("d", "x")]
        assert done.steps[2].lesions == done.steps[-1].lesions == {"c": 1, "d": 2}

    def test_rules_follow_each_other(self):
        rules = map_of(("a", "b", "lesion-merge"), ("b", "c", "lesion-merge"), ("c", "d", "lesion-merge"))
        done = refine(manifest_of([("a", "x"), ("c", "x")]), [rules], ALL)
        assert labels_of(done) == [("d", "x")] * 2
        assert fate_of(done, "a").because == "merged into b (map.csv:2), c (map.csv:3), d (map.csv:4)"

    def test_also_to_a_drop(self):
        rules = map_of(("a", "b", "lesion-merge"), ("b", "", "lesion-drop"))
        done = refine(manifest_of([("ac", "x"), ("a", "x")]), [rules], ALL)
        assert labels_of(done) == [("c", "x")]
        assert fate_of(done, "a").because == "merged into b (map.csv:2), dropped (map.csv:3)"
        assert [(gone.row.image, gone.reason) for gone in done.gone] == [
            ("1.jpg", "its last lesion is dropped by a rule")
        ]

    def test_locations(self):
        manifest = manifest_of([("a", "nails"), ("a", "fingers"), ("a", "hands"), ("a", "unclear")])
        rules = map_of(
            ("nails", "hands", "site-merge"), ("fingers", "hands", "site-merge"), ("unclear", "", "site-drop")
        )
        done = refine(manifest, [rules], ALL)
        assert done.manifest.location_names == ("hands",)
        assert done.steps[-1].sites == {"hands": 3}
        assert [(gone.row.location, gone.reason) for gone in done.gone] == [
            ("unclear", "its location is dropped by a rule")
        ]

    def test_a_lesion_rule_leaves_a_location_of_the_same_name_alone(self):
        done = refine(manifest_of([("a", "a")]), [map_of(("a", "b", "lesion-merge"))], ALL)
        assert labels_of(done) == [("b", "a")]


class TestFamilies:
    FAMILY = map_of(("small", "papule", "lesion-family"), ("big", "papule", "lesion-family"))

    @pytest.mark.parametrize(("images", "now"), [(3, "papule"), (4, "big")])
    def test_a_sublesion_stays_only_with_more_images_than_the_limit(self, images, now):
        done = refine(manifest_of([(["big"], "x")] * images + [(["small"], "x")]), [self.FAMILY], Limits(1, 1, 3))
        assert done.manifest.rows[0].lesions == (now,)
        assert done.manifest.rows[-1].lesions == ("papule",)

    def test_one_that_stays_says_why(self):
        done = refine(manifest_of([(["big"], "x")] * 4), [self.FAMILY], Limits(1, 1, 3))
        fate = fate_of(done, "big")
        assert fate.outcome == "kept"
        assert fate.because == "4 images: frequent enough to stay out of papule (map.csv:3)"

    def test_it_is_counted_after_merges(self):
        rules = map_of(("tiny", "big", "lesion-merge"), ("big", "papule", "lesion-family"))
        manifest = manifest_of([(["big"], "x")] * 3 + [(["tiny"], "x")])
        assert refine(manifest, [rules], Limits(1, 1, 3)).manifest.lesion_names == ("big",)

    def test_it_is_counted_without_images_that_left_with_their_location(self):
        rules = map_of(("big", "papule", "lesion-family"), ("y", "", "site-drop"))
        manifest = manifest_of([(["big"], "x")] * 3 + [(["big"], "y")])
        assert refine(manifest, [rules], Limits(1, 1, 3)).manifest.lesion_names == ("papule",)

    def test_a_family_of_families_is_counted_with_what_came_into_it(self):
        rules = map_of(("c", "d", "lesion-family"), ("a", "c", "lesion-family"), ("b", "c", "lesion-family"))
        rows = [("a", "x"), ("a", "x"), ("b", "x"), ("c", "x")]
        assert refine(manifest_of(rows), [rules], Limits(1, 1, 3)).manifest.lesion_names == ("c",)
        assert refine(manifest_of(rows[1:]), [rules], Limits(1, 1, 3)).manifest.lesion_names == ("d",)

    def test_an_image_with_two_sublesions_counts_once_for_the_family(self):
        rules = map_of(("a", "c", "lesion-family"), ("b", "c", "lesion-family"), ("c", "d", "lesion-family"))
        assert refine(manifest_of([("ab", "x")] * 3), [rules], Limits(1, 1, 3)).manifest.lesion_names == ("d",)

    def test_a_family_that_is_merged_or_dropped_takes_the_sublesion_with_it(self):
        manifest = manifest_of([("a", "x"), ("e", "x")])
        merged = map_of(("a", "b", "lesion-family"), ("b", "c", "lesion-merge"))
        assert labels_of(refine(manifest, [merged], ALL)) == [("c", "x"), ("e", "x")]
        dropped = map_of(("a", "b", "lesion-family"), ("b", "", "lesion-drop"))
        assert labels_of(refine(manifest, [dropped], ALL)) == [("e", "x")]


class TestRareLabels:
    def test_a_label_goes_only_with_fewer_images_than_the_limit(self):
        manifest = manifest_of([("a", "x")] * 10 + [("ab", "x")] * 9)
        done = refine(manifest, [], Limits(10, 10))
        assert done.manifest.lesion_names == ("a",)
        assert fate_of(done, "b").because == "9 images, fewer than 10"
        assert len(done.manifest.rows) == 19

    def test_it_is_counted_after_merges_and_families(self):
        rules = map_of(("a", "c", "lesion-merge"), ("b", "c", "lesion-family"))
        done = refine(manifest_of([("a", "x")] * 6 + [("b", "x")] * 6), [rules], Limits(10, 10))
        assert done.steps[-1].lesions == {"c": 12}

    def test_a_label_that_rules_made_can_be_too_rare_too(self):
        done = refine(manifest_of([("a", "x")] + [("b", "x")] * 3), [map_of(("a", "c", "lesion-merge"))], Limits(2, 1))
        assert fate_of(done, "a").because == "merged into c (map.csv:2), then dropped: 1 image, fewer than 2"
        assert (fate_of(done, "a").outcome, fate_of(done, "a").into) == ("dropped", "")

    def test_images_that_leave_can_make_other_labels_too_rare_and_so_on(self):
        # z has 1 image; without it b has 1; without that y has 1; without that a has 2 still
        rows = [("b", "z"), ("b", "y"), ("a", "y"), ("a", "x"), ("a", "x")]
        done = refine(manifest_of(rows), [], Limits(2, 2))
        assert labels_of(done) == [("a", "x")] * 2
        assert done.rounds == 3
        assert [gone.reason for gone in done.gone] == [
            "its location has fewer than 2 images",
            "its last lesion has fewer than 2 images",
            "its location has fewer than 2 images",
        ]

    def test_locations_have_a_limit_of_their_own(self):
        rows = [("a", "x")] * 3 + [("a", "y")] * 2
        assert refine(manifest_of(rows), [], Limits(4, 1)).manifest.location_names == ("x", "y")
        assert refine(manifest_of(rows), [], Limits(1, 3)).manifest.location_names == ("x",)

    def test_a_limit_of_1_drops_only_what_has_no_image(self):
        done = refine(manifest_of([("b", "x")], lesions="abc", sites="xyz"), [], ALL)
        assert (done.manifest.lesion_names, done.manifest.location_names) == (("b",), ("x",))
        assert fate_of(done, "a").because == "no image"

    def test_nothing_left_is_an_error(self):
        with pytest.raises(InputError, match=r"manifest\.csv: no image would be left"):
            refine(manifest_of([("a", "x")]), [], Limits(2, 1))


class TestWhatIsKept:
    def test_other_columns_groups_and_the_order_of_rows(self):
        manifest = manifest_of([("a", "x"), ("b", "y"), ("a", "x"), ("c", "x")])
        done = refine(manifest, [map_of(("a", "c", "lesion-merge"), ("y", "", "site-drop"))], ALL)
        assert [(row.image, row.group, row.others["age"]) for row in done.manifest.rows] == [
            ("0.jpg", "g0", "0"),
            ("2.jpg", "g1", "2"),
            ("3.jpg", "g1", "3"),
        ]

    def test_labels_keep_their_order_and_a_new_one_stands_where_the_first_of_its_own_stood(self):
        manifest = manifest_of([("dbace", "x")], lesions="dbace")
        rules = map_of(("e", "new", "lesion-merge"), ("b", "new", "lesion-merge"), ("d", "c", "lesion-merge"))
        assert refine(manifest, [rules], ALL).manifest.lesion_names == ("new", "a", "c")

    def test_an_image_that_left_is_listed_as_the_manifest_had_it(self):
        manifest = manifest_of([("a", "x")] * 3 + [("b", "y")])
        done = refine(manifest, [map_of(("b", "c", "lesion-merge"), ("y", "z", "site-merge"))], Limits(2, 1))
        assert [gone.row for gone in done.gone] == [manifest.rows[3]]


class TestRulesForNoLabel:
    def test_they_are_listed_with_the_label_that_was_probably_meant(self):
        manifest = manifest_of([(["Atrophy"], "left hand"), (["scar"], "face")])
        rules = map_of(
            ("scar", "mark", "lesion-merge"),
            ("atrophy", "mark", "lesion-merge"),
            ("scars", "mark", "lesion-merge"),
            ("xyzzy", "mark", "lesion-merge"),
            ("lefthand", "face", "site-merge"),
        )
        done = refine(manifest, [rules], ALL)
        assert [(rule.name, near) for rule, near in done.unused] == [
            ("atrophy", "Atrophy"),
            ("scars", "scar"),
            ("xyzzy", ""),
            ("lefthand", "left hand"),
        ]
        assert labels_of(done) == [("Atrophy", "left hand"), ("mark", "face")]

    def test_a_rule_for_what_another_rule_makes_is_used(self):
        rules = map_of(("a", "b", "lesion-merge"), ("b", "c", "lesion-family"))
        assert refine(manifest_of([("a", "x")]), [rules], ALL).unused == ()

    def test_a_map_that_is_for_none_of_the_labels_is_an_error(self):
        fits, does_not = map_of(("a", "b", "lesion-merge")), map_of(("A", "b", "lesion-merge"), source="other.csv")
        with pytest.raises(
            InputError, match=r"other\.csv:2: 'A' is no label of manifest\.csv \(the manifest has 'a'\)"
        ):
            refine(manifest_of([("a", "x")]), [fits, does_not], ALL)

    def test_labels_that_still_differ_in_case_spaces_or_punctuation_only_are_listed(self):
        manifest = manifest_of([(["a"], "x"), (["Big scar"], "x"), (["big-scar"], "X"), (["?"], "x"), (["!"], "x")])
        assert refine(manifest, [map_of(("a", "b", "lesion-merge"))], ALL).alike == (
            ("Big scar", "big-scar"),
            ("X", "x"),
        )
