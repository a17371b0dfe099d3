"""make_prototxt.py --lesion-loss and --class-weights: what becomes of the nets' files, and what is refused."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest

from caffe_files.prototxt import read_net
from skinmtl.data.label_counts import lesion_counts
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.nets.class_weights import positive_weights, softmax_weights
from skinmtl.training.log_file import read_log

TINY = ("--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64, "--batch-size", 8)


def layer(path, name):
    return next(layer for layer in read_net(path).layer if layer.name == name)


def told(path):
    return json.loads(layer(path, "lesion_loss").python_param.param_str or "{}")


@pytest.fixture
def make(tool, small_set, tmp_path):
    def run(*more, out="net", data=None):
        data = data or small_set
        return tool(
            "make_prototxt.py",
            *(*TINY, *more, "--train-data", data.train, "--test-data", data.test, "--out", tmp_path / out),
        )

    return run


@pytest.fixture(scope="module")
def one_each(small_set, tmp_path_factory):
    """The images of the small set with one lesion each: of 16, 2 have a scar and none has what the fourth name says."""
    folder = tmp_path_factory.mktemp("one each")
    names = ["scar", *["nodule"] * 5, *["crust"] * 9, "scar"]
    lines = [f"{number}.jpg,{name},back" for number, name in enumerate(names)]
    (folder / "manifest.csv").write_text("\n".join(["image,lesions,location", *lines]) + "\n")
    (folder / "lesions.txt").write_text("crust\nnodule\nscar\nwart\n")
    manifest = read_manifest(folder / "manifest.csv")
    for subset in ("train", "test"):
        write_lmdbs(manifest, small_set.images, folder / subset, Sizes(72, 72, 1), 1, 1, {})
    small = type(small_set)(train=folder / "train", test=folder / "test", manifest=folder / "manifest.csv")
    return small


def test_weights_are_those_of_the_training_images_and_stand_in_both_nets_with_their_source(make, small_set, tmp_path):
    made = make("--class-weights", "effective")
    assert made.returncode == 0, made.stderr
    images, *counts = lesion_counts(small_set.train)
    summary = json.loads((small_set.train / "dataset.json").read_text())
    assert (images, counts) == (summary["n_images"], summary["images_per_lesion"])
    for name in ("train", "test"):
        path = tmp_path / "net" / f"{name}.prototxt"
        loss = layer(path, "lesion_loss")
        assert (loss.python_param.layer, list(loss.loss_weight)) == ("WeightedSigmoidLoss", [1])
        assert told(path) == {"positive": list(positive_weights("effective", images, counts))}
        assert "Cui et al. 2019, beta 0.999" in path.read_text()
        assert f"{images} images; with each lesion {' '.join(map(str, counts))}" in path.read_text()
    assert layer(tmp_path / "net" / "deploy.prototxt", "lesion_prob").type == "Sigmoid"


def test_the_first_line_makes_the_files_again_without_the_data(make, tool, tmp_path):
    assert make("--class-weights", "inverse").returncode == 0
    first = (tmp_path / "net" / "train.prototxt").read_text().splitlines()[0]
    command = shlex.split(re.match(r"# made by: tools/(.*)", first).group(1))
    checked = tool(*command, "--check")
    assert (checked.returncode, checked.stdout) == (0, f"{tmp_path / 'net'}: as generated\n"), checked.stderr
    for at in (command.index("--train-data") + 1, command.index("--test-data") + 1):
        command[at] = str(tmp_path / "no such data")
    command[command.index("--out") + 1] = str(tmp_path / "again")
    assert tool(*command).returncode == 0
    assert told(tmp_path / "again" / "train.prototxt") == told(tmp_path / "net" / "train.prototxt")


def test_the_papers_loss_stays_caffes_own(make, tmp_path):
    assert make("--lesion-loss", "sigmoid", "--class-weights", "none").returncode == 0
    assert layer(tmp_path / "net" / "train.prototxt", "lesion_loss").type == "SigmoidCrossEntropyLoss"


def test_the_focal_loss(make, tmp_path):
    assert make("--lesion-loss", "focal", "--focal-gamma", "1.5").returncode == 0
    assert told(tmp_path / "net" / "train.prototxt") == {"gamma": 1.5}
    assert make("--lesion-loss", "focal", out="usual").returncode == 0
    assert told(tmp_path / "usual" / "train.prototxt") == {"gamma": 2.0}


def test_a_softmax_of_images_with_one_lesion_each(make, one_each, tmp_path):
    made = make("--lesion-loss", "softmax", "--class-weights", "inverse", data=one_each)
    assert made.returncode == 0, made.stderr
    path = tmp_path / "net" / "train.prototxt"
    assert layer(path, "lesion_loss").python_param.layer == "WeightedSoftmaxLoss"
    assert told(path) == {"weights": list(softmax_weights("inverse", [9, 5, 2, 0]))}
    assert layer(tmp_path / "net" / "deploy.prototxt", "lesion_prob").type == "Softmax"


def test_a_softmax_of_images_with_several_lesions_is_refused(make, small_set, refused, tmp_path):
    refused(make("--lesion-loss", "softmax"), small_set.train, "record", "has 2 lesions", "leave the flag out")
    assert not (tmp_path / "net").exists()


def test_copies_of_one_image_are_counted_once(small_set, tmp_path):
    manifest = read_manifest(small_set.manifest)
    write_lmdbs(manifest, small_set.images, tmp_path / "data", Sizes(70, 72, 3), 1, 1, {})
    assert lesion_counts(tmp_path / "data") == (24, *manifest.lesion_labels().sum(axis=0).tolist())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model", "resnet50_location", "--lesion-loss", "focal"), "for models with a lesion head"),
        (("--focal-gamma", "3"), "goes with --lesion-loss focal"),
        (("--class-weights-beta", "0.9"), "goes with --class-weights effective"),
        (("--class-weights", "effective", "--class-weights-beta", "1"), "not a number between 0 and 1"),
        (("--class-counts", "5", "1"), "goes with --class-weights"),
        (("--class-weights", "inverse", "--class-counts", "5", "1"), "the number of images, then"),
    ],
)
def test_flags_that_do_not_go_together_are_a_usage_error(make, flags, words):
    done = make(*flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_weights_without_data_are_refused(tool, refused, tmp_path):
    counted = ("--lesions", 3, "--locations", 4, "--test-batch-size", 8, "--class-weights", "inverse")
    data = ("--train-data", tmp_path / "no", "--test-data", tmp_path / "none")
    refused(tool("make_prototxt.py", *TINY, *counted, *data, "--out", tmp_path / "net"), "--class-counts")


@pytest.mark.caffe
@pytest.mark.parametrize("loss", ["focal", "softmax"])
def test_caffe_trains_it_and_the_net_answers(make, tool, one_each, small_set, tmp_path, loss):
    """Trained, scored and evaluated: a softmax's answers are shares of one, and the set has a balanced accuracy."""
    made = make("--lesion-loss", loss, "--class-weights", "effective", data=parted(one_each, small_set, tmp_path))
    assert made.returncode == 0, made.stderr
    solver = tmp_path / "solver.prototxt"
    solver.write_text('base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 random_seed: 1 type: "SGD"')
    how = ("--max-iter", 6, "--test-interval", 3, "--out", tmp_path / "run", "--watch", "balanced_accuracy")
    done = tool("train.py", "--solver", solver, "--net", tmp_path / "net", *how)
    if loss != "softmax":
        assert (done.returncode, "make it with --lesion-loss softmax" in done.stderr) == (1, True)
        done = tool("train.py", "--solver", solver, "--net", tmp_path / "net", *how[:-2])
    assert done.returncode == 0, done.stderr
    logged = [row.get("balanced_accuracy") for row in read_log(tmp_path / "run" / "log.csv")]
    if loss == "softmax":
        assert "watched: 1 - balanced accuracy of the validation images" in done.stdout
        assert len(logged) == 2 and all(0 <= value <= 1 for value in logged)
        best = json.loads((tmp_path / "run" / "args.json").read_text())["best"]
        assert best["error"] == pytest.approx(1 - max(logged), abs=1e-6) and best["watched"] == "balanced_accuracy"
    else:
        assert logged == [None, None]
    flags = ("--manifest", one_each.manifest, "--images", small_set.images, "--allow-trained", "--workers", 1)
    scored = tool("score.py", "--run", tmp_path / "run", *flags, "--out", tmp_path / "s.npz")
    assert scored.returncode == 0, scored.stderr
    with np.load(str(tmp_path / "s.npz")) as arrays:
        total = arrays["lesion_scores"].sum(axis=1)
    assert np.allclose(total, 1, atol=1e-5) == (loss == "softmax")
    evaluated = tool("evaluate.py", tmp_path / "s.npz", "--json", tmp_path / "m.json")
    assert "balanced accuracy" in evaluated.stdout
    assert len(json.loads((tmp_path / "m.json").read_text())["lesion_confusion"]) == 4


def parted(one_each, small_set, folder):
    """The set with one lesion each, watched on other images than it is trained on."""
    manifest = read_manifest(one_each.manifest)
    for subset, rows in (("train", manifest.rows[:10]), ("test", manifest.rows[10:])):
        part = type(manifest)(**{**vars(manifest), "rows": rows})
        write_lmdbs(part, small_set.images, folder / "split" / subset, Sizes(72, 72, 1), 1, 1, {})
    return type(one_each)(train=folder / "split" / "train", test=folder / "split" / "test")
