"""tools/evaluate.py on another data set than the net's: figures, gaps and intervals against rows that are picked and
drawn one by one; and the ways to ask for it wrongly."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from made_external import DATA, MAP, PAIRS, drawn_external
from made_scores import LESIONS, drawn_scores
from sklearn.metrics import average_precision_score, roc_auc_score
from test_bootstrap import drawn_rows

from skinmtl.scores.called import Rule, threshold_by
from skinmtl.scores.external_file import write_external
from skinmtl.scores.gaps import means_over_both
from skinmtl.scores.label_figures import head_of
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import Scores, write_scores

COMMON = ["keratosis", "melanoma", "nevus"]


def images(number, n):
    return [f"{number}{row:03}.jpg" for row in range(n)]


EXTERNAL = replace(drawn_external(90), image=images("e", 90))
INTERNAL = drawn_scores(120, 1)


def common(scores, labels):
    """Scores of the common lesions, of the rows of `labels`: row -> 0 or 1 of each."""
    columns = [LESIONS.index(name) for name in COMMON]
    rows = list(labels)
    return Scores(
        image=[str(row) for row in rows],
        protocol={},
        lesion_scores=scores[np.ix_(rows, columns)],
        lesion_labels=np.array(list(labels.values()), np.uint8),
        lesion_names=COMMON,
    )


def external_by_hand():
    labels = {}
    for row, marks in enumerate(EXTERNAL.data_labels["lesion"]):
        has = [name for name, mark in zip(DATA, marks) if mark]
        known = [PAIRS[name] for name in has if name in PAIRS]
        if known or not has:
            labels[row] = [int(name in known) for name in COMMON]
    return common(EXTERNAL.scores["lesion"], labels)


def internal_by_hand():
    """No image of it has a scar, which alone is left out."""
    return common(INTERNAL.lesion_scores, dict(enumerate(INTERNAL.lesion_labels[:, :3].tolist())))


@pytest.fixture
def files(tmp_path):
    write_external(tmp_path / "external.npz", EXTERNAL)
    write_scores(tmp_path / "internal.npz", INTERNAL)
    write_scores(tmp_path / "validation.npz", drawn_scores(150, 2, first=500, subset="validation"))
    (tmp_path / "map.csv").write_text(MAP)
    return tmp_path


@pytest.fixture
def reported(tool, files):
    def run(*flags):
        flags = ("--label-map", files / "map.csv", "--json", files / "m.json", "--overwrite", *flags)
        done = tool("evaluate.py", files / "external.npz", *flags)
        assert done.returncode == 0, done.stderr
        return json.loads((files / "m.json").read_text()), done.stdout

    return run


class TestFigures:
    def test_are_those_of_the_common_lesions_and_of_the_images_that_are_left(self, reported, files):
        report, table = reported()
        by_hand = external_by_hand()
        wanted = evaluate(by_hand)
        assert {name: report[name] for name in wanted} == wanted
        for name, labels, scores in zip(COMMON, by_hand.lesion_labels.T, by_hand.lesion_scores.T):
            of_lesion = report["of_lesions"][name]
            assert of_lesion["average_precision"] == pytest.approx(average_precision_score(labels, scores))
            assert of_lesion["auroc"] == pytest.approx(roc_auc_score(labels, scores))
        test = report["external_test"]
        assert test["lesions"] == COMMON and test["model_lesions_left_out"] == ["scar"]
        assert [each["name"] for each in test["data_lesions"] if each["as"] is None] == ["VASC"]
        assert test["n_images_left_out"] == 90 - report["n_images"] > 0
        content = (files / "map.csv").read_bytes()
        assert test["label_map"]["sha256"] == hashlib.sha256(content).hexdigest()
        assert {line["data"]: line["model"] for line in test["label_map"]["lines"]} == PAIRS
        vascular = int(EXTERNAL.data_labels["lesion"][:, 4].sum())
        for line in (
            f"lesions of the data that are left out (images): VASC ({vascular})",
            "lesions of the net that are left out: scar",
            "locations: left out",
        ):
            assert line in table.splitlines()
        counts = f"{test['n_images_left_out']} of 90; {test['n_images_with_others']} of the others have one"
        assert f"external images left out, since all of their lesions are: {counts}" in table
        assert "internal" not in test and "side by side" not in table

    def test_of_names_that_are_the_nets_need_no_map(self, tool, files):
        other = drawn_scores(80, 9, first=900)
        write_scores(files / "other.npz", other)
        flags = ("--internal", files / "internal.npz", "--json", files / "m.json")
        done = tool("evaluate.py", files / "other.npz", *flags)
        assert done.returncode == 0, done.stderr
        report = json.loads((files / "m.json").read_text())
        assert report["map_class"] == evaluate(other)["map_class"], "no image has a scar"
        assert report["external_test"]["label_map"] is None and report["external_test"]["lesions"] == COMMON
        assert "scar: left out, since" in done.stdout

    def test_have_subgroups_and_limits_as_others_have(self, tool, files):
        rows = [f"{image},x,{'old' if row % 2 else 'young'}" for row, image in enumerate(EXTERNAL.image)]
        (files / "m.csv").write_text("\n".join(["image,lesions,age", *rows]) + "\n")
        flags = ("--label-map", files / "map.csv", "--manifest", files / "m.csv", "--subgroup-column", "age")
        done = tool("evaluate.py", files / "external.npz", *flags, "--fail-if-below", "map_class=0.999")
        assert done.returncode == 1 and "map_class is 0." in done.stderr
        assert "melanoma: old" in done.stdout


class TestSideBySide:
    def test_has_the_figures_of_both_and_the_gaps(self, reported, files):
        report, table = reported("--internal", files / "internal.npz")
        test = report["external_test"]
        own = evaluate(internal_by_hand())
        assert {name: test["internal"][name] for name in own} == own
        assert test["gaps"]["map_class"] == report["map_class"] - own["map_class"]
        assert test["internal"]["n_images_left_out"] == 0
        assert test["internal"]["scores_sha256"] == hashlib.sha256((files / "internal.npz").read_bytes()).hexdigest()
        below = table.splitlines()
        below = below[next(number for number, line in enumerate(below) if line.endswith(" gap")) :]
        line = next(line for line in below if line.startswith("mAP-class"))
        numbers = [own["map_class"], own["chance_map_class"], report["map_class"], report["chance_map_class"]]
        assert line.split()[1:] == [*(f"{number:.3f}" for number in numbers), f"{test['gaps']['map_class']:+.3f}"]
        prevalence = next(line for line in table.splitlines() if line.startswith("melanoma: prevalence"))
        for figures in (test["internal"], report):
            of_lesion = figures["of_lesions"]["melanoma"]
            assert f"{of_lesion['prevalence']:.3f} ({of_lesion['n_positive']})" in prevalence

    def test_has_intervals_of_two_sets_that_are_drawn_each_by_itself(self, reported, files):
        groups = {"e": [f"case {row // 2}" for row in range(90)], "i": [f"patient {row // 3}" for row in range(120)]}
        for name, listed, of in (("e.csv", EXTERNAL.image, "e"), ("i.csv", INTERNAL.image, "i")):
            rows = [f"{image},x,{group}" for image, group in zip(listed, groups[of])]
            (files / name).write_text("\n".join(["image,lesions,group", *rows]) + "\n")
        report, _ = reported(
            *("--bootstrap", 30, "--seed", 7, "--level", 0.8, "--manifest", files / "e.csv"),
            *("--internal", files / "internal.npz", "--internal-manifest", files / "i.csv"),
        )
        parts = []
        for scores, of, seed in ((external_by_hand(), "e", 7), (internal_by_hand(), "i", 8)):
            of_rows = [groups[of][int(image)] for image in scores.image]
            drawn = [drawn_rows(of_rows, seed, number) for number in range(30)]
            parts.append([(scores.lesion_labels[rows], scores.lesion_scores[rows]) for rows in drawn])
        for p, lesion in enumerate(COMMON):
            for figure, reference in (("average_precision", average_precision_score), ("auroc", roc_auc_score)):
                here, there = ([reference(labels[:, p], scores[:, p]) for labels, scores in part] for part in parts)
                ends = np.percentile(np.subtract(here, there), [10, 90])
                found = report["external_test"]["gap_intervals"]["of_lesions"][lesion][figure]
                assert found == pytest.approx(ends.tolist())
        test = report["external_test"]
        assert (report["bootstrap"]["seed"], test["internal"]["bootstrap"]["seed"]) == (7, 8)
        assert report["internal_manifest_sha256"] == hashlib.sha256((files / "i.csv").read_bytes()).hexdigest()
        low, high = test["gap_intervals"]["map_class"]
        assert low < test["gaps"]["map_class"] < high

    def test_has_gaps_of_means_over_the_lesions_that_both_sets_have_in_a_resample(self):
        nan = np.nan
        here, there = means_over_both(
            np.array([[0.2, nan, 0.6], [nan, 1, nan]]), np.array([[0.1, 0.9, 0.5], [1, nan, 1]])
        )
        assert here == pytest.approx([0.4, nan], nan_ok=True) and there == pytest.approx([0.3, nan], nan_ok=True)

    def test_says_too_few_where_either_set_has_too_few(self, reported, files):
        labels = EXTERNAL.data_labels["lesion"].copy()
        labels[9:, 0] = 0  # AK
        few = replace(EXTERNAL, data_labels={**EXTERNAL.data_labels, "lesion": labels})
        write_external(files / "external.npz", few)
        report, table = reported("--internal", files / "internal.npz", "--bootstrap", 20)
        ends = report["external_test"]["gap_intervals"]["of_lesions"]
        assert ends["keratosis"]["auroc"] is None and ends["nevus"]["auroc"] is not None
        line = next(line for line in table.splitlines() if line.startswith("keratosis: AUROC"))
        assert line.endswith("too few")

    def test_leaves_out_a_lesion_that_one_of_the_sets_has_not(self, reported, files):
        labels = INTERNAL.lesion_labels.copy()
        keratosis = labels[:, 0] == 1
        labels[keratosis] = 0
        labels[keratosis, 3] = 1  # each is a scar now
        write_scores(files / "internal.npz", replace(INTERNAL, lesion_labels=labels))
        report, table = reported("--internal", files / "internal.npz")
        test = report["external_test"]
        assert list(report["of_lesions"]) == test["lesions"] == ["melanoma", "nevus"]
        assert test["without_image"] == {"keratosis": [str(files / "internal.npz")]}
        assert test["internal"]["n_images_left_out"] > 0 and test["n_images_left_out"] > 0
        assert f"keratosis: left out, since {files / 'internal.npz'} has no image of it" in table

    def test_the_csv_has_a_line_for_each_figure_of_each_set(self, reported, files):
        report, _ = reported("--internal", files / "internal.npz", "--bootstrap", 20, "--csv", files / "m.csv")
        with open(str(files / "m.csv"), newline="") as file:
            rows = {(row["test"], row["label"], row["figure"]): row for row in csv.DictReader(file)}
        row, own = rows["external", "melanoma", "auroc"], rows["internal", "melanoma", "auroc"]
        test = report["external_test"]
        assert float(row["gap"]) == test["gaps"]["of_lesions"]["melanoma"]["auroc"]
        assert [float(row["gap_low"]), float(row["gap_high"])] == test["gap_intervals"]["of_lesions"]["melanoma"][
            "auroc"
        ]
        assert float(row["value"]) - float(own["value"]) == pytest.approx(float(row["gap"]))
        assert own["gap"] == "" and own["scores_sha256"] == test["internal"]["scores_sha256"]
        assert (row["images"], own["images"]) == (str(report["n_images"]), "120")
        assert float(rows["external", "", "map_class"]["gap"]) == test["gaps"]["map_class"]

    def test_stands_in_markdown_with_the_protocol(self, reported, files):
        flags = ("--internal", files / "internal.npz", "--bootstrap", 20, "--side-by-side", files / "s.md")
        report, _ = reported(*flags)
        lines = (files / "s.md").read_text().splitlines()
        assert lines[0] == "# Internal and external test"
        table = [line for line in lines if line.startswith("|")]
        of_set = "95 % interval | by chance"
        assert table[0] == f"| figure | internal | {of_set} | external | {of_set} | gap | 95 % interval |"
        assert {line.count("|") for line in table} == {10}
        assert any(report["external_test"]["label_map"]["sha256"] in line for line in lines)
        assert any("weights sha256: " + "a" * 64 in line for line in lines)


class TestThresholdsAndCalibration:
    def test_are_those_of_the_nets_own_validation_images(self, reported, files):
        flags = ("--thresholds-from", files / "validation.npz", "--threshold-rule", "youden")
        report, table = reported(*flags, "--internal", files / "internal.npz")
        validation = head_of(drawn_scores(150, 2), "lesion")
        for p, name in enumerate(COMMON):
            wanted = threshold_by(Rule.of("youden"), validation.labels[:, p], validation.scores[:, p])
            for figures in (report, report["external_test"]["internal"]):
                assert figures["of_lesions"][name]["threshold"] == wanted
        by_hand = external_by_hand()
        called = by_hand.lesion_scores[:, 2] >= report["of_lesions"]["nevus"]["threshold"]
        sensitivity = called[by_hand.lesion_labels[:, 2] == 1].mean()
        assert report["of_lesions"]["nevus"]["sensitivity"] == pytest.approx(sensitivity)
        assert list(report["thresholds"]["lesion_positives"]) == COMMON
        assert "nothing was chosen on the external images" in table

    def test_a_calibration_is_used_as_it_is(self, tool, reported, files):
        made = tool("calibrate.py", files / "validation.npz", "--out", files / "c.json")
        assert made.returncode == 0, made.stderr
        report, table = reported("--calibration", files / "c.json", "--internal", files / "internal.npz")
        slope = json.loads((files / "c.json").read_text())["heads"]["lesion"]["slopes"][1]
        by_hand = external_by_hand()
        logits = np.log(by_hand.lesion_scores.astype(float)) - np.log1p(-by_hand.lesion_scores.astype(float))
        brier = np.mean((1 / (1 + np.exp(-logits[:, 1] * slope)) - by_hand.lesion_labels[:, 1]) ** 2)
        assert report["of_lesions"]["melanoma"]["brier"] == pytest.approx(brier, abs=1e-5)
        assert report["calibration"]["fitted_on"] == "validation images"
        assert "fitted on validation images" in table

    def test_images_that_have_the_name_of_a_validation_image_are_others(self, reported, files):
        write_external(files / "external.npz", replace(EXTERNAL, image=[f"{500 + row}.jpg" for row in range(90)]))
        report, _ = reported("--thresholds-from", files / "validation.npz")
        assert report["thresholds"]["chosen_on"] == "validation images"

    @pytest.mark.parametrize(
        "flags, words",
        [
            (
                ["--threshold-rule", "youden"],
                "an external test takes the thresholds of the net's own validation images",
            ),
            (["--internal-manifest", "m.csv"], "--internal-manifest goes with --internal"),
            (["--side-by-side", "s.md"], "--side-by-side goes with --internal"),
            (["--positive", "nevus"], "--positive is of nets that draw lesions"),
        ],
    )
    def test_wrong_usage(self, tool, files, flags, words):
        done = tool("evaluate.py", files / "external.npz", "--label-map", files / "map.csv", *flags)
        assert (done.returncode, done.stdout) == (2, "") and words in done.stderr


class TestRefused:
    def test_without_a_map_the_file_says_what_it_wants(self, tool, refused, files):
        refused(
            tool("evaluate.py", files / "external.npz"),
            files / "external.npz",
            "evaluate.py takes it as the scores to evaluate",
        )

        done = tool("evaluate.py", files / "external.npz", "--internal", files / "internal.npz")
        refused(done, f"{files / 'external.npz'}: none of the data's lesions has a name of the net's")

    def test_a_map_that_is_wrong_leaves_nothing_behind(self, tool, refused, files):
        (files / "map.csv").write_text("data,model\nMEL,melanoma\nnv,nevi\n")
        outputs = ("--json", files / "m.json", "--csv", files / "m.csv", "--reliability", files / "r.svg")
        done = tool("evaluate.py", files / "external.npz", "--label-map", files / "map.csv", *outputs)
        refused(done, f"{files / 'map.csv'}:3: the data have no lesion 'nv'; did you mean 'NV'")
        assert not [path for path in files.iterdir() if path.name in ("m.json", "m.csv", "r.svg")]

    def test_scores_of_another_net_or_tested_otherwise_stand_beside_nothing(self, tool, refused, files):
        for change, words in (
            ({"weights_sha256": "b" * 64}, "is of other weights than"),
            ({"short_side": 300}, "its short_side is 300, that of"),
        ):
            write_scores(files / "internal.npz", drawn_scores(120, 1, **change))
            flags = ("--label-map", files / "map.csv", "--internal", files / "internal.npz")
            refused(tool("evaluate.py", files / "external.npz", *flags), files / "internal.npz", words)

    def test_the_same_photographs_are_no_external_test(self, tool, refused, files):
        scores = {**EXTERNAL.scores, "lesion": EXTERNAL.scores["lesion"].copy()}
        scores["lesion"][7:9] = INTERNAL.lesion_scores[3:5]
        write_external(files / "external.npz", replace(EXTERNAL, scores=scores))
        flags = ("--label-map", files / "map.csv", "--internal", files / "internal.npz")
        told = "image 'e007.jpg' has the very scores of '3.jpg' in", "(2 such)", "leakage.py --against"
        refused(tool("evaluate.py", files / "external.npz", *flags), *told)

    def test_a_net_that_sees_nothing_is_not_taken_for_the_same_photographs(self, reported, files):
        blind = {name: np.full_like(values, 0.5) for name, values in EXTERNAL.scores.items()}
        write_external(files / "external.npz", replace(EXTERNAL, scores=blind))
        write_scores(files / "internal.npz", replace(INTERNAL, lesion_scores=np.full_like(INTERNAL.lesion_scores, 0.5)))
        assert reported("--internal", files / "internal.npz")[0]["of_lesions"]["nevus"]["auroc"] == 0.5

    def test_data_of_one_common_lesion_tell_nothing_apart(self, tool, refused, files):
        labels = np.zeros_like(EXTERNAL.data_labels["lesion"])
        labels[:, 3] = 1
        write_external(
            files / "external.npz", replace(EXTERNAL, data_labels={**EXTERNAL.data_labels, "lesion": labels})
        )
        done = tool("evaluate.py", files / "external.npz", "--label-map", files / "map.csv")
        refused(done, "one lesion, 'nevus', is left to measure", "has no image of keratosis, melanoma")
