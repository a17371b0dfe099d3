"""What the text, the page and the charts say of a small manifest, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from skinmtl.data.folds import read_folds
from skinmtl.data.manifest import read_manifest
from skinmtl.description import charts
from skinmtl.description.description import Description
from skinmtl.description.labels import count_labels
from skinmtl.description.page import page, text
from skinmtl.description.sheets import LabelSheet, Tile

SHEETS = (("a", 0), ("b", 6), ("x", 0))
IMAGES = [("a", "x", "p1", 0)] * 6 + [("a;b", "x", "p2", 1)] * 3 + [("a;b", "y", "p3", 0), ("c", "y", "p3", 1)]


@pytest.fixture()
def description(tmp_path):
    """Eleven images: a in 10, b in 4, always with a, c in 1, d in the list only."""
    rows = [f"{n}.jpg,{lesions},{location},{group}\n" for n, (lesions, location, group, _) in enumerate(IMAGES)]
    (tmp_path / "manifest.csv").write_text("image,lesions,location,group\n" + "".join(rows))
    (tmp_path / "lesions.txt").write_text("d\nb\na\nc\n")
    (tmp_path / "folds.csv").write_text("image,fold\n" + "".join(f"{n}.jpg,{of[3]}\n" for n, of in enumerate(IMAGES)))
    manifest = read_manifest(tmp_path / "manifest.csv")
    folds = read_folds(tmp_path / "folds.csv", manifest)
    none, (a, b, x) = LabelSheet(), [LabelSheet(f"{name}.jpg", (Tile(row, 10, 44, 200, 150),)) for name, row in SHEETS]
    sheets = {"lesion": [none, b, a, none], "location": [x, none]}
    return Description(manifest, folds, count_labels(manifest, folds), [], None, sheets)


def cells(description, title):
    """The lines of a section of the text, without what is between columns."""
    lines = text(description).split(f"\n{title}\n{'=' * len(title)}\n")[1].split("\n\n")
    return [[" ".join(line.split()) for line in part.splitlines()] for part in lines]


def test_each_label_with_what_needs_a_look(description):
    assert cells(description, "Lesions")[1] == [
        "Lesions:",
        "lesion images of all groups remark most often at its share alone fold 0 fold 1",
        "a 10 91 % 3 x 90 % 6 7 3",
        "b 4 36 % 2 below 10 images x 75 % 0 1 3",
        "c 1 9.1 % 1 below 10 images; below 2 groups; not in fold 0 y 100 % 1 0 1",
        "d 0 0 % 0 no image - - 0 0 0",
    ]


def test_a_table_in_which_nothing_needs_a_look_has_no_room_for_it(description):
    plenty = count_labels(description.manifest, description.fold_of)
    plenty.locations.images[:], plenty.locations.groups[:] = 20, 9
    found = Description(description.manifest, description.fold_of, plenty, [], None, {})
    assert cells(found, "Body locations")[1][1] == "location images of all groups most often its share fold 0 fold 1"


def test_which_lesions_come_together_and_how_often_as_chance_would(description):
    assert cells(description, "Lesions that come together")[2][:3] == [
        "Lesions that come together:",
        "lesion and both of the first of the second times chance",
        "b a 4 100 % 40 % 1.10",
    ]


def test_folds_and_what_they_lack(description):
    notes, table = cells(description, "Folds")[:2]
    assert notes == ["1 group in more than one fold: p3."]
    assert table[2:] == ["0 7 64 % 2 1 0", "1 4 36 % 2 0 0"]


def test_a_label_leads_to_its_contact_sheet_where_it_has_one(description):
    names = ("lesions.png", "locations.png", "lesion_by_lesion.png", "lesion_by_location.png")
    html = page(description, {}, 1, dict.fromkeys(names, (1, 1)))
    for key, there in (("lesion-1", True), ("lesion-2", True), ("lesion-3", False), ("location-0", True)):
        assert (f'<a href="#{key}">' in html) is there
        assert (f'<figure id="{key}" class="sheet">' in html) is there


class TestCharts:
    def test_the_most_frequent_come_first_and_rare_ones_in_orange(self, description):
        axes = charts.label_bars(description.labels.lesions, "lesion").axes[0]
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b", "c", "d"]
        images, groups = ([bar.get_width() for bar in axes.patches[start : start + 4]] for start in (0, 4))
        assert (images, groups) == ([10, 4, 1, 0], [3, 2, 1, 0])
        assert len({bar.get_facecolor() for bar in axes.patches[1:4]} - {axes.patches[0].get_facecolor()}) == 1

    def test_a_lesion_is_not_compared_with_itself(self, description):
        mesh = charts.together_map(description.labels).axes[0].collections[0]
        expected = np.array([[np.nan] * 4, [0, np.nan, 100, 0], [0, 40, np.nan, 0], [0, 0, 0, np.nan]])
        shown = np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(4, 4)
        np.testing.assert_allclose(shown, expected)

    def test_where_each_lesion_is_seen(self, description):
        mesh = charts.location_map(description.labels).axes[0].collections[0]
        shown = np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(4, 2)
        np.testing.assert_allclose(shown, [[np.nan, np.nan], [75, 25], [90, 10], [0, 100]])
