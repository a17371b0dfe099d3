"""tools/predict.py: the same probabilities as score.py's, told in words or as JSON, for images of every origin."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from made_model import ENGINE, NAMES, request, write_small_net
from usage_errors import usage_errors

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.explanation.attending import attend_files
from skinmtl.publishing.exporting import export
from skinmtl.publishing.model_folder import read_model_folder
from skinmtl.publishing.photographs import gather
from skinmtl.publishing.predicting import Predictor, predict
from skinmtl.publishing.which_model import find_model
from skinmtl.scores.forward import Protocol
from skinmtl.scores.scoring import score

pytest_plugins = ["made_model_fixtures"]
TOOL = [sys.executable, str(ROOT / "tools" / "predict.py")]


def protocol_of(model, crops=10, batch_size=10):
    return Protocol(model.short_side, model.mean, batch_size, ENGINE, 1, crops)


def cannot_tell(folder):
    """What is said of a model without a novelty."""
    why = "it has no novelty.npz, which export.py --novelty puts into a model folder"
    return f"predict.py: {folder}: cannot tell photographs that are unlike its training images: {why}"


def paths(photographs, *names):
    return [str(photographs.images / name) for name in names or photographs.names]


@pytest.fixture(scope="module")
def expected(model, photographs, tmp_path_factory):
    """By the number of crops, what score.py makes of the photographs."""
    out, manifest = tmp_path_factory.mktemp("scores") / "s.npz", read_manifest(photographs.manifest)
    files = (model.deploy, model.weights, manifest, photographs.images)
    return {crops: score(*files, protocol_of(model, crops), out, {}) for crops in (1, 10)}


@pytest.fixture(scope="module")
def attending(model):
    return Predictor(model, protocol_of(model), attends=True)


@pytest.mark.caffe
def test_probabilities_are_score_pys(model, photographs, expected):
    items, told = gather(paths(photographs), None)
    assert told == []
    for crops, batch_size in ((10, 10), (10, 4), (1, 10)):
        predictor = Predictor(model, protocol_of(model, crops, batch_size), attends=False)
        for row, one in enumerate(predict(predictor, items, None, {})):
            for head in NAMES:
                scores = getattr(expected[crops], f"{head}_scores")[row]
                assert np.abs(one.probabilities[head] - scores).max() < 1e-6
    assert np.ptp(expected[10].lesion_scores, axis=0).min() > 1e-3  # images differ
    assert np.abs(expected[1].lesion_scores - expected[10].lesion_scores).max() > 1e-3  # so do crops


@pytest.mark.caffe
def test_a_folder_as_json_with_what_made_it(tool, model, photographs, expected, tmp_path):
    folder = tmp_path / "some images"
    shutil.copytree(str(photographs.images), str(folder))
    (folder / "notes.txt").write_text("")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n")
    done = tool(
        "predict.py", "--model-folder", model.path, "--json-lines", "-", "--threshold", 0, folder, "no such.jpg"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"predict.py: {folder}: 1 file has another ending and is left out",
        cannot_tell(model.path),
        f"predict.py: {folder}/broken.png: not an image that OpenCV reads, or a truncated one; mend it or leave it out",
        "predict.py: no such.jpg: cannot be read (No such file or directory); mend it or leave it out",
    ]
    lines = {line["image"]: line for line in map(json.loads, done.stdout.splitlines())}
    names = [f"{folder}/{name}" for name in ("arm.jpg", "at home/leg.png", "back.jpg", "broken.png")]
    assert sorted(lines) == sorted([*names, "no such.jpg"])
    assert {name for name, line in lines.items() if "error" in line} == {names[3], "no such.jpg"}
    scores = expected[10]
    for name, of_lesions, of_locations in zip(scores.image, scores.lesion_scores, scores.location_scores):
        line = lines[f"{folder}/{name}"]
        assert list(line["probabilities"]["lesion"]) == NAMES["lesion"]
        assert np.allclose(list(line["probabilities"]["lesion"].values()), of_lesions, atol=1e-6)
        assert np.allclose(list(line["probabilities"]["location"].values()), of_locations, atol=1e-6)
        assert [each["label"] for each in line["lesions"]] == [NAMES["lesion"][n] for n in np.argsort(-of_lesions)]
        best = [NAMES["location"][n] for n in np.argsort(-of_locations)[:3]]
        assert [each["label"] for each in line["locations"]] == best
        assert (line["model"]["name"], line["model"]["crops"]) == ("small_lesion_location", 10)
        assert line["model"]["weights_sha256"] == model.files["weights.caffemodel"]


@pytest.mark.caffe
def test_json_lines_in_a_file_beside_the_text(tool, model, photographs, tmp_path):
    words = ("--workers", 1, "--model-folder", model.path, photographs.images / "arm.jpg")
    lines = tmp_path / "made" / "lines.jsonl"
    told = tool("predict.py", *words, tmp_path / "no such.jpg", "--json-lines", lines)
    assert told.returncode == 1
    assert told.stdout == tool("predict.py", *words).stdout
    assert lines.read_text() == tool("predict.py", *words, tmp_path / "no such.jpg", "--json-lines", "-").stdout
    assert len(lines.read_text().splitlines()) == 2
    photograph = words[-1].read_bytes()
    for overwrite in ((), ("--overwrite",)):
        assert tool("predict.py", *words, "--json-lines", words[-1], *overwrite).returncode != 0
        assert words[-1].read_bytes() == photograph, "what is read is never written over"


@pytest.mark.caffe
def test_standard_input_in_words(model, photographs, expected):
    data = (photographs.images / "arm.jpg").read_bytes()
    command = [*TOOL, "--model-folder", str(model.path), "-", "--threshold", "1"]
    done = subprocess.run(command, input=data, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lesions, locations = expected[10].lesion_scores[0], expected[10].location_scores[0]
    best = lesions.argmax()
    words = [f"{locations[n]:.3f}  {NAMES['location'][n]}" for n in np.argsort(-locations)[:3]]
    assert done.stdout.decode().splitlines() == [
        "standard input",
        f"  lesion    none from 1 on; the likeliest: {lesions[best]:.3f}  {NAMES['lesion'][best]}",
        f"  location  {words[0]}",
        *(f"            {each}" for each in words[1:]),
    ]


@pytest.mark.caffe
def test_overlays_are_those_of_attend_py(model, attending, photographs, expected, tmp_path):
    given = paths(photographs, "arm.jpg", "at home/leg.png")
    made = {"attention": tmp_path, "of bytes": "\udcff"}
    found = list(predict(attending, gather(given, None)[0], tmp_path / "shown", made))
    net = write_small_net(tmp_path / "net")
    attend_files(net.deploy, net.weights, list(map(Path, given)), protocol_of(model), tmp_path / "attended", {})
    for row, (path, one) in enumerate(zip(given, found)):
        for head in NAMES:
            name = f"{Path(path).name}.{head}.png"
            assert one.overlays[head] == tmp_path / "shown" / name
            assert one.overlays[head].read_bytes() == (tmp_path / "attended" / name).read_bytes()
            scores = getattr(expected[10], f"{head}_scores")[row]
            assert np.allclose(one.probabilities[head], scores, atol=1e-6)
    said = json.loads((tmp_path / "shown" / "attention.json").read_text())
    assert [one["image"] for one in said["images"]] == given
    best = [NAMES[head][int(getattr(expected[10], f"{head}_scores")[0].argmax())] for head in NAMES]
    assert [said["images"][0][head]["label"] for head in NAMES] == best
    assert said["arguments"] == {"attention": str(tmp_path), "of bytes": "\udcff"}
    assert cv2.imread(str(found[0].overlays["lesion"])).shape[0] == 256


@pytest.mark.caffe
def test_overlays_lie_as_a_folders_images_do(attending, photographs, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(str(photographs.images), str(folder))
    (folder / "broken.png").write_bytes(b"")
    items, _ = gather([str(folder)], None)
    found = {one.item.overlays: one for one in predict(attending, items, tmp_path / "shown", {})}
    assert [name for name, one in found.items() if one.problem] == ["broken.png"]
    assert found["at home/leg.png"].overlays["lesion"] == tmp_path / "shown" / "at home" / "leg.png.lesion.png"
    assert found["at home/leg.png"].overlays["lesion"].is_file()
    broken = found["broken.png"].item
    (only,) = predict(attending, [broken], tmp_path / "none", {})
    assert only.problem == "the file is empty"
    assert not (tmp_path / "none").exists()  # no folder without a picture


@pytest.mark.caffe
def test_a_model_with_one_head_tells_of_it_alone(photographs, tmp_path):
    net = write_small_net(tmp_path / "net", heads=["location"])
    export(request(net), tmp_path / "model", {})
    model = read_model_folder(tmp_path / "model")
    items, _ = gather(paths(photographs, "arm.jpg"), None)
    (found,) = predict(Predictor(model, protocol_of(model), attends=False), items, None, {})
    assert list(found.probabilities) == ["location"]
    assert found.probabilities["location"].sum() == pytest.approx(1)


@pytest.mark.caffe
def test_a_stop_leaves_no_half_folder(model, photographs, tmp_path):
    many = paths(photographs, "arm.jpg")
    for number in range(400):
        (tmp_path / f"{number}.jpg").symlink_to(many[0])
        many.append(str(tmp_path / f"{number}.jpg"))
    command = [
        *TOOL,
        "--model-folder",
        str(model.path),
        "--workers",
        "2",
        "--attention",
        str(tmp_path / "shown"),
        *many,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == f"{many[0]}\n"  # at work
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(timeout=60) == 128 + signal.SIGINT
    assert process.stderr.read() == f"{cannot_tell(model.path)}\npredict.py: stopped by SIGINT\n"
    process.stdout.close()
    process.stderr.close()
    assert not [path.name for path in tmp_path.iterdir() if "shown" in path.name]


def test_a_folder_that_is_no_model_is_one_line(tool, refused, photographs):
    done = tool("predict.py", "--model-folder", photographs.images, photographs.images / "arm.jpg")
    refused(done, f"{photographs.images}/model.json: missing; ", "is no model folder of export.py")


def test_wrong_usage(tmp_path):
    lines = [
        ["--model-folder", "m"],
        ["a.jpg"],
        ["--model-folder", "m", "-", "-"],
        ["--model-folder", "m", "a.jpg", "--threshold", "1.5"],
        ["--model-folder", "m", "a.jpg", "--crops", "5"],
        ["--model-folder", "m", "a.jpg", "--crops", "1", "--attention", "d"],
        ["--model-folder", "m", "a.jpg", "--engine", "caffe", "--precision", "bf16"],
    ]
    words = [
        *("IMAGE", "--model-folder", "give it once", "not a number from 0 to 1", "invalid choice"),
        *("goes with 10 crops", "--precision bf16"),
    ]
    for line, said in zip(usage_errors("predict", lines, tmp_path), words):
        assert said in line


class TestFolderFirst:
    """`predict.py work/x photo.jpg`: which model the folder has, and that it is said."""

    @pytest.fixture
    def folder(self, tmp_path):
        """Makes a folder with empty files of these names."""

        def make(*names):
            for name in names:
                (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "x" / name).touch()
            return tmp_path / "x"

        return make

    def test_a_model_folder_a_run_and_an_experiment_are_told_apart(self, folder):
        found = find_model(folder("folds.csv", "config.yaml", "model/model.json", "logs/a.log"))
        assert (found.path.name, found.is_run) == ("model", False) and "experiment" in found.line
        found = find_model(folder("args.json"))
        assert (found.path.name, found.is_run) == ("x", True) and "training run" in found.line
        found = find_model(folder("model.json"))
        assert (found.path.name, found.is_run) == ("x", False) and "model folder" in found.line

    def test_an_experiment_without_a_model_says_what_makes_one(self, folder):
        with pytest.raises(InputError, match="an experiment without a model yet; the same skinmtl run"):
            find_model(folder("folds.csv", "config.yaml", "logs/a.log"))

    def test_another_folder_and_a_file_have_none(self, folder, tmp_path):
        assert find_model(folder("a.jpg", "config.yaml")) is None
        assert find_model(tmp_path / "x" / "a.jpg") is None

    @pytest.mark.caffe
    def test_it_predicts_as_with_the_flag_and_says_what_it_took(self, tool, model, photographs, tmp_path):
        (tmp_path / "folds.csv").touch()
        (tmp_path / "config.yaml").touch()
        shutil.copytree(str(model.path), str(tmp_path / "model"))
        (image,) = paths(photographs, photographs.names[0])
        by_flag = tool("predict.py", "--model-folder", model.path, image)
        by_folder = tool("predict.py", tmp_path, image)
        assert (by_folder.returncode, by_folder.stdout) == (0, by_flag.stdout)
        assert by_folder.stderr.splitlines() == [
            f"predict.py: {tmp_path}: taken as the experiment whose model is {tmp_path / 'model'}",
            cannot_tell(tmp_path / "model"),
        ]

    def test_a_folder_without_a_model_or_nothing_else_is_wrong_usage(self, folder, tmp_path):
        (tmp_path / "images").mkdir()
        folder("model.json")
        lines = [["images"], ["x"], ["--run", "r", "--model-folder", "m", "a.jpg"]]
        words = [
            "images has no model: name a folder",
            "x has the model; name images after it",
            "give --model-folder or",
        ]
        for said, expected in zip(usage_errors("predict", lines, tmp_path), words):
            assert expected in said
