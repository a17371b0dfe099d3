"""tools/calibrate.py, and tools/evaluate.py --calibration, as a user runs them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from made_scores import WEIGHTS_SHA256, drawn_scores

from skinmtl.scores.calibration_file import read_calibration
from skinmtl.scores.label_figures import head_of, label_figures
from skinmtl.scores.scores_file import write_scores


@pytest.fixture
def files(tmp_path):
    write_scores(tmp_path / "test.npz", drawn_scores(300, 1))
    write_scores(tmp_path / "validation.npz", drawn_scores(300, 2, first=500, subset="validation"))
    return tmp_path


@pytest.fixture
def calibration(tool, files):
    done = tool("calibrate.py", files / "validation.npz", "--out", files / "c.json")
    assert (done.returncode, done.stderr) == (0, "")
    return files / "c.json"


def test_it_writes_what_was_fitted_and_tells_what_it_does(tool, files, calibration):
    record = json.loads(calibration.read_text())
    assert (record["fitted_on"], record["n_images"], record["weights"]) == ("validation images", 300, WEIGHTS_SHA256)
    assert {name: head["kind"] for name, head in record["heads"].items()} == {
        "lesion": "sigmoid",
        "location": "softmax",
    }
    assert len(record["images"]) == 300 and record["arguments"]["scaling"] == "temperature"
    done = tool("calibrate.py", files / "validation.npz", "--out", calibration, "--overwrite")
    figures = record["figures"]["lesion"]
    assert figures["after"]["log_loss"] < figures["before"]["log_loss"]
    assert figures["after"]["ece"] < figures["before"]["ece"]
    assert f"{figures['before']['log_loss']:.3f}" in done.stdout and "temperature 2." in done.stdout
    assert read_calibration(calibration).words().startswith("lesions: temperature 2.")


def test_evaluate_tells_both_and_the_calibrated_ones_are_better(tool, files, calibration):
    done = tool("evaluate.py", files / "test.npz", "--calibration", calibration, "--json", files / "m.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((files / "m.json").read_text())
    uncalibrated = label_figures(head_of(drawn_scores(300, 1), "lesion"))
    for name in ("keratosis", "melanoma", "nevus"):
        before, after = report["calibration"]["before"]["of_lesions"][name], report["of_lesions"][name]
        assert before == {each: uncalibrated[name][each] for each in ("brier", "ece")}
        assert after["ece"] < before["ece"] and after["brier"] < before["brier"]
        assert after["auroc"] == pytest.approx(uncalibrated[name]["auroc"], abs=1e-6), "the order stays"
    assert report["calibration"]["fitted_on"] == "validation images" and "images" not in report["calibration"]
    assert "uncalibrated: Brier" in done.stdout and "fitted on validation images" in done.stdout
    assert "too good" not in done.stdout


def test_thresholds_are_chosen_on_calibrated_probabilities_too(tool, files, calibration):
    """A sigmoid's order stays, so the same images are called."""
    told = {}
    for name, flags in (("raw", ()), ("calibrated", ("--calibration", calibration))):
        how = ("--thresholds-from", files / "validation.npz", "--threshold-rule", "youden", *flags)
        done = tool("evaluate.py", files / "test.npz", "--json", files / f"{name}.json", *how)
        assert done.returncode == 0, done.stderr
        told[name] = json.loads((files / f"{name}.json").read_text())["of_lesions"]["nevus"]
    assert told["raw"]["threshold"] != pytest.approx(told["calibrated"]["threshold"], abs=0.02)
    assert told["raw"]["sensitivity"] == pytest.approx(told["calibrated"]["sensitivity"], abs=0.01)


def test_fitted_on_the_test_images_it_says_so_wherever_it_is_used(tool, files):
    done = tool("calibrate.py", files / "test.npz", "--out", files / "c.json")
    assert "note: these are the test images" in done.stdout
    done = tool("evaluate.py", files / "test.npz", "--calibration", files / "c.json", "--json", files / "m.json")
    assert (
        "note: the calibration was fitted on the test images: Brier score, ECE and net benefit are too good"
        in done.stdout
    )
    assert json.loads((files / "m.json").read_text())["calibration"]["fitted_on"] == "the test images"


def test_validation_images_that_are_tested_are_test_images(tool, files, calibration):
    done = tool("evaluate.py", files / "validation.npz", "--calibration", calibration)
    assert "note: the calibration was fitted on the test images" in done.stdout


def test_images_of_a_part_that_nothing_records_are_noted(tool, files):
    write_scores(files / "odd.npz", drawn_scores(300, 2, first=500, subset=None))
    done = tool("calibrate.py", files / "odd.npz", "--out", files / "c.json")
    assert "note: nothing says that these are validation images" in done.stdout


@pytest.mark.parametrize(
    "change, words",
    [
        ({"n": 99}, "99 images; a calibration needs 100 or more: score more of them"),
        ({"weights_sha256": None}, "does not say which weights it is of"),
    ],
)
def test_what_cannot_be_fitted_is_refused(tool, refused, files, change, words):
    write_scores(files / "odd.npz", drawn_scores(**{"n": 300, **change}))
    refused(tool("calibrate.py", files / "odd.npz", "--out", files / "c.json"), f"{files / 'odd.npz'}: {words}")
    assert not (files / "c.json").exists()


def test_rare_lesions_and_images_that_were_trained_on_are_refused(tool, refused, files):
    done = tool("calibrate.py", files / "validation.npz", "--scaling", "platt", "--out", files / "c.json")
    refused(done, "scar (0): platt needs 10 of each; take --scaling temperature")
    trained = drawn_scores(300)
    trained.protocol["trained_on"]["trained"] = 4
    write_scores(files / "odd.npz", trained)
    refused(tool("calibrate.py", files / "odd.npz", "--out", files / "c.json"), "4 of its images were trained on")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"weights_sha256": "b" * 64}, "is of other weights than"),
        ({"crops": 1}, "crops was 10, that of"),
        ({"names": 1}, "has not the lesions of"),
        ({"scores": 1}, "the lesion scores are not all from 0 to 1"),
    ],
)
def test_a_calibration_of_something_else_is_refused(tool, refused, files, calibration, change, words):
    kept = {name: value for name, value in change.items() if name not in ("names", "scores")}
    other = drawn_scores(50, 3, **kept)
    if "names" in change:
        other.lesion_names[0] = "wart"
    if "scores" in change:
        other = replace(other, lesion_scores=other.lesion_scores + np.float32(1))
    write_scores(files / "odd.npz", other)
    refused(tool("evaluate.py", files / "odd.npz", "--calibration", calibration), words)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"format": "skinmtl calibration, version 1", "heads": {"lesion": {"kind": "sigmoid"}}}']
)
def test_another_file_is_no_calibration(tool, refused, files, text):
    (files / "c.json").write_text(text)
    done = tool("evaluate.py", files / "test.npz", "--calibration", files / "c.json")
    refused(done, f"{files / 'c.json'}: no", "make it anew with calibrate.py")
