"""train.py on toy nets in real Caffe: what is refused, before anything is written."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from caffe_files.errors import InputError
from skinmtl.engines.engine import Engine
from skinmtl.training.plateau import PlateauRule
from skinmtl.training.training_run import train

pytestmark = pytest.mark.caffe
pytest_plugins = ["toy_training"]


def test_a_run_is_neither_overwritten_nor_resumed_with_other_arguments(toy, undisturbed, tool, refused):
    finished = tool("train.py", *toy.command(undisturbed.out)[2:])
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
        request = toy.request(undisturbed.out, **{"resume": True, "plateau": toy.falling, **changes})
        if words is None:
            assert train(request, {}).reason.startswith("finished before")
            continue
        with pytest.raises(InputError, match="was begun with other arguments: " + words):
            train(request, {})


def test_a_run_with_other_arguments_is_set_aside_where_that_is_asked(toy, undisturbed, tmp_path, tool):
    out = tmp_path / "run"
    shutil.copytree(str(undisturbed.out), str(out))
    (tmp_path / "run.before-1").mkdir()
    again = {"resume": True, "set_aside": True, "plateau": toy.falling}
    assert train(toy.request(out, **again), {}).reason.startswith("finished before")
    assert train(toy.request(out, base_lr=0.02, max_iter=10, **again), {}).iteration == 10
    kept = (tmp_path / "run.before-2" / "final.caffemodel").read_bytes()
    assert kept == (undisturbed.out / "final.caffemodel").read_bytes()
    assert (out / "final.caffemodel").read_bytes() != kept
    # fewer iterations than are done are other arguments too: the weights of more would pass for those of fewer
    with pytest.raises(InputError, match="10 iterations are done, max_iter is 5; give the same"):
        train(toy.request(out, base_lr=0.02, max_iter=5, **{**again, "set_aside": False}), {})
    assert train(toy.request(out, base_lr=0.02, max_iter=5, **again), {}).iteration == 5
    assert (tmp_path / "run.before-3").exists()
    finished = tool("train.py", *toy.command(out, "--set-aside")[2:])
    assert (finished.returncode, "goes with --resume" in finished.stderr) == (2, True)


def test_snapshots_stay_in_the_run_whatever_the_net_is_called(toy, tmp_path):
    net = shutil.copytree(str(toy.net()), str(tmp_path / "net"))
    for path in (tmp_path / "net").glob("*.prototxt"):
        path.write_text(re.sub("^name: .*", f'name: "{tmp_path}/mine"', path.read_text(), flags=re.MULTILINE))
    with pytest.raises(InputError, match="mine', by which no snapshot can be called"):
        train(toy.request(tmp_path / "run", net=Path(net)), {})
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_two_processes_cannot_train_in_one_folder(toy, undisturbed, tmp_path):
    import fcntl

    out = tmp_path / "run"
    shutil.copytree(str(undisturbed.out), str(out))
    with open(str(out / ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is training there"):
            train(toy.request(out, plateau=toy.falling, resume=True), {})


def test_what_does_not_fit_is_refused_before_anything_is_written(toy, undisturbed, tmp_path):
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
        (
            {"net": toy.net(extra='layer { name: "x" type: "Typo" bottom: "conv" top: "x" }')},
            "layer .x. is of type Typo",
        ),
        ({"engine": Engine(gpu=0)}, "built without CUDA"),
    ]:
        with pytest.raises(InputError, match=words) as error:
            train(toy.request(**{"out": out, **changes}), {})
        assert "\n" not in str(error.value)
        assert not out.exists(), words
