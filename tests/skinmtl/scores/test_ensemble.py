"""Several models as one, through the tool and the library."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_regions import BOTH, BY_HAND
from worked_example import SCORES, UNSEEN

from caffe_files.errors import InputError
from skinmtl.scores.ensemble import combine
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import Scores, read_scores, write_scores

IMAGES = ["1.jpg", "2.jpg", "3.jpg"]
LESIONS = {"lesion_labels": np.array([[1, 0], [1, 0], [0, 0]], np.uint8), "lesion_names": ["cyst", "scar"]}
LOCATIONS = {"location_labels": np.array([0, 1, 0]), "location_names": ["face", "trunk"]}
ONE = Scores(
    image=IMAGES,
    protocol={"net": "resnet50_lesion", "crop": 224, "trained_on": UNSEEN},
    lesion_scores=np.array([[0.5, 0.25], [0.125, 1], [0.75, 0]], np.float32),
    **LESIONS,
)
TWO = Scores(
    image=IMAGES[::-1],
    protocol={"net": "alexnet_lesion", "crop": 227, "trained_on": UNSEEN},
    lesion_scores=np.array([[0.25, 0.5], [0.625, 0], [0.25, 0.75]], np.float32),
    lesion_labels=LESIONS["lesion_labels"][::-1],
    lesion_names=LESIONS["lesion_names"],
    location_scores=np.array([[1, 0], [0.5, 0.5], [0.25, 0.75]], np.float32),
    location_labels=LOCATIONS["location_labels"][::-1],
    location_names=LOCATIONS["location_names"],
)
BEST = np.array([[0.5, 0.75], [0.625, 1], [0.75, 0.5]], np.float32)
MEAN = np.array([[0.375, 0.5], [0.375, 0.5], [0.5, 0.25]], np.float32)


@pytest.fixture
def files(tmp_path):
    write_scores(tmp_path / "one.npz", ONE)
    write_scores(tmp_path / "two.npz", TWO)
    return [tmp_path / "one.npz", tmp_path / "two.npz"]


class TestCombine:
    @pytest.mark.parametrize("rule, expected", [("maximum", BEST), ("mean", MEAN)])
    def test_a_case_worked_by_hand(self, rule, expected):
        both = combine([("one", ONE), ("two", TWO)], rule)
        assert both.image == IMAGES
        np.testing.assert_array_equal(both.lesion_scores, expected)
        assert both.lesion_scores.dtype == np.float32
        np.testing.assert_array_equal(both.lesion_labels, ONE.lesion_labels)
        assert both.location_scores is both.location_labels is both.location_names is None

    @settings(max_examples=100, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.randoms(use_true_random=False))
    def test_the_order_of_files_changes_the_order_of_rows_alone(self, seed, n, shuffle):
        random = np.random.RandomState(seed)
        models = []
        for number in range(n):
            rows = random.permutation(3)
            scores = random.random_sample((3, 2)).astype(np.float32)
            arrays = {"lesion_scores": scores, "lesion_labels": ONE.lesion_labels[rows]}
            models.append((str(number), replace(ONE, image=[IMAGES[row] for row in rows], **arrays)))
        by_image = []
        for _ in range(2):
            best, mean = (combine(models, rule) for rule in ("maximum", "mean"))
            assert (best.lesion_scores >= mean.lesion_scores).all()
            by_image.append([dict(zip(each.image, each.lesion_scores.tolist())) for each in (best, mean)])
            shuffle.shuffle(models)
        assert by_image[0][0] == by_image[1][0]
        for image in IMAGES:
            assert by_image[0][1][image] == pytest.approx(by_image[1][1][image], abs=1e-7)

    def test_of_a_model_and_its_copy_is_the_model(self):
        for rule in ("maximum", "mean"):
            np.testing.assert_array_equal(combine([("a", ONE), ("b", ONE)], rule).lesion_scores, ONE.lesion_scores)

    def test_a_class_without_a_positive_has_no_ap_in_the_ensemble_either(self):
        figures = evaluate(combine([("one", ONE), ("two", TWO)], "maximum"))
        assert figures["average_precision"]["scar"] is None
        assert figures["n_classes_used"] == 1
        assert figures["map_class"] == figures["average_precision"]["cyst"]

    def test_no_common_head(self):
        place = replace(TWO, lesion_scores=None, lesion_labels=None, lesion_names=None)
        with pytest.raises(InputError, match=r"no head is in all files \(one has lesion, two has location\)"):
            combine([("one", ONE), ("two", place)], "maximum")

    def test_regions_alone_are_refused(self):
        with pytest.raises(InputError, match=r"no head is in all files \(one has boxes and masks alone, which are not"):
            combine([("one", BY_HAND), ("two", ONE)], "maximum")


class TestTool:
    def test_what_a_net_draws_is_left_out_and_said(self, tool, tmp_path):
        write_scores(tmp_path / "1.npz", BOTH)
        write_scores(tmp_path / "2.npz", SCORES)
        done = tool("ensemble.py", tmp_path / "1.npz", tmp_path / "2.npz", "--out", tmp_path / "e.npz")
        assert done.returncode == 0, done.stderr
        assert f"boxes, classes and masks left out, which are not combined: in {tmp_path}/1.npz" in done.stdout
        assert not read_scores(tmp_path / "e.npz").has_regions

    def test_writes_a_scores_file_that_says_what_it_is_of(self, tool, files, tmp_path):
        done = tool("ensemble.py", *files, "--out", tmp_path / "new" / "e.npz")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            f"{tmp_path}/new/e.npz: 3 images, maximum of 2 files, lesion\nlocation left out: not in {files[0]}\n"
        )
        both = read_scores(tmp_path / "new" / "e.npz")
        np.testing.assert_array_equal(both.lesion_scores, BEST)
        assert both.protocol["ensemble"] == "maximum"
        assert both.protocol["arguments"]["rule"] == "maximum"
        for source, path, scores in zip(both.protocol["sources"], files, (ONE, TWO)):
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            assert source == {"file": str(path), "sha256": sha256, "protocol": scores.protocol}

    def test_files_of_images_that_were_resized_by_different_rules_are_told(self, tool, files, tmp_path):
        write_scores(files[1], replace(TWO, protocol={**TWO.protocol, "resizing": "by area"}))
        told = tool("ensemble.py", *files, "--out", tmp_path / "both.npz").stdout
        each = f"{files[0]}: not said; {files[1]}: by area"
        assert f"note: the images were resized by different rules, which moves figures a little ({each})" in told
        assert "resized" not in tool("ensemble.py", files[0], files[0], "--out", tmp_path / "one_twice.npz").stdout

    def test_both_heads_where_all_have_both(self, tool, tmp_path):
        write_scores(tmp_path / "1.npz", TWO)
        write_scores(tmp_path / "2.npz", replace(TWO, location_scores=TWO.location_scores[:, ::-1]))
        done = tool(
            "ensemble.py", tmp_path / "1.npz", tmp_path / "2.npz", "--rule", "mean", "--out", tmp_path / "e.npz"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{tmp_path}/e.npz: 3 images, mean of 2 files, lesion and location\n"
        np.testing.assert_array_equal(read_scores(tmp_path / "e.npz").location_scores, np.full((3, 2), 0.5))

    def test_its_output_can_be_evaluated_and_combined_again(self, tool, files, tmp_path):
        assert tool("ensemble.py", *files, "--out", tmp_path / "e.npz").returncode == 0
        assert tool("ensemble.py", tmp_path / "e.npz", files[0], "--out", tmp_path / "f.npz").returncode == 0
        np.testing.assert_array_equal(read_scores(tmp_path / "f.npz").lesion_scores, BEST)
        done = tool("evaluate.py", tmp_path / "e.npz", "--json", tmp_path / "m.json", "--bootstrap", 20)
        assert done.returncode == 0, done.stderr
        report = json.loads((tmp_path / "m.json").read_text())
        assert report["average_precision"]["scar"] is None and report["average_precision"]["cyst"] > 0
        assert report["intervals"]["average_precision"]["scar"] is None
        assert report["protocol"]["sources"][1]["protocol"]["net"] == "alexnet_lesion"

    def test_the_same_files_give_the_same_bytes(self, tool, files, tmp_path):
        contents = []
        for _ in range(2):
            assert tool.started("ensemble.py", *files, "--overwrite", "--out", tmp_path / "e.npz").returncode == 0
            contents.append((tmp_path / "e.npz").read_bytes())
        assert contents[0] == contents[1]

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"image": ["1.jpg", "2.jpg", "4.jpg"]}, ["has no image '3.jpg'", "one.npz"]),
            ({"lesion_names": ["cyst", "wart"]}, ["lesion 1 is 'wart'", "'scar'"]),
            ({"lesion_labels": 1 - ONE.lesion_labels}, ["image '1.jpg' has not lesion 'cyst'", "one.npz"]),
        ],
        ids=["images", "names", "labels"],
    )
    def test_files_that_differ_are_refused_and_the_old_ensemble_stays(
        self, tool, refused, files, tmp_path, change, words
    ):
        write_scores(files[1], replace(ONE, **change))
        (tmp_path / "e.npz").write_text("the old ensemble")
        refused(tool("ensemble.py", *files, "--overwrite", "--out", tmp_path / "e.npz"), files[1], *words)
        assert (tmp_path / "e.npz").read_text() == "the old ensemble"

    def test_a_file_that_is_not_there_or_no_scores(self, tool, refused, files, tmp_path):
        out = ("--out", tmp_path / "e.npz")
        refused(tool("ensemble.py", files[0], tmp_path / "none.npz", *out), "none.npz", "No such file")
        files[1].write_bytes(files[1].read_bytes()[:-40])
        refused(tool("ensemble.py", *files, *out), files[1], "not a whole .npz file")
        assert not (tmp_path / "e.npz").exists()

    @pytest.mark.parametrize("case", ["one file", "a file twice", "over an input", "no npz", "another rule"])
    def test_usage(self, tool, files, tmp_path, case):
        before = files[0].read_bytes()
        one, two = files
        arguments, words = {
            "one file": ([one, "--out", tmp_path / "e.npz"], "two or more"),
            "a file twice": ([one, f"{tmp_path}/../{tmp_path.name}/one.npz", "--out", tmp_path / "e.npz"], "twice"),
            "over an input": ([one, two, "--out", one], "is an input"),
            "no npz": ([one, two, "--out", tmp_path / "e.json"], "must end in .npz"),
            "another rule": ([one, two, "--out", tmp_path / "e.npz", "--rule", "median"], "median"),
        }[case]
        done = tool("ensemble.py", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert files[0].read_bytes() == before
