"""--run in every tool that runs a net: what the run and its net's folder say need not be typed."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from usage_errors import usage_errors

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.explanation.features_file import read_features
from skinmtl.scores.scores_file import read_scores
from skinmtl.training.trained_net import of_run

SOLVER = 'base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0001 random_seed: 1 max_iter: 4\n'


def unmarked(said):
    """Without the line on images that were trained on or watched, as all of this run's were: not of these tests."""
    lines = said.splitlines(keepends=True)
    return "".join(line for line in lines if "trained on" not in line and "watched in training" not in line)


@pytest.fixture(scope="module")
def trained(tool, small_set, tmp_path_factory):
    """A run of four iterations on a net that make_prototxt.py made for the small set."""
    folder = tmp_path_factory.mktemp("trained")
    data = ("--train-data", small_set.train, "--test-data", small_set.test)
    net = ("--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64, "--batch-size", 8, "--out", folder / "net")
    made = tool("make_prototxt.py", *net, *data)
    assert made.returncode == 0, made.stderr
    (folder / "solver.prototxt").write_text(SOLVER)
    words = ("--solver", folder / "solver.prototxt", "--net", folder / "net", "--out", folder / "run")
    done = tool("train.py", *words, "--watch-test-fold", "--test-interval", 2)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(
        run=folder / "run",
        net=folder / "net",
        deploy=folder / "net" / "deploy.prototxt",
        weights=folder / "run" / "final.caffemodel",
        data=("--manifest", small_set.manifest, "--images", small_set.images, "--workers", 1),
        test=("--folds", small_set.folds, "--fold", 0, "--subset", "test"),
        image=small_set.images / "0.jpg",
    )


@pytest.fixture
def run_of(trained, tmp_path):
    """A copy of the run and of its net's folder, to change."""
    shutil.copytree(str(trained.run), str(tmp_path / "run"))
    shutil.copytree(str(trained.net), str(tmp_path / "net"))
    args = tmp_path / "run" / "args.json"
    record = json.loads(args.read_text())
    record["arguments"]["net"] = str(tmp_path / "net")
    args.write_text(json.dumps(record))
    return tmp_path / "run"


@pytest.mark.caffe
class TestScore:
    @pytest.fixture(scope="class")
    def by_run(self, tool, trained, tmp_path_factory):
        out = tmp_path_factory.mktemp("scores") / "s.npz"
        done = tool("score.py", "--run", trained.run, *trained.data, *trained.test, "--out", out)
        assert (done.returncode, unmarked(done.stderr)) == (0, "")
        return read_scores(out)

    def test_the_run_says_net_weights_short_side_and_mean(self, by_run, tool, trained, tmp_path):
        typed = ("--deploy", trained.deploy, "--weights", trained.weights, "--short-side", 72)
        typed += ("--mean", 103.0626, 115.9029, 123.1516)
        done = tool("score.py", *typed, *trained.data, *trained.test, "--out", tmp_path / "s.npz")
        assert (done.returncode, unmarked(done.stderr)) == (0, "")
        assert np.allclose(read_scores(tmp_path / "s.npz").lesion_scores, by_run.lesion_scores, atol=1e-6)
        assert by_run.protocol["short_side"] == 72
        assert by_run.protocol["weights_sha256"] == sha256(trained.weights)

    def test_net_json_beside_deploy_says_the_short_side(self, tool, trained, tmp_path):
        typed = ("--deploy", trained.deploy, "--weights", trained.weights)
        done = tool("score.py", *typed, *trained.data, *trained.test, "--out", tmp_path / "s.npz")
        assert (done.returncode, unmarked(done.stderr)) == (0, "")
        assert read_scores(tmp_path / "s.npz").protocol["short_side"] == 72

    def test_a_flag_that_differs_is_used_and_said_in_one_line(self, tool, trained, tmp_path):
        more = ("--short-side", 80, "--out", tmp_path / "s.npz")
        done = tool("score.py", "--run", trained.run, *trained.data, *trained.test, *more)
        assert done.returncode == 0
        assert unmarked(done.stderr) == (
            f"score.py: --short-side 80 where the net was made for 72 ({trained.net}/net.json); "
            "leave the flag out unless you want that\n"
        )
        assert read_scores(tmp_path / "s.npz").protocol["short_side"] == 80

    def test_without_net_json_it_is_256_as_before(self, tool, trained, run_of, tmp_path):
        (tmp_path / "net" / "net.json").unlink()
        done = tool("score.py", "--run", run_of, *trained.data, *trained.test, "--out", tmp_path / "s.npz")
        assert done.returncode == 0, done.stderr
        assert read_scores(tmp_path / "s.npz").protocol["short_side"] == 256

    def test_the_best_snapshot_or_any_other_may_be_asked_for(self, tool, trained, run_of, refused, tmp_path):
        words = (*trained.data, *trained.test, "--overwrite", "--out", tmp_path / "s.npz")
        best = run_of / "best.caffemodel"
        if best.exists():
            best.unlink()
        done = tool("score.py", "--run", run_of, "--snapshot", "best", *words)
        refused(done, f"{best}: missing: the run has kept no best one, or give other --weights")
        first = next(path for path in run_of.glob("snapshots/*.caffemodel"))
        shutil.copy(str(first), str(best))
        for more, weights in (("--snapshot", "best"), best), (("--weights", first), first):
            done = tool("score.py", "--run", run_of, *more, *words)
            assert done.returncode == 0, done.stderr
            assert read_scores(tmp_path / "s.npz").protocol["weights"] == str(weights)


@pytest.mark.caffe
def test_features_and_the_neighbours_of_an_image(tool, trained, tmp_path):
    out = tmp_path / "train.npz"
    folds = (*trained.test[:-1], "train")
    done = tool("extract_features.py", "--run", trained.run, *trained.data, *folds, "--out", out)
    assert (done.returncode, unmarked(done.stderr)) == (0, "")
    features = read_features(out)
    assert (features.protocol["blob"], features.protocol["short_side"]) == ("pool5", 72)
    done = tool("retrieve.py", "--run", trained.run, "--features", out, "--query", trained.image, "--k", 2)
    assert (done.returncode, unmarked(done.stderr)) == (0, "")


@pytest.mark.caffe
def test_attention_and_predictions_have_the_label_names(tool, trained, tmp_path):
    done = tool("attend.py", "--run", trained.run, "--query", trained.image, "--out", tmp_path / "maps")
    assert (done.returncode, unmarked(done.stderr)) == (0, "")
    described = json.loads((tmp_path / "maps" / "attention.json").read_text())
    assert described["protocol"]["short_side"] == 72
    assert described["images"][0]["lesion"]["labels"][0]["label"] in ("crust", "nodule", "scar")
    done = tool("predict.py", "--run", trained.run, trained.image, "--json-lines", "-")
    (line,) = unmarked(done.stderr).splitlines()
    assert done.returncode == 0 and "cannot tell photographs that are unlike its training images" in line
    line = json.loads(done.stdout)
    assert list(line["probabilities"]["location"]) == ["back", "face", "hands", "scalp"]
    assert (line["model"]["name"], line["model"]["weights_sha256"]) == ("tiny_mtl", sha256(trained.weights))


@pytest.mark.caffe
def test_a_prediction_is_that_of_the_model_folder(tool, trained, tmp_path):
    made = tool("export.py", "--run", trained.run, "--out", tmp_path / "model")
    assert (made.returncode, made.stderr) == (0, "")
    record = json.loads((tmp_path / "model" / "model.json").read_text())
    assert record["short_side"] == 72
    assert record["made_for"]["scales"] == [72, 72]
    assert (record["made_for"]["features_blob"], record["made_for"]["maps_blob"]) == ("pool5", "res5c")
    words = (trained.image, "--json-lines", "-")
    by_folder = tool("predict.py", "--model-folder", tmp_path / "model", *words)
    assert by_folder.stdout == tool("predict.py", "--run", trained.run, *words).stdout


@pytest.mark.caffe
def test_check_weights_takes_a_run_or_a_folder(tool, trained):
    by_run = tool("check_weights.py", "--run", trained.run)
    assert (by_run.returncode, by_run.stderr) == (0, "")
    assert by_run.stdout.startswith(f"{trained.weights}: fits {trained.deploy}\n")
    by_folder = tool("check_weights.py", "--net", trained.net, "--weights", trained.weights)
    assert by_folder.returncode == 0
    assert by_folder.stdout.startswith(f"{trained.weights}: fits {trained.net}/train.prototxt\n")


@pytest.mark.caffe
def test_a_net_that_has_changed_since_the_run_is_named(run_of, tmp_path):
    assert of_run(run_of).changed == ()
    with open(str(tmp_path / "net" / "train.prototxt"), "a") as file:
        file.write("# edited\n")
    (tmp_path / "net" / "test.prototxt").unlink()
    assert of_run(run_of).changed == tuple(
        f"{tmp_path}/net/{name}.prototxt: not the file that {run_of} was trained with; what is read beside it may be "
        "of another net"
        for name in ("train", "test")
    )


@pytest.mark.caffe
def test_label_names_come_from_the_training_data_where_the_net_has_none(tool, trained, run_of, refused, tmp_path):
    record = json.loads((tmp_path / "net" / "net.json").read_text())
    none = {"lesion_names": None, "location_names": None}
    (tmp_path / "net" / "net.json").write_text(json.dumps({**record, **none}))
    words = (trained.image, "--json-lines", "-")
    assert tool("predict.py", "--run", run_of, *words).stdout == tool("predict.py", "--run", trained.run, *words).stdout
    args = json.loads((run_of / "args.json").read_text())
    of_net = {name: digest for name, digest in args["sha256"].items() if name != "net.json"}  # so that none differs
    (run_of / "args.json").write_text(json.dumps({**args, "data": {}, "sha256": of_net}))
    refused(tool("predict.py", "--run", run_of, *words), "net.json: has no names of the lesion labels; make a model")


def test_a_run_without_its_net_is_refused(tmp_path):
    (tmp_path / "final.caffemodel").write_bytes(b"")
    settings = dict.fromkeys(("max_iter", "batch_size", "iter_size", "base_lr", "seed"), 1)
    record = {"arguments": {"net": "gone"}, "data": {}, "sha256": {}, "settings": settings}
    (tmp_path / "args.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="names the net gone"):
        of_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "always", "net"),
    [
        ("score", ["--manifest", "m", "--images", "i", "--out", "o.npz"], "deploy"),
        ("extract_features", ["--manifest", "m", "--images", "i", "--out", "o.npz"], "deploy"),
        ("attend", ["--query", "q", "--out", "o"], "deploy"),
        ("retrieve", ["--features", "f", "--query", "q"], "deploy"),
        ("export", ["--out", "o"], "deploy"),
        ("check_weights", [], "net"),
    ],
)
def test_the_net_is_named_once(name, always, net, tmp_path):
    both = f"--run has its own --{net}; give one of them"
    of_run_only = "--snapshot is of a --run, and in place of --weights"
    cases = {
        (): f"give --run, or --{net} and --weights",
        (f"--{net}", "d"): f"give --run, or --{net} and --weights",
        ("--run", "r", f"--{net}", "d"): both,
        ("--run", "r", "--weights", "w", "--snapshot", "best"): of_run_only,
        (f"--{net}", "d", "--weights", "w", "--snapshot", "best"): of_run_only,
    }
    assert usage_errors(name, [[*always, *words] for words in cases], tmp_path) == list(cases.values())


def test_predict_takes_a_model_folder_or_a_run(tmp_path):
    lines = [["a.jpg"], ["a.jpg", "--run", "r", "--model-folder", "m"], ["a.jpg", "--model-folder", "m"]]
    lines[2] += ["--snapshot", "best"]
    none = "a.jpg is not there: name a folder with a model first, or give --model-folder or --run"
    said = [none, "give --model-folder or --run", "--snapshot goes with --run"]
    assert usage_errors("predict", lines, tmp_path) == said
