"""score.py on images that the net was trained on: refused, or scored and marked from the scores to the model card."""

from __future__ import annotations

import json
import shutil

import pytest

from skinmtl.scores.scores_file import read_scores
from skinmtl.training.run_folder import RunFolder
from skinmtl.training.trained_images import gathered, record_of, write_trained_on
from skinmtl.training.trained_net import SETTINGS

pytestmark = pytest.mark.caffe


@pytest.fixture
def trained_run(tiny_model, tmp_path):
    """A run outside fold 0, as train.py leaves it, that has watched fold 0."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    trained_on = gathered(tiny_model.data.train, tiny_model.data.test, [])
    settings = dict.fromkeys(SETTINGS, 1)
    arguments = {"net": str(tiny_model.folder)}
    folder.write_args({"settings": settings, "sha256": {}, "arguments": arguments, "trained_on": record_of(trained_on)})
    write_trained_on(folder, trained_on)
    shutil.copyfile(str(tiny_model.snapshot), str(folder.final))
    return folder


def test_another_fold_is_refused_with_the_number_of_its_images(run_on_test_fold, refused, trained_run, tmp_path):
    done = run_on_test_fold("score.py", tmp_path / "s.npz", fold=1, deploy=None, weights=None, run=trained_run.path)
    refused(done, trained_run.final, "16 of the 16 images were trained on", "--allow-trained")
    assert not (tmp_path / "s.npz").exists()


def test_allowed_it_is_marked_in_the_scores_the_figures_and_the_card(
    run_on_test_fold, tool, tiny_model, trained_run, tmp_path
):
    mark = "16 of the 16 images were trained on"
    out = tmp_path / "s.npz"
    done = run_on_test_fold("score.py", out, "--allow-trained", fold=1, weights=trained_run.final)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == f"score.py: {trained_run.final}: {mark}"
    said = read_scores(out).protocol["trained_on"]
    assert (said["trained"], said["allowed"]) == (16, True)
    evaluated = tool("evaluate.py", out, "--json", tmp_path / "m.json", "--fail-if-below", "map_class=0")
    assert f"note: {mark}" in evaluated.stdout.splitlines()
    assert evaluated.returncode == 1
    assert evaluated.stderr.endswith(": the figures are of images that were trained on\n")
    assert json.loads((tmp_path / "m.json").read_text())["seen"] == [mark]
    given = ("export.py", "--run", trained_run.path, "--metrics", tmp_path / "m.json", "--out", tmp_path / "model")
    assert mark in tool(*given).stderr
    assert not (tmp_path / "model").exists()
    exported = tool(*given, "--allow-trained", "--manifest", tiny_model.data.manifest)
    assert exported.returncode == 0, exported.stderr
    assert f"; {mark} |" in (tmp_path / "model" / "README.md").read_text()
    predicted = tool("predict.py", tmp_path / "model", *(tiny_model.data.images / f"{number}.jpg" for number in (1, 9)))
    assert "1 of the 2 images was trained on" in predicted.stderr


def test_images_that_it_was_watched_on_are_scored_and_told(run_on_test_fold, trained_run, tmp_path):
    done = run_on_test_fold("score.py", tmp_path / "s.npz", weights=trained_run.final)
    assert done.returncode == 0, done.stderr
    assert "8 of the 8 images were watched in training, for validation" in done.stderr


def test_of_weights_without_a_run_it_is_said_that_nothing_is_known(run_on_test_fold, tool, tiny_model, tmp_path):
    """What the net beside them reads is told to the user, who may know that it is that: it is no record."""
    done = run_on_test_fold("score.py", tmp_path / "s.npz", fold=1)
    assert done.returncode == 0, done.stderr
    assert "whether the images were trained on cannot be told" in done.stderr
    read = tiny_model.deploy.with_name("train.prototxt")
    told = f"if they were trained on what {read} reads, say --trained-on {tiny_model.data.train}"
    assert done.stderr.splitlines()[-1].endswith(told)
    assert read_scores(tmp_path / "s.npz").protocol["trained_on"] == "unknown"
    judged = tool("evaluate.py", tmp_path / "s.npz", "--fail-if-below", "map_class=0")
    assert judged.returncode == 3
    assert "nothing records what was trained on" in judged.stderr


class TestTrainedOn:
    """Weights of `caffe train`, whose training data the user names."""

    def test_new_images_are_known_to_be_new(self, run_on_test_fold, tool, tiny_model, tmp_path):
        done = run_on_test_fold("score.py", tmp_path / "s.npz", "--trained-on", tiny_model.data.train)
        assert done.returncode == 0, done.stderr
        assert "cannot be told" not in done.stderr
        said = read_scores(tmp_path / "s.npz").protocol["trained_on"]
        assert (said["images"], said["trained"], said["same_name"]) == (8, 0, 0)
        assert said["starting_weights"] == "not recorded"
        assert tool("evaluate.py", tmp_path / "s.npz", "--fail-if-below", "map_class=0").returncode == 0

    def test_those_of_any_of_its_folders_are_refused(self, run_on_test_fold, refused, tiny_model, tmp_path):
        folders = (tiny_model.data.test, tiny_model.data.train)
        done = run_on_test_fold("score.py", tmp_path / "s.npz", "--trained-on", *folders, fold=1)
        refused(done, tiny_model.snapshot, "16 of the 16 images were trained on", "--allow-trained")

    def test_it_is_refused_where_a_run_records_it(self, run_on_test_fold, refused, trained_run, tiny_model, tmp_path):
        words = ("--trained-on", tiny_model.data.train)
        done = run_on_test_fold("score.py", tmp_path / "s.npz", *words, weights=trained_run.final)
        refused(done, "--trained-on", trained_run.final, "is recorded; leave the flag out")

    def test_a_folder_that_is_no_data_set(self, run_on_test_fold, refused, tmp_path):
        done = run_on_test_fold("score.py", tmp_path / "s.npz", "--trained-on", tmp_path)
        refused(done, tmp_path / "records.csv")


def test_a_short_side_that_nothing_says_is_told(run_on_test_fold, tiny_model, tmp_path):
    for name in ("deploy.prototxt", "test.prototxt"):
        shutil.copyfile(str(tiny_model.folder / name), str(tmp_path / name))
    done = run_on_test_fold("score.py", tmp_path / "s.npz", deploy=tmp_path / "deploy.prototxt", short_side=None)
    assert done.returncode == 0, done.stderr
    assert f"score.py: {tmp_path / 'net.json'}: is missing; 256 pixels are taken" in done.stderr
