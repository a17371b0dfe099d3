"""make_prototxt.py --location-weights: weights by the training images of each location, in Caffe and from the data."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from caffe_files.prototxt import read_net
from skinmtl.data.label_counts import location_counts
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.nets.class_weights import softmax_weights
from skinmtl.training.log_file import read_log

TINY = ("--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 48, "--batch-size", 4)


def loss_of(path):
    return next(layer for layer in read_net(path).layer if layer.name == "location_loss")


@pytest.fixture(scope="module")
def uneven(small_set, tmp_path_factory):
    """The training images of the small set, but with one of four on the back alone."""
    manifest = read_manifest(small_set.manifest)
    rows = [row for number, row in enumerate(manifest.rows) if number >= 8 and (number % 4 or number == 8)]
    part = type(manifest)(**{**vars(manifest), "rows": rows})
    folder = tmp_path_factory.mktemp("uneven")
    write_lmdbs(part, small_set.images, folder / "train", Sizes(72, 72, 1), 1, 1, {})
    return type(small_set)(train=folder / "train", test=small_set.test)


@pytest.fixture
def make(tool, uneven, tmp_path):
    def run(*more, out="net"):
        data = ("--train-data", uneven.train, "--test-data", uneven.test)
        return tool("make_prototxt.py", *TINY, *more, *data, "--out", tmp_path / out)

    return run


def test_weights_are_those_of_the_training_images_with_their_source(make, uneven, tmp_path):
    made = make("--location-weights", "effective", "--class-weights-beta", 0.9)
    assert made.returncode == 0, made.stderr
    counts = location_counts(uneven.train)
    assert counts == (1, 4, 4, 4)
    for name in ("train", "test"):
        path = tmp_path / "net" / f"{name}.prototxt"
        loss = loss_of(path)
        assert (loss.type, loss.python_param.layer, list(loss.loss_weight)) == ("Python", "WeightedSoftmaxLoss", [1])
        assert list(loss.bottom) == ["fc_location", "location_label"]
        weights = json.loads(loss.python_param.param_str)["weights"]
        assert weights == list(softmax_weights("effective", counts, 0.9))
        assert f"{' '.join(map(str, counts))} images." in path.read_text()
    first = (tmp_path / "net" / "deploy.prototxt").read_text().splitlines()[0]
    command = shlex.split(re.match(r"# made by: tools/(.*)", first).group(1))
    assert command[command.index("--location-counts") + 1 :][: len(counts)] == list(map(str, counts))


def test_the_first_line_makes_the_files_again_without_the_data(make, tool, tmp_path):
    assert make("--location-weights", "inverse").returncode == 0
    first = (tmp_path / "net" / "train.prototxt").read_text().splitlines()[0]
    command = shlex.split(re.match(r"# made by: tools/(.*)", first).group(1))
    checked = tool(*command, "--check")
    assert (checked.returncode, checked.stdout) == (0, f"{tmp_path / 'net'}: as generated\n"), checked.stderr


def test_the_papers_loss_stays_caffes_own(make, tmp_path):
    assert make("--location-weights", "none").returncode == 0
    assert loss_of(tmp_path / "net" / "train.prototxt").type == "SoftmaxWithLoss"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model", "resnet50_lesion", "--location-weights", "inverse"), "of models with a location head"),
        (("--location-counts", 3, 4), "goes with --location-weights"),
        (("--location-weights", "inverse", "--location-counts", 3, 4), "the number of images of each"),
        (("--location-weights", "inverse", "--class-weights-beta", 0.9), "goes with --class-weights effective"),
    ],
)
def test_flags_that_do_not_go_together_are_a_usage_error(make, flags, words):
    done = make(*flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.caffe
def test_caffe_trains_it(make, tool, tmp_path):
    """Its test net's location loss is another one than without weights, of the same first weights."""
    first = {}
    for weighting in ("none", "inverse"):
        assert make("--location-weights", weighting, out=f"{weighting} net").returncode == 0
        solver = tmp_path / "solver.prototxt"
        solver.write_text('base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 random_seed: 1 type: "SGD"')
        how = ("--max-iter", 2, "--test-interval", 1, "--watch-test-fold", "--out", tmp_path / weighting)
        done = tool("train.py", "--solver", solver, "--net", tmp_path / f"{weighting} net", *how)
        assert done.returncode == 0, done.stderr
        first[weighting] = read_log(tmp_path / weighting / "log.csv")[0]
    assert first["none"]["validation_lesion_loss"] == pytest.approx(first["inverse"]["validation_lesion_loss"], rel=0.1)
    assert first["none"]["validation_location_loss"] != first["inverse"]["validation_location_loss"]
    assert "balanced_accuracy" not in first["inverse"]
