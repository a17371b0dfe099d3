"""tools/evaluate.py on each label: thresholds of the validation images, the CSV, the reliability diagram."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from made_regions import BY_HAND
from made_scores import drawn_scores

from skinmtl.scores.called import CALLED, Rule, threshold_by
from skinmtl.scores.label_figures import FIGURES, head_of, label_figures
from skinmtl.scores.scores_file import write_scores


@pytest.fixture
def files(tmp_path):
    write_scores(tmp_path / "test.npz", drawn_scores(120, 1))
    write_scores(tmp_path / "validation.npz", drawn_scores(100, 2, first=500, subset="validation"))
    return tmp_path


def reported(tool, files, *flags, scores="test.npz"):
    done = tool("evaluate.py", files / scores, "--overwrite", "--json", files / "m.json", *flags)
    assert done.returncode == 0, done.stderr
    return json.loads((files / "m.json").read_text()), done.stdout


class TestThresholds:
    @pytest.mark.parametrize("rule", ["sensitivity=0.95", "youden", "f1"])
    def test_are_chosen_on_the_validation_images_and_used_on_the_test_images(self, tool, files, rule):
        flags = ("--thresholds-from", files / "validation.npz", "--threshold-rule", rule)
        report, table = reported(tool, files, *flags)
        validation = head_of(drawn_scores(100, 2), "lesion")
        columns = zip(validation.names, validation.labels.T, validation.scores.T)
        wanted = {name: threshold_by(Rule.of(rule), *column) for name, *column in columns}
        assert {name: of_label["threshold"] for name, of_label in report["of_lesions"].items()} == wanted
        assert report["of_lesions"] == label_figures(head_of(drawn_scores(120, 1), "lesion"), wanted)
        assert wanted["scar"] is None and {report["of_lesions"]["scar"][each] for each in CALLED} == {None}
        made = report["thresholds"]
        assert (made["rule"], made["chosen_on"], made["n_images"]) == (rule, "validation images", 100)
        assert made["lesion_positives"]["scar"] == 0 and made["protocol"]["arguments"]["subset"] == "validation"
        assert f"thresholds: {rule}, chosen on validation images" in table
        assert "no threshold, without a positive or a negative there: scar" in table
        assert "the figures at them are too good" not in table

    def test_without_a_rule_are_those_of_a_sensitivity(self, tool, files):
        report, _ = reported(tool, files, "--thresholds-from", files / "validation.npz")
        assert report["thresholds"]["rule"] == "sensitivity=0.89"

    def test_of_the_test_images_say_so(self, tool, files):
        report, table = reported(tool, files, "--threshold-rule", "youden")
        assert report["thresholds"]["chosen_on"] == "the test images"
        assert "note: the thresholds were chosen on the test images: the figures at them are too good\n" in table

    @pytest.mark.parametrize("counts, few", [((10, 90, 50), ""), ((9, 91, 50), "keratosis, melanoma")])
    def test_of_few_positives_or_negatives_are_named(self, tool, files, counts, few):
        """`counts` are positives among 100 images; the fourth label has none, and a line of its own."""
        other = drawn_scores(100, 2, first=500, subset="validation")
        labels = (np.arange(100)[:, None] < [*counts, 0]).astype(np.uint8)
        write_scores(files / "validation.npz", replace(other, lesion_labels=labels))
        _, table = reported(tool, files, "--thresholds-from", files / "validation.npz")
        told = "on fewer than 10 positives or negatives there, so that others would give another threshold: "
        assert f"{told}{few}\n" in table if few else told not in table

    def test_have_intervals(self, tool, files):
        flags = ("--thresholds-from", files / "validation.npz", "--bootstrap", 60)
        report, table = reported(tool, files, *flags)
        of_label, ends = report["of_lesions"]["nevus"], report["intervals"]["of_lesions"]["nevus"]
        assert set(ends) == set(FIGURES)
        assert all(low <= of_label[figure] <= high for figure, (low, high) in ends.items())
        assert f"{of_label['ppv']:.3f} [{ends['ppv'][0]:.2f}, {ends['ppv'][1]:.2f}]" in table

    def test_without_them_there_are_no_calls(self, tool, files):
        report, table = reported(tool, files)
        assert report["thresholds"] is None and not set(CALLED) & set(report["of_lesions"]["nevus"])
        assert "PPV" not in table

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"weights_sha256": "b" * 64}, "is of other weights than"),
            ({"weights_sha256": None}, "does not say which weights it is of"),
            ({"short_side": 300}, "its short_side is 300, that of"),
            ({"crops": 1}, "its crops is 1"),
            ({"first": 119}, "image '119.jpg' is in"),
            ({"trained": 7}, "7 of its images were trained on; give validation images"),
        ],
    )
    def test_of_another_net_or_of_images_that_are_not_for_it_are_refused(self, tool, refused, files, change, words):
        other = drawn_scores(100, 2, **{"first": 500, **change})
        if "trained" in change:
            other.protocol["trained_on"].update(trained=7)
        write_scores(files / "other.npz", other)
        done = tool("evaluate.py", files / "test.npz", "--thresholds-from", files / "other.npz")
        refused(done, f"{files / 'other.npz'}: {words}")

    def test_of_a_net_without_the_head_or_with_other_names_are_refused(self, tool, refused, files):
        other = drawn_scores(100, 2, first=500)
        write_scores(
            files / "other.npz", replace(other, location_scores=None, location_labels=None, location_names=None)
        )
        flags = ("--thresholds-from", files / "other.npz")
        refused(tool("evaluate.py", files / "test.npz", *flags), "has no location head")
        other.lesion_names[0] = "wart"
        write_scores(files / "other.npz", other)
        refused(tool("evaluate.py", files / "test.npz", *flags), "lesion 0 is 'wart'")

    def test_of_an_ensemble_are_those_of_the_same_nets(self, tool, refused, files):
        def ensemble(scores, weights, rule="maximum"):
            sources = [{"file": each, "protocol": {"weights_sha256": each * 64}} for each in weights]
            return replace(scores, protocol={"ensemble": rule, "sources": sources})

        write_scores(files / "test.npz", ensemble(drawn_scores(120, 1), "ab"))
        write_scores(files / "validation.npz", ensemble(drawn_scores(100, 2, first=500), "ba"))
        assert reported(tool, files, "--thresholds-from", files / "validation.npz")[0]["thresholds"]["n_images"] == 100
        for weights, rule in (("ac", "maximum"), ("ab", "mean")):
            write_scores(files / "validation.npz", ensemble(drawn_scores(100, 2, first=500), weights, rule))
            done = tool("evaluate.py", files / "test.npz", "--thresholds-from", files / "validation.npz")
            refused(done, "is of other weights")

    @pytest.mark.parametrize("text", ["youden=1", "sensitivity=1.01", "f2"])
    def test_an_unknown_rule_is_usage(self, tool, files, text):
        done = tool("evaluate.py", files / "test.npz", "--threshold-rule", text)
        assert (done.returncode, done.stdout) == (2, "") and "is neither sensitivity=S" in done.stderr


def test_the_csv_has_each_figure_with_its_interval_chance_and_protocol(tool, files):
    flags = ("--thresholds-from", files / "validation.npz", "--bootstrap", 60, "--csv", files / "m.csv")
    report, _ = reported(tool, files, *flags)
    with open(str(files / "m.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 + 7 * len(FIGURES)
    by_figure = {(row["head"], row["label"], row["figure"]): row for row in rows}
    row = by_figure["lesion", "nevus", "ppv"]
    of_label, ends = report["of_lesions"]["nevus"], report["intervals"]["of_lesions"]["nevus"]["ppv"]
    wanted = [of_label["ppv"], *ends, of_label["prevalence"], of_label["threshold"]]
    assert [float(row[name]) for name in ("value", "low", "high", "without_looking", "threshold")] == wanted
    assert (row["images"], row["groups"], row["subset"], row["fold"], row["crops"]) == ("120", "120", "test", "0", "10")
    assert row["weights_sha256"] == "a" * 64 and row["thresholds"] == "sensitivity=0.89, validation images"
    assert by_figure["lesion", "scar", "auroc"]["value"] == "", "null, and never 0"
    assert float(by_figure["", "", "lesion_auroc"]["without_looking"]) == 0.5


@pytest.mark.parametrize("name, start", [("r.png", b"\x89PNG"), ("r.svg", b"<?xml")])
def test_the_reliability_diagrams_are_drawn(tool, files, name, start):
    assert tool("evaluate.py", files / "test.npz", "--reliability", files / name).returncode == 0
    content = (files / name).read_bytes()
    assert content.startswith(start)
    if name.endswith("svg"):
        told = content.decode()
        assert "nevus (" in told and "face (" in told and "scar (" not in told, "no image has a scar"


def test_a_diagram_of_scores_that_are_no_probabilities_or_of_another_kind_is_refused(tool, refused, files):
    scores = drawn_scores(30)
    alone = replace(scores, location_scores=None, location_labels=None, location_names=None)
    write_scores(files / "odd.npz", replace(alone, lesion_scores=scores.lesion_scores + np.float32(1)))
    refused(tool("evaluate.py", files / "odd.npz", "--reliability", files / "r.png"), "has no probabilities to draw")
    assert not (files / "r.png").exists()
    assert tool("evaluate.py", files / "test.npz", "--reliability", files / "r.jpg").returncode == 2


def test_where_the_diagram_is_refused_no_other_file_is_left_behind(tool, refused, files):
    write_scores(files / "regions.npz", BY_HAND)
    outputs = [files / name for name in ("m.json", "m.csv", "r.svg")]
    flags = [part for pair in zip(("--json", "--csv", "--reliability"), outputs) for part in pair]
    refused(tool("evaluate.py", files / "regions.npz", *flags), "has no probabilities to draw")
    assert not any(path.exists() for path in outputs)


def test_a_mean_auroc_may_be_a_limit(tool, files):
    assert tool("evaluate.py", files / "test.npz", "--fail-if-below", "lesion_auroc=0.7").returncode == 0
    done = tool("evaluate.py", files / "test.npz", "--fail-if-below", "location_auroc=0.999")
    assert done.returncode == 1 and "location_auroc is 0." in done.stderr
