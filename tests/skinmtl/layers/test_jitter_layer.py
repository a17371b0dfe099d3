"""JitteredImageData in real Caffe, by pycaffe and `caffe train`: in step with the labels, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import cv2
import lmdb
import numpy as np
import pytest
from conftest import CAFFE
from processes import still_there, workers_of

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages

pytestmark = pytest.mark.caffe

N, BATCH = 23, 5
NET = """
layer {{ name: "data" type: "Python" top: "data" python_param {{
         module: "skinmtl.layers" layer: "JitteredImageData" param_str: '{settings}' }} }}
layer {{ name: "location_label" type: "Data" top: "location_label"
         data_param {{ source: "{labels}" batch_size: 5 backend: LMDB }} }}
layer {{ name: "small" type: "Power" bottom: "data" top: "small" power_param {{ scale: 0.01 }} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "small" top: "fc" inner_product_param {{
         num_output: 23 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "location_label" top: "loss" }}
"""


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """23 records: the number is the blue of the image, in steps of 10, and the label."""
    folder = tmp_path_factory.mktemp("numbered ü")
    for name in ("image_lmdb", "location_lmdb"):
        (folder / name).mkdir()
        with lmdb.open(str(folder / name), map_size=1 << 24) as environment, environment.begin(write=True) as records:
            for number in range(N):
                image = np.full((96, 120, 3), (10 * number, 100, 200), np.uint8)
                jpeg = cv2.imencode(".jpg", image)[1].tobytes()
                kinds = {"image_lmdb": {"encoded": True, "data": jpeg}, "location_lmdb": {"float_data": [number]}}
                datum = caffe_messages().Datum(channels=1, height=1, width=1, **kinds[name])
                records.put(b"%08d" % number, datum.SerializeToString())
    return folder


@pytest.fixture
def net_of(numbered, tmp_path):
    """Writes a train.prototxt, and a solver of it for `caffe train`."""

    def make(max_iter=12, **changes):
        settings = {
            **{"source": str(numbered / "image_lmdb"), "batch_size": BATCH, "crop": 64, "scales": [73, 96]},
            **{"mean": [3, 2.5, 1], "seed": 1, "workers": 2},
            **changes,
        }
        settings = {name: value for name, value in settings.items() if value is not None}
        text = json.dumps(settings, ensure_ascii=False)
        path = tmp_path / "train.prototxt"
        path.write_text(NET.format(settings=text, labels=numbered / "location_lmdb"))
        (tmp_path / "solver.prototxt").write_text(
            f'train_net: "{path}" base_lr: 0.001 lr_policy: "fixed" max_iter: {max_iter} snapshot: 6 '
            f'snapshot_prefix: "{tmp_path}/n" random_seed: 1 display: 1\n'
        )
        return path

    return make


def forwarded(net, passes):
    """The images and labels of some passes; the workers end."""
    images, labels = [], []
    for _ in range(passes):
        net.forward()
        images.append(np.array(net.blobs["data"].data))
        labels.append(np.array(net.blobs["location_label"].data).ravel())
    net.layers[0].close()
    return np.concatenate(images), np.concatenate(labels)


@pytest.mark.parametrize("workers", [0, 2])
def test_images_stay_in_step_with_their_labels_over_two_wraps(net_of, workers):
    import caffe

    images, labels = forwarded(caffe.Net(str(net_of(workers=workers)), caffe.TRAIN), 11)
    assert labels.tolist() == [visit % N for visit in range(11 * BATCH)]
    assert images.shape == (55, 3, 64, 64)
    blue, green, red = images.mean(axis=(2, 3)).T
    assert np.abs(blue + 3 - 10 * labels).max() < 2
    assert np.abs(green + 2.5 - 100).max() < 2
    assert np.abs(red + 1 - 200).max() < 2


def test_the_blob_is_the_crop_less_the_mean_as_drawn(numbered, net_of):
    import caffe

    from caffe_files.records import Records
    from skinmtl.layers.jitter import crop_of, draw

    images, _ = forwarded(caffe.Net(str(net_of(start=40, seed=9)), caffe.TRAIN), 2)
    records = Records(str(numbered / "image_lmdb"))
    for number, image in enumerate(images):
        crop = crop_of(records.datum(40 + number).data, draw(9, 40 + number, (73, 96)), 64, 96)
        np.testing.assert_array_equal(image, np.float32(crop.transpose(2, 0, 1)) - np.float32([[[3]], [[2.5]], [[1]]]))


def test_a_batch_size_that_is_set_from_outside_becomes_the_layers_again(net_of):
    import caffe

    net = caffe.Net(str(net_of(workers=0)), caffe.TRAIN)
    net.blobs["data"].reshape(2, 3, 64, 64)
    assert forwarded(net, 1)[0].shape == (BATCH, 3, 64, 64)


def test_begin_moves_to_any_visit(net_of):
    import caffe

    expected, _ = forwarded(caffe.Net(str(net_of()), caffe.TRAIN), 4)
    net = caffe.Net(str(net_of(seed=7)), caffe.TRAIN)
    net.forward()
    net.layers[0].begin(seed=1, visit=10)
    np.testing.assert_array_equal(forwarded(net, 2)[0], expected[10:])


def test_what_is_wrong_reaches_a_python_program_as_an_error(net_of):
    import caffe

    with pytest.raises(InputError, match="JitteredImageData: param_str has an unknown field 'worker'"):
        caffe.Net(str(net_of(worker=2)), caffe.TRAIN)
    with pytest.raises(InputError, match="for training alone; test with a Data layer"):
        caffe.Net(str(net_of()), caffe.TEST)


# `caffe train`


def caffe_train(folder, *more, **options):
    command = [CAFFE, "train", "-solver", str(folder / "solver.prototxt"), *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, cwd=str(folder), **options)


def losses(log):
    return [line.split("loss = ")[1].split()[0] for line in log.decode().splitlines() if "Train net output" in line]


def test_caffe_train_trains_snapshots_and_goes_on(net_of, tmp_path):
    net_of()
    trained = caffe_train(tmp_path)
    log = trained.communicate()[1]
    assert trained.returncode == 0, log[-2000:]
    assert len(losses(log)) >= 12
    assert (tmp_path / "n_iter_12.caffemodel").exists()
    resumed = caffe_train(tmp_path, "-snapshot", str(tmp_path / "n_iter_6.solverstate"))
    log = resumed.communicate()[1]
    assert resumed.returncode == 0, log[-2000:]


@pytest.mark.parametrize("stop", ["SIGINT", "SIGKILL"])
def test_no_worker_outlives_caffe_however_it_ends(net_of, tmp_path, stop):
    net_of(max_iter=10**7)
    process = caffe_train(tmp_path, start_new_session=True)
    try:
        while b"Iteration 3 " not in process.stderr.readline():
            assert process.poll() is None
        workers = workers_of(process.pid)
        assert len(workers) == 2
        os.killpg(process.pid, getattr(signal, stop))  # as Ctrl-C on a terminal reaches all of a command
        process.stderr.read()
        status = process.wait(30)
    finally:
        process.kill()
    # on SIGINT Caffe ends well, after a snapshot
    assert status == (0 if stop == "SIGINT" else -getattr(signal, stop))
    assert bool(list(tmp_path.glob("n_iter_*.solverstate"))) >= (stop == "SIGINT")
    assert still_there(workers) == []


def test_a_worker_that_is_killed_ends_caffe_with_a_line(net_of, tmp_path):
    net_of(max_iter=10**7)
    process = caffe_train(tmp_path)
    while b"Iteration 3 " not in process.stderr.readline():
        assert process.poll() is None
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    log = process.stderr.read().decode()
    assert process.wait() == 1
    assert log.splitlines()[-1].startswith("caffe: a worker process that reads data ended by SIGKILL")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corp": 64}, "unknown field 'corp', did you mean 'crop'?"),
        ({"mean": None}, "param_str has no 'mean'"),
        ({"source": "nowhere/image_lmdb"}, "nowhere/image_lmdb: no LMDB (data.mdb) there"),
        ({"scales": [73, 97]}, "record 00000000: its shorter side is 96 pixels, too small for scales up to 97"),
    ],
)
def test_what_is_wrong_ends_caffe_with_one_line_and_no_trace(net_of, tmp_path, changes, words):
    net_of(**changes)
    process = caffe_train(tmp_path, env=dict(os.environ, GLOG_minloglevel="2"))
    log = process.communicate()[1].decode()
    assert process.returncode == 1
    assert log.startswith("caffe: ")
    assert words in log
    assert log.count("\n") == 1
