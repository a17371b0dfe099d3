"""train.py with --engine torch: the same training as with Caffe, resumed in either, and exact after any stop."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from caffe_reference import PYTHON
from usage_errors import usage_errors

pytest.importorskip("torch")

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.common.provenance import sha256
from skinmtl.engines.engine import Engine
from skinmtl.training.inputs import check_inputs
from skinmtl.training.run_folder import RunFolder, engines_used
from skinmtl.training.training_run import train

pytestmark = pytest.mark.torch
pytest_plugins = ["toy_training"]
NEEDS_CAFFE = pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")
TORCH = Engine("torch")


@pytest.fixture(scope="module")
def nets(toy):
    """Without dropout, whose masks each engine draws its own: one net of plain crops, one of online jitter."""
    online = toy.net(online=True, workers=2)
    for path in online.iterdir():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if '"Dropout"' not in line))
    return {"plain": toy.net(varied=False), "online": online}


@pytest.fixture(scope="module")
def start(toy, nets, tmp_path_factory):
    """Weights to start from, for both engines."""
    found = {}
    for name, net in nets.items():
        out = tmp_path_factory.mktemp("start") / "run"
        train(toy.request(out, net=net, engine=TORCH, max_iter=1), {})
        found[name] = out / "final.caffemodel"
    return found


def in_caffe(toy, out, net, weights, *more):
    """train.py in .caffe; the rate falls at the iterations where the other engine's does."""
    words = toy.command(out, "--weights", weights, "--base-lr", 0.001, "--display", 1, *more, net=net)[1:]
    return subprocess.run([str(PYTHON), *words], check=True, capture_output=True, text=True)


def in_torch(toy, out, net, weights, **changes):
    plain = {"net": net, "weights": [weights], "base_lr": 0.001, "display": 1, "plateau": toy.falling}
    return train(toy.request(out, engine=TORCH, **{**plain, **changes}), {})


def same_logs(run, other):
    """But for images a second: losses to 1e-4, all else exactly."""
    logs = []
    for each in (run, other):
        with open(each / "log.csv", newline="") as file:
            logs.append(list(csv.DictReader(file)))
    assert len(logs[0]) == len(logs[1])
    for row, expected in zip(*logs):
        assert list(row) == list(expected)
        for name, value in expected.items():
            if value and name.endswith("_loss"):
                assert float(row[name]) == pytest.approx(float(value), rel=1e-4), (row["iteration"], name)
            elif name != "images_per_second":
                assert row[name] == value, (row["iteration"], name)
    return logs[0]


def same_weights(run, other):
    found, expected = (
        {layer.name: layer.blobs for layer in read_caffemodel(each / "final.caffemodel").layer if layer.blobs}
        for each in (run, other)
    )
    assert list(found) == list(expected) == ["conv", "fc_lesion", "fc_location"]
    for name, blobs in expected.items():
        for one, two in zip(found[name], blobs):
            np.testing.assert_allclose(one.data, two.data, rtol=1e-4, atol=1e-6)


@NEEDS_CAFFE
@pytest.mark.parametrize("name", ["plain", "online"])
def test_twenty_iterations_are_caffes(toy, nets, start, tmp_path, name):
    """Two passes an iteration; the online net draws scales, crops and flips anew for every visit: the same pixels. The
    rate falls twice in between."""
    in_caffe(toy, tmp_path / "caffe", nets[name], start[name], "--max-iter", 20, "--test-interval", 5)
    in_torch(toy, tmp_path / "torch", nets[name], start[name], max_iter=20, test_interval=5)
    rows = same_logs(tmp_path / "torch", tmp_path / "caffe")
    assert [row["iteration"] for row in rows] == [str(number) for number in range(1, 21)]
    assert [rows[number]["lr"] for number in (9, 10, 15)] == ["0.001", "0.0001", "1e-05"]
    assert len({row["lesion_loss"] for row in rows}) == 20
    same_weights(tmp_path / "torch", tmp_path / "caffe")


@NEEDS_CAFFE
def test_either_engine_goes_on_with_a_run_of_the_other_where_that_is_asked(toy, nets, start, tmp_path):
    """10 iterations in one and 10 in the other are 20 in Caffe: weights, momentum, rate, place in the data, log."""
    net, weights = nets["plain"], start["plain"]
    in_caffe(toy, tmp_path / "caffe", net, weights, "--max-iter", 20)
    in_caffe(toy, tmp_path / "by caffe first", net, weights, "--max-iter", 10)
    in_torch(toy, tmp_path / "by torch first", net, weights, max_iter=10)
    with pytest.raises(InputError, match="engine was caffe, is torch; give the same, say --change-engine to go on"):
        in_torch(toy, tmp_path / "by caffe first", net, weights, max_iter=20, resume=True)
    going_on = {"max_iter": 20, "resume": True, "change_engine": True}
    in_torch(toy, tmp_path / "by caffe first", net, weights, **going_on)
    in_caffe(toy, tmp_path / "by torch first", net, weights, "--max-iter", 20, "--resume", "--change-engine")
    for first, second in (("caffe", "torch"), ("torch", "caffe")):
        run = tmp_path / f"by {first} first"
        same_logs(run, tmp_path / "caffe")
        same_weights(run, tmp_path / "caffe")
        record = json.loads((run / "args.json").read_text())
        told = [(one["from_iteration"], one["engine"].split()[0]) for one in record["engines"]]
        assert told == [(0, first), (10, second)]
        assert record["settings"]["engine"] == second


def test_killed_and_stopped_it_ends_as_undisturbed_byte_for_byte(toy, tmp_path):
    """Scales, crops and flips are drawn in two worker processes, dropout in this one."""
    net, whole, cut = toy.net(online=True, workers=2), tmp_path / "whole", tmp_path / "cut"
    flags = ("--engine", "torch", "--max-iter", 150, "--test-interval", 75, "--snapshot-interval", 6)
    intervals = {"max_iter": 150, "test_interval": 75, "snapshot_interval": 6}
    train(toy.request(whole, engine=TORCH, net=net, plateau=toy.falling, **intervals), {})
    for seed, stop in enumerate((signal.SIGKILL, signal.SIGTERM)):
        process = toy.killed_in_between(toy.command(cut, *flags, "--resume", net=net), cut, seed, stop)
        said = process.communicate()[1]
        assert process.returncode == (-stop if stop == signal.SIGKILL else 128 + stop), said
    assert said.splitlines()[-1].endswith("the same command with --resume goes on")
    assert "Traceback" not in said
    subprocess.run(toy.command(cut, *flags, "--resume", net=net), check=True, stdout=subprocess.PIPE)
    assert toy.same_end(cut, whole), "and so are the best weights"


def test_a_resumed_run_draws_the_crops_mirrors_and_masks_of_the_undisturbed_one(toy, tmp_path):
    for out, parts in (("whole", [12]), ("cut", [5, 12])):
        for part in parts:
            request = toy.request(tmp_path / out, engine=TORCH, max_iter=part, test_interval=12, resume=True)
            train(replace(request, workers=part % 2), {})  # how many read ahead changes nothing
    assert sha256(tmp_path / "cut" / "final.caffemodel") == sha256(tmp_path / "whole" / "final.caffemodel")


def test_the_short_way_and_a_rate_set_by_restoring_change_no_images(toy, nets, start, tmp_path):
    """With nothing drawn at random both end as the plain way."""
    net, weights = nets["plain"], start["plain"]
    in_torch(toy, tmp_path / "plain", net, weights, max_iter=20, test_interval=5)
    in_torch(toy, tmp_path / "restored", net, weights, max_iter=20, test_interval=5, rate_change="restore")
    assert toy.same_end(tmp_path / "restored", tmp_path / "plain")
    in_torch(toy, tmp_path / "short", net, weights, max_iter=7, test_interval=5)
    (tmp_path / "short").rename(tmp_path / "moved")
    again = {"max_iter": 20, "test_interval": 5, "resume": True, "resume_data": "cycle"}
    in_torch(toy, tmp_path / "moved", net, weights, **again)
    same_weights(tmp_path / "moved", tmp_path / "plain")


def test_precision_is_part_of_a_run(toy, tmp_path):
    bf16 = Engine("torch", None, "bf16")
    train(toy.request(tmp_path / "run", engine=bf16, max_iter=10), {})
    with pytest.raises(InputError, match="precision was bf16, is fp32; give the same, say --change-engine"):
        train(toy.request(tmp_path / "run", engine=TORCH, max_iter=20, resume=True), {})
    again = {"resume": True, "set_aside": True, "max_iter": 5}
    assert train(toy.request(tmp_path / "run", engine=TORCH, **again), {}).iteration == 5
    assert (tmp_path / "run.before-1").exists()


def test_a_run_from_before_there_was_another_engine_is_caffes(toy, tmp_path):
    train(toy.request(tmp_path / "run", engine=TORCH, max_iter=1), {})
    folder = RunFolder(tmp_path / "run")
    record = json.loads(folder.args.read_text())
    for name in ("engine", "precision"):
        del record["settings"][name]
    del record["engines"]
    record["versions"]["caffe"] = "1.0.0"
    folder.args.write_text(json.dumps(record))
    assert folder.engines() == [{"from_iteration": 0, "engine": "caffe 1.0.0", "precision": "fp32"}]
    with pytest.raises(InputError, match="engine was caffe, is torch"):
        train(toy.request(tmp_path / "run", engine=TORCH, max_iter=1, resume=True), {})


def test_the_engines_of_a_run_by_iteration():
    caffe, torch = ({"engine": name, "precision": "fp32"} for name in ("caffe 1.0.0", "torch 2.13.0"))
    assert engines_used([], caffe, 0) == [{"from_iteration": 0, **caffe}]
    both = engines_used([{"from_iteration": 0, **caffe}], torch, 10)
    assert both == [{"from_iteration": 0, **caffe}, {"from_iteration": 10, **torch}]
    assert engines_used(both, torch, 30) == both
    # the newer snapshots were broken: what the second engine made is made again
    assert engines_used(both, caffe, 5) == both[:1]
    assert engines_used(both, caffe, 0) == [{"from_iteration": 0, **caffe}]


def test_what_this_engine_cannot_train_is_refused_before_anything_is_written(toy, nets, tmp_path):
    out, solver = tmp_path / "run", tmp_path / "adam.prototxt"
    solver.write_text(toy.solver.read_text().replace('type: "SGD"', 'type: "Adam" momentum2: 1'))
    unknown = 'layer { name: "x" type: "Im2col" bottom: "conv" top: "x" }'
    text = (nets["online"] / "train.prototxt").read_text()
    other_form = tmp_path / "leveldb"
    shutil.copytree(str(nets["plain"]), str(other_form))
    path = other_form / "train.prototxt"
    path.write_text(path.read_text().replace("backend: LMDB", "backend: LEVELDB"))
    assert "Dropout" not in text
    for changes, words in [
        ({"solver": solver}, r"adam.prototxt: momentum and momentum2 of Adam.*or use --engine caffe"),
        ({"net": toy.net(extra=unknown)}, r"train.prototxt: layer 'x' is of type Im2col, .*--allow-layer Im2col"),
        (
            {"net": toy.net(extra=unknown), "engine": Engine("torch", allowed=("Im2col",))},
            r"train.prototxt: .*layer 'x': type 'Im2col' is not supported",
        ),
        ({"net": other_form}, r"train.prototxt: layer 'data' .*LevelDB"),
        ({"engine": Engine("torch", 99)}, r"--gpu 99: (this machine has|PyTorch can use)"),
        ({"net": tmp_path / "none"}, "none/train.prototxt: cannot be read"),
    ]:
        with pytest.raises(InputError, match=words) as error:
            train(toy.request(**{"out": out, "engine": TORCH, **changes}), {})
        assert "\n" not in str(error.value)
        assert not out.exists(), words


def test_data_may_lie_where_nothing_can_be_written(nets, monkeypatch):
    """Caffe locks what it reads."""
    monkeypatch.setattr("os.access", lambda *_: False)
    assert check_inputs(nets["plain"], False, TORCH).batch_size == 4
    with pytest.raises(InputError, match="Caffe locks what it reads"):
        check_inputs(nets["plain"], False)


def test_wrong_flags_are_usage_errors(tmp_path):
    words = ["--solver", "s", "--net", "n", "--out", "run"]
    wrong = {
        "--workers goes with --engine torch": ["--workers", 2],
        "--change-engine goes with --resume": ["--engine", "torch", "--change-engine"],
        "is a way of NVIDIA GPUs": ["--engine", "torch", "--precision", "tf32"],
    }
    said = usage_errors("train", [[*words, *flags] for flags in wrong.values()], tmp_path)
    for expected, line in zip(wrong, said):
        assert expected in line
