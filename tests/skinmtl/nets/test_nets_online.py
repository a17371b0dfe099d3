"""make_prototxt.py --online-jitter: the training net alone draws scales, and everything else takes such a net."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import pytest

from caffe_files.prototxt import message_text, read_net
from skinmtl.layers.settings import JitterSettings, read_settings
from skinmtl.nets.multi_task import NetOptions, make_net

TINY = ("--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64, "--batch-norm", "batch", "--batch-size", 8)
ONLINE = ("--online-jitter", "--scales", 66, 72)


def options(**changes):
    given = {"model": "resnet50_mtl", "trunk": "resnet50", "crop": 224, "lesions": 25, "locations": 23}
    data = {"train_data": "data/train", "test_data": "data/test", "batch_size": 20, "test_batch_size": 20}
    return NetOptions(**{**given, **data, "frozen_batch_norm": True, **changes})


@pytest.fixture(scope="module")
def online_net(tool, small_set, tmp_path_factory):
    out = tmp_path_factory.mktemp("online net") / "net"
    data = ["--train-data", small_set.train, "--test-data", small_set.test]
    made = tool("make_prototxt.py", *TINY, *ONLINE, *data, "--out", out)
    assert made.returncode == 0, made.stderr
    return out


def test_the_training_net_alone_differs_and_in_its_images_alone():
    online = {split: make_net(options(scales=(256, 480), seed=7), split) for split in ("train", "test", "deploy")}
    offline = {split: make_net(options(), split) for split in ("train", "test", "deploy")}
    assert online["test"] == offline["test"]
    assert online["deploy"] == offline["deploy"]
    assert list(online["train"].layer)[1:] == list(offline["train"].layer)[1:]
    layer = online["train"].layer[0]
    assert (layer.name, layer.type, list(layer.top)) == ("data", "Python", ["data"])
    assert (layer.python_param.module, layer.python_param.layer) == ("skinmtl.layers", "JitteredImageData")
    mean = (103.0626, 115.9029, 123.1516)
    expected = JitterSettings("data/train/image_lmdb", 20, 224, (256, 480), mean, 7)
    assert read_settings(layer.python_param.param_str, "data") == expected


def test_the_param_str_stands_readable_in_the_file_and_survives_it(tmp_path):
    for folder in ("data/train", "it's", 'a "b"', "back\\slash", "ü"):
        net = make_net(options(scales=(256, 480), train_data=folder), "train")
        (tmp_path / "train.prototxt").write_text(message_text(net), encoding="utf-8")
        assert read_net(tmp_path / "train.prototxt") == net
    text = message_text(make_net(options(scales=(256, 480)), "train"))
    assert """param_str: '{"source": "data/train/image_lmdb", "batch_size": 20, "crop": 224, "scales":""" in text


def test_the_first_line_makes_the_files_again(tool, online_net, tmp_path):
    command = re.match(r"# made by: tools/(.*)", (online_net / "train.prototxt").read_text()).group(1)
    assert "--online-jitter --scales 66 72" in command
    done = tool(*shlex.split(command), "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_scales_and_seed_go_with_online_alone(tool, tmp_path):
    data = ["--train-data", "a", "--test-data", "b", "--out", tmp_path / "net"]
    for flags, words in (
        (["--scales", 66, 72], "--scales and --seed go with --online-jitter"),
        (["--seed", 3], "--scales and --seed go with --online-jitter"),
        (["--online-jitter", "--scales", 72, 66], "--scales: the smallest first"),
    ):
        done = tool("make_prototxt.py", *TINY, *flags, *data)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"make_prototxt.py: error: {words}")


def test_data_that_cannot_be_drawn_from_is_one_line(tool, refused, small_set, tmp_path):
    def made(train, *flags):
        data = ["--train-data", train, "--test-data", small_set.test, "--out", tmp_path / "no"]
        return tool("make_prototxt.py", *TINY, *flags, *data)

    refused(made(small_set.train, "--online-jitter"), "72 pixels on the shorter side, too small to draw 480")
    refused(made(small_set.train, "--online-jitter", "--scales", 60, 72), "--scales 60: below the crop of 64")
    copies = tmp_path / "copies"
    shutil.copytree(str(small_set.train), str(copies))
    summary = {**json.loads((copies / "dataset.json").read_text()), "copies": 3, "short_side": [66, 72]}
    (copies / "dataset.json").write_text(json.dumps(summary))
    refused(made(copies, *ONLINE), "is jittered already (3 copies, shorter sides of 66 to 72)", "--short-side 72")
    assert not (tmp_path / "no").exists()


@pytest.mark.caffe
def test_weights_are_held_against_such_a_net_without_its_data(tool, online_net, tiny_model):
    net = online_net / "train.prototxt"
    done = tool("check_weights.py", "--net", net, "--weights", tiny_model.snapshot)
    assert done.returncode == 0, done.stderr
    broken = online_net.parent / "broken.prototxt"
    broken.write_text(net.read_text().replace('"crop"', '"corp"'))
    done = tool("check_weights.py", "--net", broken, "--weights", tiny_model.snapshot)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "broken.prototxt: data: param_str has an unknown field 'corp'" in done.stderr


@pytest.mark.caffe
def test_a_training_net_is_no_deploy_net(run_on_test_fold, refused, online_net, tmp_path):
    done = run_on_test_fold("score.py", tmp_path / "s.npz", deploy=online_net / "train.prototxt")
    refused(done, "train.prototxt: reads its images from an LMDB; give a deploy.prototxt")


@pytest.mark.caffe
def test_train_py_trains_it(tool, online_net, small_set, tmp_path):
    (tmp_path / "solver.prototxt").write_text('base_lr: 0.01 momentum: 0.9 max_iter: 3 type: "SGD"')
    net = ["--solver", tmp_path / "solver.prototxt", "--net", online_net]
    done = tool("train.py", *net, "--test-interval", 3, "--watch-test-fold", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "3 iterations; all iterations are done" in done.stdout
