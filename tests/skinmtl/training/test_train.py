"""train.py on toy nets in real Caffe: what a run leaves, and that it trains as Caffe by hand does."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from conftest import CAFFE

from caffe_files.prototxt import read_caffemodel
from skinmtl.common.provenance import sha256
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import Scores
from skinmtl.training.plateau import PlateauRule
from skinmtl.training.training_run import train

pytestmark = pytest.mark.caffe
pytest_plugins = ["toy_training"]


def better_tests(toy, out):
    """The iterations of the tests whose error was lower than any before, by the log."""
    names, *rows = toy.log_of(out)
    found, best = [], 2.0
    for row in (dict(zip(names, row)) for row in rows):
        error = 2 - float(row["map_image"] or 0) - float(row["location_top1"] or 0)
        if row["map_image"] and error < best:
            found, best = [*found, int(row["iteration"])], error
    return found


def test_a_run_leaves_what_its_folder_promises(toy, undisturbed):
    out = undisturbed.out
    assert undisturbed.done.stderr == "", "no progress bar where nobody looks"
    assert undisturbed.done.stdout.splitlines()[-1] == f"{out}: 40 iterations; all iterations are done"
    names = {path.name for path in out.iterdir()}
    weights = {"best.caffemodel", "final.caffemodel"}
    assert (
        names
        == {".lock", "args.json", "curves.png", "log.csv", "snapshots", "solver.prototxt", "trained_on.json"} | weights
    )
    iterations = [6, 12, 18, 24, 30, 36, 40, *better_tests(toy, out)]
    suffixes = ("caffemodel", "json", "solverstate")
    expected = {f"toy_iter_{iteration}.{suffix}" for iteration in iterations for suffix in suffixes}
    assert {path.name for path in (out / "snapshots").iterdir()} == expected
    assert sha256(out / "final.caffemodel") == sha256(out / "snapshots" / "toy_iter_40.caffemodel")
    record = json.loads((out / "args.json").read_text())
    assert record["sha256"]["train.prototxt"] == sha256(toy.varied / "train.prototxt")
    assert record["sha256"]["validation dataset.json"] == sha256(toy.folder / "test" / "dataset.json")
    assert record["settings"]["seed"] == 3
    assert record["settings"]["iter_size"] == 2
    assert record["layers"]["initial"] == ["conv", "fc_lesion", "fc_location"]
    assert cv2.imread(str(out / "curves.png")).std() > 10


def test_the_weights_of_the_best_test_are_kept_beside_the_last(toy, undisturbed, tmp_path):
    """Although snapshots are due at other iterations than tests."""
    out = undisturbed.out
    best = toy.best_of(out)
    assert best["watched"] == "error"
    assert best["iteration"] == better_tests(toy, out)[-1]
    assert sha256(out / "best.caffemodel") == sha256(out / "snapshots" / f"toy_iter_{best['iteration']}.caffemodel")
    names, *rows = toy.log_of(out)
    row = next(row for row in (dict(zip(names, row)) for row in rows) if int(row["iteration"]) == best["iteration"])
    assert best["error"] == pytest.approx(1 - (float(row["map_image"]) + float(row["location_top1"])) / 2)
    closing = undisturbed.done.stdout.splitlines()[-2]
    assert f": error {best['error']:.3f} at iteration {best['iteration']}" in closing
    assert ("are the same" in closing) == (best["iteration"] == 40)


def test_two_snapshots_are_kept_where_nothing_else_is_said(toy, tool, tmp_path):
    done = tool(*toy.command(tmp_path / "run", "--max-iter", 20)[1:])
    assert done.returncode == 0, done.stderr
    kept = sorted(path.name for path in (tmp_path / "run" / "snapshots").glob("*.json"))
    assert kept == ["toy_iter_18.json", "toy_iter_20.json"]
    assert toy.best_of(tmp_path / "run")["iteration"] in (10, 20)


def test_the_log_has_a_row_a_display_and_a_row_a_test(toy, undisturbed):
    head, *rows = toy.log_of(undisturbed.out)
    log = [dict(zip(head, row)) for row in rows]
    assert [int(row["iteration"]) for row in log] == [4, 8, 10, 12, 16, 20, 24, 28, 30, 32, 36, 40]
    for row in log:
        assert float(row["lesion_loss"]) > 0
        assert float(row["location_loss"]) > 0
        tested = int(row["iteration"]) % 10 == 0
        for name in ("validation_lesion_loss", "validation_location_loss", "map_class", "map_image", "location_top1"):
            assert bool(row[name]) == tested, (row, name)
    # the first test sets the best; no later one is 90 % lower, so each divides the rate, from the row after it on
    assert [float(row["lr"]) for row in log] == [0.01] * 6 + [0.001] * 3 + [0.0001] * 3
    with open(str(undisturbed.out / "log.csv"), newline="") as file:
        assert all(float(row["images_per_second"]) > 0 for row in csv.DictReader(file))


def test_the_solver_that_caffe_gets_has_the_hyper_parameters_and_no_policy(toy, undisturbed):
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    text = (undisturbed.out / "solver.prototxt").read_text()
    solver = text_format.Parse(text, caffe_pb2.SolverParameter())
    assert (solver.momentum, solver.weight_decay) == (pytest.approx(0.9), pytest.approx(0.001))
    assert (solver.iter_size, solver.lr_policy, solver.random_seed, solver.max_iter) == (2, "fixed", 3, 40)
    assert solver.train_net == str(toy.varied / "train.prototxt")
    assert not solver.test_net
    assert not solver.HasField("test_interval")
    assert not solver.HasField("stepsize")


def test_training_losses_are_means_over_all_passes_since_the_last_row(toy, undisturbed, tmp_path):
    """Against Caffe driven by hand, forward pass by forward pass: 4 iterations of 2 passes."""
    import caffe

    text = (undisturbed.out / "solver.prototxt").read_text()
    (tmp_path / "solver.prototxt").write_text(text)
    solver = caffe.get_solver(str(tmp_path / "solver.prototxt"))
    losses = []
    for _ in range(4):
        solver.net.clear_param_diffs()
        for _ in range(2):
            solver.net.forward()
            solver.net.backward()
            losses.append([float(solver.net.blobs[f"{head}_loss"].data) for head in ("lesion", "location")])
        solver.apply_update()
    names, first, *_ = toy.log_of(undisturbed.out)
    row = dict(zip(names, first))
    assert [float(row["lesion_loss"]), float(row["location_loss"])] == pytest.approx(np.mean(losses, axis=0), rel=1e-6)


def test_the_rate_falls_as_in_caffes_own_multistep(toy, undisturbed, tmp_path):
    """Against `caffe train` that divides the rate by 10 at the iterations where ours found a plateau."""
    text = (undisturbed.out / "solver.prototxt").read_text().replace('"fixed"', '"multistep"')
    text = re.sub("base_lr: .*", "base_lr: 0.01 gamma: 0.1 stepvalue: 20 stepvalue: 30", text)
    (tmp_path / "solver.prototxt").write_text(re.sub("snapshot_.*", "", text) + f'snapshot_prefix: "{tmp_path}/stock"')
    stock = [CAFFE, "train", "-solver", str(tmp_path / "solver.prototxt")]
    subprocess.run(stock, check=True, stderr=subprocess.PIPE)
    ours, theirs = (
        {layer.name: layer.blobs for layer in read_caffemodel(path).layer if layer.blobs}
        for path in (undisturbed.out / "final.caffemodel", tmp_path / "stock_iter_40.caffemodel")
    )
    assert list(ours) == list(theirs) == ["conv", "fc_lesion", "fc_location"]
    for name, blobs in theirs.items():
        for expected, found in zip(blobs, ours[name]):
            np.testing.assert_allclose(found.data, expected.data, rtol=1e-4, atol=1e-7)


def test_validation_is_exact_over_the_whole_set(toy, undisturbed):
    """Losses and metrics of the last row against the final weights, image by image."""
    import caffe

    net = caffe.Net(str(toy.varied / "test.prototxt"), caffe.TEST, weights=str(undisturbed.out / "final.caffemodel"))
    gathered = {}
    for _ in range(2):  # 2 x 3 = the 6 images
        net.forward()
        for name in ("fc_lesion", "fc_location", "lesion_label", "location_label"):
            gathered.setdefault(name, []).append(net.blobs[name].data.copy())
    outputs = {name: np.concatenate(blobs).reshape(6, -1).astype(np.float64) for name, blobs in gathered.items()}
    z, y = outputs["fc_lesion"], outputs["lesion_label"]
    lesion_loss = (np.log1p(np.exp(z)) - y * z).sum() / 6
    top = outputs["fc_location"]
    truth = outputs["location_label"][:, 0].astype(int)
    location_loss = (np.log(np.exp(top).sum(axis=1)) - top[np.arange(6), truth]).mean()
    probabilities = 1 / (1 + np.exp(-z))
    figures = evaluate(
        Scores(
            image=list("abcdef"),
            protocol={},
            lesion_scores=probabilities.astype(np.float32),
            lesion_labels=y.astype(np.uint8),
            lesion_names=list(toy.lesions),
        )
    )
    head, *rows = toy.log_of(undisturbed.out)
    last = dict(zip(head, rows[-1]))
    assert float(last["validation_lesion_loss"]) == pytest.approx(lesion_loss, rel=1e-5)
    assert float(last["validation_location_loss"]) == pytest.approx(location_loss, rel=1e-5)
    assert float(last["location_top1"]) == pytest.approx((top.argmax(axis=1) == truth).mean())
    assert float(last["map_class"]) == pytest.approx(figures["map_class"])
    assert float(last["map_image"]) == pytest.approx(figures["map_image"])


@pytest.mark.parametrize("head", ["lesion", "location"])
def test_a_single_task_net_trains_and_leaves_the_others_columns_empty(toy, tmp_path, head):
    outcome = train(toy.request(tmp_path / "run", net=toy.net([head]), max_iter=10, keep_snapshots=1), {})
    assert outcome.reason == "all iterations are done"
    names, *rows = toy.log_of(tmp_path / "run")
    last = dict(zip(names, rows[-1]))
    filled = {name for name, value in last.items() if value}
    metrics = {"lesion": {"map_class", "map_image"}, "location": {"location_top1"}}[head]
    assert filled == {"iteration", "lr", f"{head}_loss", f"validation_{head}_loss"} | metrics
    kept = sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir())
    assert kept == ["toy_iter_10.caffemodel", "toy_iter_10.json", "toy_iter_10.solverstate"]


def test_a_plateau_at_the_smallest_rate_ends_training(toy, tmp_path):
    rule = PlateauRule(window=1, patience=1, threshold=0.9, minimum=0.001)
    outcome = train(toy.request(tmp_path / "run", plateau=rule, test_interval=2, base_lr=0.01), {})
    assert outcome.iteration == 6  # best, lower, end
    assert outcome.reason == "the error is at a plateau with the smallest learning rate, 0.001"
    assert (tmp_path / "run" / "final.caffemodel").exists()
    again = train(toy.request(tmp_path / "run", plateau=rule, test_interval=2, base_lr=0.01, resume=True), {})
    assert again.reason.startswith("finished before")


def test_weights_are_taken_by_name_from_several_files(toy, undisturbed, tmp_path, capsys):
    """The first file fills the trunk and the lesions' head, the second lacks nothing."""
    final = undisturbed.out / "final.caffemodel"
    train(toy.request(tmp_path / "one", net=toy.net(["lesion"]), weights=[final], max_iter=1), {})
    said = capsys.readouterr()
    assert "2 layers filled" in said.out + said.err
    assert "in the weights, not in the net: fc_location" in said.out + said.err
    record = json.loads((tmp_path / "one" / "args.json").read_text())
    assert record["layers"]["filled"] == ["conv", "fc_lesion"]
    assert record["sha256"]["weights 0"] == sha256(final)
    # a rate of almost nothing leaves the weights as they were copied
    both = [tmp_path / "one" / "final.caffemodel", final]
    train(toy.request(tmp_path / "two", weights=both, base_lr=1e-30, max_iter=1), {})
    layers = {layer.name: layer for layer in read_caffemodel(tmp_path / "two" / "final.caffemodel").layer}
    expected = {layer.name: layer for layer in read_caffemodel(final).layer}
    assert list(layers["fc_location"].blobs[0].data) == list(expected["fc_location"].blobs[0].data)
    assert list(layers["conv"].blobs[0].data) == list(expected["conv"].blobs[0].data)


def test_a_loss_that_is_nan_ends_the_run_with_a_good_snapshot(tool, toy, tmp_path):
    out = tmp_path / "run"
    words = ["--solver", toy.solver, "--net", toy.varied, "--out", out]
    done = tool("train.py", *words, "--base-lr", 1e4, "--snapshot-interval", 1)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"{out}: diverged at iteration " in done.stderr
    good = sorted((out / "snapshots").glob("*.caffemodel"), key=lambda path: int(path.stem.rpartition("_")[2]))
    assert f"the last good snapshot is {good[-1]};" in done.stderr
    assert all(np.isfinite(blob.data).all() for layer in read_caffemodel(good[-1]).layer for blob in layer.blobs)
    assert not (out / "final.caffemodel").exists()


def test_the_test_fold_is_watched_where_the_user_says_so(toy, tmp_path):
    test_fold = tmp_path / "test fold"
    shutil.copytree(str(toy.folder / "test"), str(test_fold))
    summary = json.loads((test_fold / "dataset.json").read_text())
    summary["arguments"]["subset"] = "test"
    (test_fold / "dataset.json").write_text(json.dumps(summary))
    net = toy.net(test_data=test_fold)
    outcome = train(toy.request(tmp_path / "run", net=net, watch_test_fold=True, max_iter=1), {})
    assert outcome.iteration == 1
