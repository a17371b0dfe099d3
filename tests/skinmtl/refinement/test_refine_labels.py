"""tools/refine_labels.py as a user runs it, and the paper's refinement of a table of 180 lesions."""

from __future__ import annotations

import csv
import hashlib
import json

import pytest

from skinmtl.data.manifest import read_manifest
from skinmtl.refinement.example import example_families, example_manifest
from skinmtl.refinement.refine import Limits, refine
from skinmtl.refinement.rules import LabelMap, Rule, read_label_map, ready_maps
from skinmtl.report.paper import BUNDLED, read_paper_table

TOOL = "refine_labels.py"


@pytest.fixture
def data(tmp_path):
    """A manifest of 30 images: papule 12, big papule 11, Ulcer 4, speck 3; hands 16, nails 12, elsewhere 2."""
    lesions = ["papule"] * 12 + ["big papule"] * 11 + ["Ulcer"] * 4 + ["speck"] * 3
    locations = ["hands"] * 16 + ["nails"] * 12 + ["elsewhere"] * 2
    lines = [f"{n}.jpg,{lesions[n]},{locations[n]},patient {n // 3},{20 + n}" for n in range(30)]
    (tmp_path / "manifest.csv").write_text("\n".join(["image,lesions,location,group,age", *lines]) + "\n")
    (tmp_path / "map.csv").write_text(
        "from,to,kind,note\nbig papule,papule,lesion-family,by size\n"
        "Ulcer,speck,lesion-merge,\nnaevus,mole,lesion-merge,\n"
    )
    return tmp_path


class TestTool:
    def test_the_refined_manifest_and_what_was_done(self, tool, data):
        done = tool(TOOL, "--manifest", data / "manifest.csv", "--map", "paper-rules", "--map", "map.csv",
                    "--out", "out", "--keep-over", "11", "--min-images", "7", cwd=data)  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert {path.name for path in (data / "out").iterdir()} == {
            *("manifest.csv", "lesions.txt", "locations.txt"),
            *("refinement.json", "refinement.md", "dropped_images.csv", ".made.json"),
        }
        manifest = read_manifest(data / "out" / "manifest.csv")
        assert (manifest.lesion_names, manifest.location_names) == (("papule",), ("hands",))
        assert len(manifest.rows) == 23
        last = manifest.rows[-1]
        assert (last.image, last.lesions, last.location) == ("22.jpg", ("papule",), "hands")
        assert (last.group, dict(last.others)) == ("patient 7", {"age": "42"})
        assert "| papule     |            12 |         23 |                     1 |" in done.stdout
        assert "5 rules are for labels that the manifest does not have" in done.stdout
        assert "'ulcer' (paper-rules:4; the manifest has 'Ulcer')" in done.stdout

    def test_every_count_is_written_down(self, tool, data):
        tool(TOOL, "--manifest", "manifest.csv", "--map", "map.csv", "--map", "paper-rules", "--out", "out", cwd=data)
        record = json.loads((data / "out" / "refinement.json").read_text(encoding="utf-8"))
        assert [step["images"] for step in record["steps"]] == [30, 30, 30, 30, 23]
        assert record["steps"][0]["lesions"] == {"papule": 12, "big papule": 11, "Ulcer": 4, "speck": 3}
        assert record["steps"][3]["lesions"] == {"papule": 23, "speck": 7}
        assert record["steps"][4]["locations"] == {"hands": 23}
        assert record["lesions"][1] == {
            "label": "big papule",
            "before": 11,
            "outcome": "merged",
            "into": "papule",
            "rules": ["map.csv:2"],
            "because": "merged into papule (map.csv:2)",
        }
        assert record["images_dropped"] == {
            "its last lesion has fewer than 10 images": 5,
            "its location has fewer than 10 images": 2,
        }
        assert {"from": "naevus", "to": "mole", "kind": "lesion-merge", "rule": "map.csv:4", "near": ""} in record[
            "rules_for_no_label"
        ]
        assert record["sha256"]["map.csv"] == hashlib.sha256((data / "map.csv").read_bytes()).hexdigest()
        assert set(record["sha256"]) == {"manifest.csv", "map.csv", "paper-rules"}
        assert record["made_by"]["arguments"]["map"] == ["map.csv", "paper-rules"]
        with open(str(data / "out" / "dropped_images.csv"), encoding="utf-8", newline="") as file:
            dropped = list(csv.DictReader(file))
        assert len(dropped) == 7
        assert dropped[0] == {
            "line": "25",
            "image": "23.jpg",
            "lesions": "Ulcer",
            "location": "nails",
            "reason": "its last lesion has fewer than 10 images",
        }

    def test_the_same_input_gives_the_same_bytes(self, tool, data):
        for folder in ("one", "two"):
            (data / folder).mkdir()
            words = ["--manifest", data / "manifest.csv", "--map", data / "map.csv", "--out", "out"]
            tool.started(TOOL, *words, cwd=data / folder)
        for path in (data / "one" / "out").iterdir():
            assert path.read_bytes() == (data / "two" / "out" / path.name).read_bytes()

    def test_names_that_mean_something_in_markdown_or_json(self, tool, tmp_path):
        lines = [f'{n}.jpg,"a|b ""é"" {n % 2}",<b>![x](http://y)' for n in range(20)]
        (tmp_path / "manifest.csv").write_text("\n".join(["image,lesions,location", *lines]) + "\n", encoding="utf-8")
        assert tool(TOOL, "--manifest", "manifest.csv", "--out", "out", cwd=tmp_path).returncode == 0
        written = (tmp_path / "out" / "refinement.md").read_text(encoding="utf-8")
        assert '| a\\|b "é" 0 |' in written
        assert r"| \<b\>!\[x\](http://y) |" in written
        assert "<b>" not in written
        record = json.loads((tmp_path / "out" / "refinement.json").read_text(encoding="utf-8"))
        assert record["lesions"][0]["label"] == 'a|b "é" 0'
        assert read_manifest(tmp_path / "out" / "manifest.csv").lesion_names == ('a|b "é" 0', 'a|b "é" 1')

    def test_without_a_map_only_labels_with_too_few_images_go(self, tool, data):
        done = tool(TOOL, "--manifest", data / "manifest.csv", "--out", data / "out")
        assert "- images: 12 of 30 left" in done.stdout
        assert "had enough: 3\n" in done.stdout  # Ulcer, speck, elsewhere; then nails; then big papule
        assert (data / "out" / "lesions.txt").read_text() == "papule\n"

    def test_the_ready_maps_are_listed(self, tool):
        done = tool(TOOL, "--list-maps")
        assert done.returncode == 0
        assert "paper-rules    3 lesion-merge, 2 site-merge\n" in done.stdout
        for name in ready_maps():
            assert f"\n{name} " in "\n" + done.stdout


class TestBadInput:
    def test_a_map_that_is_not_there(self, tool, refused, data):
        refused(tool(TOOL, "--manifest", data / "manifest.csv", "--map", "dermcon-in", "--out", data / "out"),
                "dermcon-in: no such file, and no ready map; did you mean dermacon-in?")  # fmt: skip
        assert not (data / "out").exists()

    def test_a_ready_map_of_another_data_set(self, tool, refused, data):
        refused(tool(TOOL, "--manifest", data / "manifest.csv", "--map", "isic2019", "--out", data / "out"),
                "isic2019:2: 'head/neck' is no label of", "nor is any other of this map")  # fmt: skip

    def test_a_folder_as_a_map(self, tool, refused, data):
        refused(tool(TOOL, "--manifest", data / "manifest.csv", "--map", data, "--out", data / "out"), "cannot be read")

    def test_limits_that_leave_nothing(self, tool, refused, data):
        refused(tool(TOOL, "--manifest", data / "manifest.csv", "--out", data / "out", "--min-images", "40"),
                "no image would be left; lower the limits, or correct the maps")  # fmt: skip
        assert not (data / "out").exists()

    def test_a_folder_that_is_there_is_left_alone(self, tool, refused, data):
        (data / "out").mkdir()
        refused(tool(TOOL, "--manifest", data / "manifest.csv", "--out", data / "out"), "exists already")
        assert list((data / "out").iterdir()) == []

    @pytest.mark.parametrize(
        ("flags", "told"),
        [
            (["--out", "out"], "required: --manifest"),
            (["--manifest", "m.csv", "--out", "out", "--min-images", "0"], "not a whole number from 1"),
            (["--manifest", "m.csv", "--out", "out", "--keep-over", "3"], "--keep-over is below --min-images"),
        ],
    )
    def test_usage(self, tool, flags, told):
        done = tool(TOOL, *flags)
        assert done.returncode == 2
        assert told in done.stderr


class TestThePapersRefinement:
    """A made-up table as large and as uneven as the paper's data set: 23,060 images of 180 lesions at 25 locations."""

    def test_180_lesions_become_30(self, tool, tmp_path):
        made = tool(TOOL, "--make-example", "example", cwd=tmp_path)
        assert made.returncode == 0
        command = made.stdout.splitlines()[1].replace("DIR", "refined").split()
        done = tool(*command[0].split("/")[1:], *command[1:], cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        steps = [line.strip("| ").split("|") for line in done.stdout.splitlines()[2:7]]
        assert [tuple(cell.strip() for cell in step[1:]) for step in steps] == [
            ("23,060", "180", "25"),  # as read
            ("23,060", "180", "23"),  # nails and fingers are hands
            ("23,060", "178", "23"),  # atrophy, erosion and ulcer are one
            ("23,060", "52", "23"),  # 128 sublesions, of which 6 stay and 122 go into 8 families, 2 of them new
            ("23,005", "30", "23"),  # 22 lesions have fewer than 10 images
        ]
        assert len(read_manifest(tmp_path / "refined" / "manifest.csv").lesion_names) == 30

    def test_what_is_left_is_the_papers_table_and_a_few_more(self):
        manifest = example_manifest()
        assert (len(manifest.rows), len(manifest.lesion_names)) == (23_060, 180)
        families = [Rule(*line, "families.csv", n) for n, line in enumerate(example_families(), 2)]
        maps = [read_label_map("paper-rules"), LabelMap("families.csv", None, tuple(families))]
        done = refine(manifest, maps, Limits())
        published = {"tumour" if name == "tumor" else name for name in read_paper_table(BUNDLED).lesions}
        assert published <= set(done.manifest.lesion_names)
        assert all("rare lesion" in name for name in set(done.manifest.lesion_names) - published)
        stayed = {fate.label for fate in done.lesions if "frequent enough" in fate.because}
        assert stayed == {
            *("erythematous papule", "hyperpigmented papule", "pearly papule"),
            *("erythematous plaque", "hyperpigmented plaque", "erythematous-squamous plaque"),
        }
        assert all(fate.before > 1000 for fate in done.lesions if fate.label in stayed)
        gone = [fate for fate in done.lesions if fate.outcome == "dropped"]
        assert len(gone) == 22
        assert all(fate.before < 10 for fate in gone)
