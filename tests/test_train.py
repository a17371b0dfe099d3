"""train.py on toy nets in real Caffe: what a run leaves, and that an interrupted run is the undisturbed one."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import CAFFE, ROOT

from skinmtl.caffe_files.prototxt import read_caffemodel
from skinmtl.common.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.data.folds import select
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import Scores
from skinmtl.training.plateau import PlateauRule
from skinmtl.training.training_run import Request, train

pytestmark = pytest.mark.caffe

LESIONS, LOCATIONS = ("crust", "nodule", "scar"), ("back", "face", "hands", "scalp")
# 40 iterations of 2 x 4 images, tested at 10, 20, 30, 40; the rate falls at the second test and whenever it can
SOLVER = """
train_net: "elsewhere" test_net: "elsewhere" test_iter: 7 test_interval: 10 lr_policy: "step" gamma: 0.5 stepsize: 3
base_lr: 0.01 momentum: 0.9 weight_decay: 0.001 iter_size: 2 display: 4 max_iter: 40 snapshot: 6 random_seed: 3
snapshot_prefix: "elsewhere" type: "SGD"
"""
FALLING = PlateauRule(window=1, patience=1, threshold=0.9)
FALLS = ["--plateau-window", 1, "--plateau-patience", 1, "--plateau-threshold", 0.9]


def data_layer(top, source, batch, transform=""):
    return (
        f'layer {{ name: "{top}" type: "Data" top: "{top}" {transform} '
        f'data_param {{ source: "{source}" batch_size: {batch} backend: LMDB }} }}\n'
    )


def toy_net(split, data, heads, batch, varied, extra=""):
    """Average pooling, and a fully connected layer a head; `varied` nets crop, mirror and drop at random."""
    transform = f"transform_param {{ crop_size: {32 if varied else 40} mirror: {str(varied).lower()} }}"
    text = 'name: "toy"\n' + data_layer("data", f"{data}/image_lmdb", batch, transform if split == "train" else (
        f"transform_param {{ crop_size: {32 if varied else 40} }}"))  # fmt: skip
    for head in heads:
        text += data_layer(f"{head}_label", f"{data}/{head}_lmdb", batch)
    text += """
    layer { name: "small" type: "Power" bottom: "data" top: "small" power_param { scale: 0.01 shift: -1.28 } }
    layer { name: "conv" type: "Convolution" bottom: "small" top: "conv"
            convolution_param { num_output: 4 kernel_size: 5 stride: 3 weight_filler { type: "msra" } } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
    """
    if varied:
        text += 'layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" dropout_param { dropout_ratio: 0.3 } }'
    text += extra
    for head in heads:
        outputs, loss = {
            "lesion": (3, 'type: "SigmoidCrossEntropyLoss" loss_param { normalization: BATCH_SIZE }'),
            "location": (4, 'type: "SoftmaxWithLoss"'),
        }[head]
        text += f"""
        layer {{ name: "fc_{head}" type: "InnerProduct" bottom: "conv" top: "fc_{head}" inner_product_param {{
                 num_output: {outputs} weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
        layer {{ name: "{head}_loss" bottom: "fc_{head}" bottom: "{head}_label" top: "{head}_loss" {loss} }}
        """
    return text


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """24 images of 40 x 40, 18 to train on and 6 to watch; .net(...) makes a net's folder, .solver is SOLVER."""
    folder = tmp_path_factory.mktemp("toy ü")
    (folder / "images").mkdir()
    noise = np.random.RandomState(1)
    manifest, folds = ["image,lesions,location"], ["image,fold"]
    for number in range(24):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), noise.randint(0, 256, (40, 40, 3)).astype(np.uint8))
        lesions = [name for bit, name in enumerate(LESIONS) if (number % 7 + 1) >> bit & 1]
        manifest.append(f"{number}.png,{';'.join(lesions)},{LOCATIONS[number % 4]}")
        folds.append(f"{number}.png,{0 if number % 4 == 1 else 1}")
    (folder / "manifest.csv").write_text("\n".join(manifest) + "\n")
    (folder / "folds.csv").write_text("\n".join(folds) + "\n")
    whole = read_manifest(folder / "manifest.csv")
    for subset in ("train", "test"):
        arguments = {"subset": {"test": "validation"}.get(subset, subset)}
        selected = select(whole, folder / "folds.csv", 0, subset)
        write_lmdbs(selected, folder / "images", folder / subset, Sizes(40, 40, 1), 1, 1, arguments)
    (folder / "solver.prototxt").write_text(SOLVER)

    def net(heads=("lesion", "location"), varied=True, batch=4, test_batch=3, extra="", data=None, test_data=None):
        at = tmp_path_factory.mktemp("net")
        made = toy_net("train", data or folder / "train", heads, batch, varied, extra)
        (at / "train.prototxt").write_text(made)
        made = toy_net("test", test_data or folder / "test", heads, test_batch, varied, extra)
        (at / "test.prototxt").write_text(made)
        return at

    return SimpleNamespace(folder=folder, solver=folder / "solver.prototxt", net=net, varied=net())


@pytest.fixture
def request_of(toy):
    """A Request for the library, with what a test wants otherwise."""

    def make(out, **changes):
        plain = dict.fromkeys(
            ("gpu", "max_iter", "base_lr", "seed", "test_interval", "snapshot_interval", "display", "keep_snapshots")
        )
        fields = {
            **plain,
            **{"solver": toy.solver, "net": toy.varied, "weights": [], "out": out, "resume": False, "set_aside": False},
            **{"plateau": PlateauRule(), "watch": "error", "watch_test_fold": False},
            **{"rate_change": "auto", "resume_data": "exact"},
            **changes,
        }
        return Request(**fields)

    return make


def command(toy, out, *more, net=None):
    words = ["--solver", toy.solver, "--net", net or toy.varied, "--out", out, *FALLS, *more]
    return [sys.executable, str(ROOT / "tools" / "train.py"), *map(str, words)]


def log_of(run):
    """log.csv without its last column, images a second, which no two runs share."""
    with open(str(run / "log.csv"), newline="") as file:
        return [row[:-1] for row in csv.reader(file)]


def same_end(one, other):
    return log_of(one) == log_of(other) and sha256(one / "final.caffemodel") == sha256(other / "final.caffemodel")


@pytest.fixture(scope="module")
def undisturbed(toy, tmp_path_factory):
    """A run from beginning to end, and how it finished."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    done = subprocess.run(command(toy, out), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(out=out, done=done)


def test_a_run_leaves_what_its_folder_promises(toy, undisturbed):
    out = undisturbed.out
    assert undisturbed.done.stderr == "", "no progress bar where nobody looks"
    assert undisturbed.done.stdout.splitlines()[-1] == f"{out}: 40 iterations; all iterations are done"
    names = {path.name for path in out.iterdir()}
    assert names == {".lock", "args.json", "curves.png", "final.caffemodel", "log.csv", "snapshots", "solver.prototxt"}
    iterations = [6, 12, 18, 24, 30, 36, 40]
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


def test_the_log_has_a_row_a_display_and_a_row_a_test(undisturbed):
    head, *rows = log_of(undisturbed.out)
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


def test_training_losses_are_means_over_all_passes_since_the_last_row(undisturbed, tmp_path):
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
    names, first, *_ = log_of(undisturbed.out)
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
            lesion_names=list(LESIONS),
        )
    )
    head, *rows = log_of(undisturbed.out)
    last = dict(zip(head, rows[-1]))
    assert float(last["validation_lesion_loss"]) == pytest.approx(lesion_loss, rel=1e-5)
    assert float(last["validation_location_loss"]) == pytest.approx(location_loss, rel=1e-5)
    assert float(last["location_top1"]) == pytest.approx((top.argmax(axis=1) == truth).mean())
    assert float(last["map_class"]) == pytest.approx(figures["map_class"])
    assert float(last["map_image"]) == pytest.approx(figures["map_image"])


def killed_in_between(words, out, seed, stop=signal.SIGKILL):
    """Starts, waits for some whole snapshot and a moment more, kills; returns the process, or None where it ended."""
    chance = random.Random(seed)
    before = len(list((out / "snapshots").glob("*.json"))) if out.exists() else 0
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list((out / "snapshots").glob("*.json"))) <= before:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.2))
    process.send_signal(stop)
    process.wait()
    return process


@pytest.mark.slow
def test_killed_at_random_points_it_ends_as_undisturbed(toy, undisturbed, tmp_path):
    """Crops, mirrors and dropout are drawn at random, and yet every byte of the final weights is the same."""
    out, cuts = tmp_path / "cut", 0
    for seed in range(3):
        process = killed_in_between(command(toy, out, "--resume"), out, seed)
        cuts += process.returncode == -signal.SIGKILL
        process.communicate()
    assert cuts >= 2
    done = subprocess.run(command(toy, out, "--resume"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert same_end(out, undisturbed.out)
    assert not [path for path in out.rglob("*") if ".partial" in path.name and path.is_dir()]


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_a_stop_leaves_a_snapshot_and_one_line(toy, undisturbed, tmp_path, stop):
    out, number = tmp_path / "run", getattr(signal, stop)
    process = killed_in_between(command(toy, out), out, 1, number)
    _, stderr = process.communicate()
    assert process.returncode == 128 + number
    iterations = sorted(int(path.stem.rpartition("_")[2]) for path in (out / "snapshots").glob("*.json"))
    assert stderr == (
        f"train.py: stopped by {stop} at iteration {iterations[-1]}; the same command with --resume goes on\n"
    )
    assert not (out / "final.caffemodel").exists()
    if stop == "SIGTERM":
        subprocess.run(command(toy, out, "--resume"), check=True, stdout=subprocess.PIPE)
        assert same_end(out, undisturbed.out)


def test_a_rate_change_by_restoring_gives_the_same_weights(undisturbed, request_of, tmp_path):
    """What a Caffe has to do whose pycaffe cannot write the rate."""
    train(request_of(tmp_path / "run", plateau=FALLING, rate_change="restore"), {})
    assert same_end(tmp_path / "run", undisturbed.out)


def test_a_run_that_was_moved_goes_on_and_may_get_more_iterations(undisturbed, request_of, tmp_path, capfd):
    first, moved = tmp_path / "first", tmp_path / "moved"
    train(request_of(first, plateau=FALLING, max_iter=20), {})
    assert (first / "final.caffemodel").exists()
    first.rename(moved)
    train(request_of(moved, plateau=FALLING, resume=True), {})
    assert f"{moved}: goes on from iteration 20" in capfd.readouterr().out
    assert same_end(moved, undisturbed.out)
    again = train(request_of(moved, plateau=FALLING, resume=True), {})
    assert (again.iteration, again.reason) == (40, "finished before; there is nothing to do")


def test_a_broken_snapshot_is_passed_over(undisturbed, request_of, tmp_path, capfd):
    out = tmp_path / "run"
    shutil.copytree(str(undisturbed.out), str(out))
    (out / "final.caffemodel").unlink()
    for iteration in (36, 40):
        state = out / "snapshots" / f"toy_iter_{iteration}.solverstate"
        state.write_bytes(state.read_bytes()[:-100])
    train(request_of(out, plateau=FALLING, resume=True), {})
    said = capfd.readouterr().out
    assert "toy_iter_40: not whole, passed over" in said
    assert "goes on from iteration 30" in said
    assert same_end(out, undisturbed.out)


def solver_at(toy, folder, net, gpu=None):
    """A CaffeSolver as train.py makes one."""
    from skinmtl.training.caffe_solver import CaffeSolver
    from skinmtl.training.inputs import check_inputs
    from skinmtl.training.solver_file import read_checked_solver

    folder.mkdir(exist_ok=True)
    inputs = check_inputs(net, False)
    given = read_checked_solver(toy.solver)
    return CaffeSolver(given, inputs, folder / "solver.prototxt", folder / "toy", 100, gpu)


def test_less_than_a_cycle_of_reading_finds_the_same_record(toy, tmp_path):
    """18 records in batches of 4: after 9 batches the data is where it began. With nothing drawn at random, a resume
    by the short way is the undisturbed run too."""
    from skinmtl.training.snapshots import write_record

    net = toy.net(varied=False)
    undisturbed = solver_at(toy, tmp_path, net)
    undisturbed.start([], 0.01, 3)
    for _ in range(7):
        undisturbed.step()
    snapshot = write_record(undisturbed.snapshot(), 7, {})
    assert undisturbed.passes == 14
    resumed = solver_at(toy, tmp_path, net)
    assert resumed.passes_of_cycle(7) == 14 % 9
    resumed.restore(snapshot, 0.01, 99, resumed.passes_of_cycle(7))
    for _ in range(5):
        assert resumed.step() == undisturbed.step()
        for name, blobs in undisturbed._solver.net.params.items():
            for ours, theirs in zip(resumed._solver.net.params[name], blobs):
                np.testing.assert_array_equal(ours.data, theirs.data)


def test_a_caffe_that_cannot_write_the_rate_is_found_out(toy, tmp_path):
    solver = solver_at(toy, tmp_path, toy.varied)
    solver.start([], 0.01, 3)
    assert solver.set_rate(0.001)
    solver._solver = SimpleNamespace()  # release 1.0 has no `param`
    assert not solver.set_rate(0.001)


@pytest.mark.parametrize("head", ["lesion", "location"])
def test_a_single_task_net_trains_and_leaves_the_others_columns_empty(toy, request_of, tmp_path, head):
    outcome = train(request_of(tmp_path / "run", net=toy.net([head]), max_iter=10, keep_snapshots=1), {})
    assert outcome.reason == "all iterations are done"
    names, *rows = log_of(tmp_path / "run")
    last = dict(zip(names, rows[-1]))
    filled = {name for name, value in last.items() if value}
    metrics = {"lesion": {"map_class", "map_image"}, "location": {"location_top1"}}[head]
    assert filled == {"iteration", "lr", f"{head}_loss", f"validation_{head}_loss"} | metrics
    kept = sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir())
    assert kept == ["toy_iter_10.caffemodel", "toy_iter_10.json", "toy_iter_10.solverstate"]


def test_a_plateau_at_the_smallest_rate_ends_training(request_of, tmp_path):
    rule = PlateauRule(window=1, patience=1, threshold=0.9, minimum=0.001)
    outcome = train(request_of(tmp_path / "run", plateau=rule, test_interval=2, base_lr=0.01), {})
    assert outcome.iteration == 6  # best, lower, end
    assert outcome.reason == "the error is at a plateau with the smallest learning rate, 0.001"
    assert (tmp_path / "run" / "final.caffemodel").exists()
    again = train(request_of(tmp_path / "run", plateau=rule, test_interval=2, base_lr=0.01, resume=True), {})
    assert again.reason.startswith("finished before")


def test_weights_are_taken_by_name_from_several_files(toy, undisturbed, request_of, tmp_path, capsys):
    """The first file fills the trunk and the lesions' head, the second lacks nothing."""
    final = undisturbed.out / "final.caffemodel"
    train(request_of(tmp_path / "one", net=toy.net(["lesion"]), weights=[final], max_iter=1), {})
    said = capsys.readouterr()
    assert "2 layers filled" in said.out + said.err
    assert "in the weights, not in the net: fc_location" in said.out + said.err
    record = json.loads((tmp_path / "one" / "args.json").read_text())
    assert record["layers"]["filled"] == ["conv", "fc_lesion"]
    assert record["sha256"]["weights 0"] == sha256(final)
    # a rate of almost nothing leaves the weights as they were copied
    both = [tmp_path / "one" / "final.caffemodel", final]
    train(request_of(tmp_path / "two", weights=both, base_lr=1e-30, max_iter=1), {})
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


def test_the_bar_shows_losses_and_rate_on_a_terminal(toy, tmp_path):
    import pty

    ours, theirs = pty.openpty()
    words = command(toy, tmp_path / "run", "--max-iter", 10)
    process = subprocess.Popen(words, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:
            break
    assert process.wait() == 0
    assert b"10/10" in shown
    assert b"lesion loss" in shown
    assert b"lr 0.01" in shown


# what is refused, before anything is written


def test_a_run_is_neither_overwritten_nor_resumed_with_other_arguments(toy, undisturbed, request_of, tool, refused):
    finished = tool("train.py", *command(toy, undisturbed.out)[2:])
    refused(finished, undisturbed.out, "holds a run already; go on with it by --resume")
    for changes, words in [
        ({"base_lr": 0.02}, "base_lr was 0.01, is 0.02"),
        ({"seed": 4}, "seed was 3, is 4"),
        ({"test_interval": 5}, "test_interval was 10, is 5"),
        ({"watch": "loss"}, "watch was error, is loss"),
        ({"plateau": PlateauRule(window=2, patience=1, threshold=0.9)}, "plateau_window was 1, is 2"),
        ({"net": toy.net()}, None),  # the same text in another folder
        ({"net": toy.net(["lesion"])}, "train.prototxt is another file"),
        ({"weights": [undisturbed.out / "final.caffemodel"]}, "weights 0 is another file"),
    ]:
        request = request_of(undisturbed.out, **{"resume": True, "plateau": FALLING, **changes})
        if words is None:
            assert train(request, {}).reason.startswith("finished before")
            continue
        with pytest.raises(InputError, match="was begun with other arguments: " + words):
            train(request, {})


def test_a_run_with_other_arguments_is_set_aside_where_that_is_asked(toy, undisturbed, request_of, tmp_path, tool):
    out = tmp_path / "run"
    shutil.copytree(str(undisturbed.out), str(out))
    (tmp_path / "run.before-1").mkdir()
    again = {"resume": True, "set_aside": True, "plateau": FALLING}
    assert train(request_of(out, **again), {}).reason.startswith("finished before")
    assert train(request_of(out, base_lr=0.02, max_iter=10, **again), {}).iteration == 10
    kept = (tmp_path / "run.before-2" / "final.caffemodel").read_bytes()
    assert kept == (undisturbed.out / "final.caffemodel").read_bytes()
    assert (out / "final.caffemodel").read_bytes() != kept
    # fewer iterations than are done are other arguments too: the weights of more would pass for those of fewer
    with pytest.raises(InputError, match="10 iterations are done, max_iter is 5; give the same"):
        train(request_of(out, base_lr=0.02, max_iter=5, **{**again, "set_aside": False}), {})
    assert train(request_of(out, base_lr=0.02, max_iter=5, **again), {}).iteration == 5
    assert (tmp_path / "run.before-3").exists()
    finished = tool("train.py", *command(toy, out, "--set-aside")[2:])
    assert (finished.returncode, "goes with --resume" in finished.stderr) == (2, True)


def test_two_processes_cannot_train_in_one_folder(toy, undisturbed, request_of, tmp_path):
    import fcntl

    out = tmp_path / "run"
    shutil.copytree(str(undisturbed.out), str(out))
    with open(str(out / ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is training there"):
            train(request_of(out, plateau=FALLING, resume=True), {})


def test_what_does_not_fit_is_refused_before_anything_is_written(toy, undisturbed, request_of, tmp_path):
    out = tmp_path / "run"
    folder, final = toy.folder, undisturbed.out / "final.caffemodel"
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "text.caffemodel").write_text("no weights")
    no_lmdb = tmp_path / "no lmdb"
    shutil.copytree(str(folder / "train"), str(no_lmdb))
    shutil.rmtree(str(no_lmdb / "lesion_lmdb"))
    test_fold = tmp_path / "test fold"
    shutil.copytree(str(folder / "test"), str(test_fold))
    summary = json.loads((test_fold / "dataset.json").read_text())
    summary["arguments"]["subset"] = "test"
    summary["images"] = str(folder / "images")
    (test_fold / "dataset.json").write_text(json.dumps(summary))
    other_shape = toy.net()
    text = (other_shape / "train.prototxt").read_text()
    for split in ("train", "test"):
        path = other_shape / f"{split}.prototxt"
        path.write_text(path.read_text().replace("num_output: 4 kernel_size: 5", "num_output: 5 kernel_size: 5"))
    assert text != (other_shape / "train.prototxt").read_text()
    frozen = (
        'layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" batch_norm_param { use_global_stats: true } }'
    )
    for changes, words in [
        ({"net": tmp_path / "none"}, "none/train.prototxt: cannot be read"),
        ({"solver": tmp_path / "none"}, "none: cannot be read"),
        ({"solver": toy.varied / "train.prototxt"}, "not a solver prototxt"),
        ({"out": empty.parent}, "has files in it but no args.json of a run"),
        ({"net": toy.net(test_batch=4)}, "batches of 4 do not divide the 6 records"),
        ({"net": toy.net(data=tmp_path / "gone")}, "gone: not there"),
        ({"net": toy.net(data=empty)}, "dataset.json: missing"),
        ({"net": toy.net(data=no_lmdb)}, "no lmdb/lesion_lmdb: no LMDB"),
        ({"net": toy.net(test_data=folder / "train")}, "18 images are also in"),
        ({"net": toy.net(test_data=test_fold)}, "is the test fold, whose images should stay unseen"),
        ({"net": toy.net(["lesion"]), "watch": "location_top1"}, "the net has no location head"),
        ({"net": other_shape, "weights": [final]}, "conv: blob 0 is 4 x 3 x 5 x 5 in the caffemodel, 5 x 3"),
        ({"weights": [tmp_path / "none.caffemodel"]}, "none.caffemodel: cannot be read"),
        ({"weights": [folder]}, "cannot be read"),
        ({"weights": [tmp_path / "text.caffemodel"]}, "not a caffemodel"),
        ({"net": toy.net(extra=frozen)}, "bn has frozen statistics and no weights set them"),
        ({"net": toy.net(extra=frozen), "weights": [final]}, "bn has frozen statistics"),
        ({"net": toy.net(extra='layer { name: "x" type: "Typo" bottom: "conv" top: "x" }')}, "Caffe cannot build"),
        ({"gpu": 0}, "built without CUDA"),
    ]:
        with pytest.raises(InputError, match=words) as error:
            train(request_of(**{"out": out, **changes}), {})
        assert "\n" not in str(error.value)
        assert not out.exists(), words


def test_the_test_fold_is_watched_where_the_user_says_so(toy, request_of, tmp_path):
    test_fold = tmp_path / "test fold"
    shutil.copytree(str(toy.folder / "test"), str(test_fold))
    summary = json.loads((test_fold / "dataset.json").read_text())
    summary["arguments"]["subset"] = "test"
    (test_fold / "dataset.json").write_text(json.dumps(summary))
    net = toy.net(test_data=test_fold)
    outcome = train(request_of(tmp_path / "run", net=net, watch_test_fold=True, max_iter=1), {})
    assert outcome.iteration == 1
