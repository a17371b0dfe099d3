"""Where data comes from in caffe_torch: the Data layer and JitteredImageData show what BVLC Caffe shows, from any batch
on, with any number of worker processes and devices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import cv2
import lmdb
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from conftest import ROOT
from processes import still_there, workers_of
from torch_agreement import NEEDS_CAFFE, net_of

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from caffe_torch.feeding import Feed
from caffe_torch.workers import share_workers, workers_here

pytestmark = pytest.mark.torch
torch.set_num_threads(1)  # for nets as small as these threads cost more than they bring
CROP, MEAN = 48, (103.0625, 115.5, 123.25)


def data(source, batch=5, transform="crop_size: 48 mirror: true", tops=("data",), mean=MEAN):
    means = " ".join(f"mean_value: {value}" for value in mean)
    named = " ".join(f"top: '{top}'" for top in tops)
    return f"""layer {{ name: 'data' type: 'Data' {named} transform_param {{ {transform} {means} }}
        data_param {{ source: '{source}' batch_size: {batch} backend: LMDB }} }}"""


def jittered(source, batch=5, **settings):
    told = {"source": str(source), "batch_size": batch, "crop": CROP, "scales": [56, 72], "mean": MEAN, "seed": 3}
    text = json.dumps({**told, **settings})
    return f"""layer {{ name: 'data' type: 'Python' top: 'data' python_param {{
        module: 'skinmtl.layers' layer: 'JitteredImageData' param_str: '{text}' }} }}"""


@pytest.fixture
def images(small_set):
    """The small set's 16 training images of 72 pixels on the shorter side."""
    return small_set.train / "image_lmdb"


@pytest.fixture
def records(tmp_path):
    """Writes an LMDB of Datums; each is given by its fields."""

    def write(*datums, name="lmdb"):
        with lmdb.open(str(tmp_path / name), map_size=1 << 24) as environment, environment.begin(write=True) as put:
            for number, fields in enumerate(datums):
                put.put(b"%08d" % number, caffe_messages().Datum(**fields).SerializeToString())
        return tmp_path / name

    return write


def shown(text, batches, workers=0, start=None, phase="TRAIN", rank=0, world=1, top="data"):
    """The numbers of some batches, one after the other."""
    net = net_of(text, phase)
    layer = net.layer("data")
    layer.workers, layer.rank, layer.world = workers, rank, world
    if start is not None:
        layer.start(*start)
    try:
        return np.concatenate([net()[top].numpy() for _ in range(batches)])
    finally:
        layer.close()


@NEEDS_CAFFE
@pytest.mark.parametrize("transform", ["crop_size: 48 scale: 0.0078125 force_color: true", "crop_size: 72"])
def test_the_centre_of_an_image_is_caffes_to_the_bit(caffe, images, transform):
    expected = caffe.answer(data(images, 40, transform), "TEST", {})["blob:data"]
    for workers in (0, 1):
        np.testing.assert_array_equal(shown(data(images, 10, transform), 4, workers, phase="TEST"), expected)


@NEEDS_CAFFE
@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_plain_datums_and_labels_are_caffes_to_the_bit(caffe, records, kind):
    random = np.random.RandomState(1)
    values = {"bytes": lambda: {"data": random.bytes(2 * 5 * 4)}, "floats": lambda: {"float_data": random.randn(40)}}
    made = [{"channels": 2, "height": 5, "width": 4, "label": 7 * number, **values[kind]()} for number in range(5)]
    text = data(records(*made), 7, "crop_size: 3 scale: 0.3", ("data", "label"), (0.1, 0.7))
    expected = caffe.answer(text, "TEST", {})
    for top in ("data", "label"):
        np.testing.assert_array_equal(shown(text, 1, phase="TEST", top=top), expected[f"blob:{top}"])


@NEEDS_CAFFE
def test_a_mean_file_is_subtracted_under_the_crop_as_caffe_does(caffe, records, tmp_path):
    random = np.random.RandomState(2)
    blob = caffe_messages().BlobProto(num=1, channels=2, height=5, width=4, data=random.randn(40))
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    source = records(*({"channels": 2, "height": 5, "width": 4, "data": random.bytes(40)} for _ in range(3)))
    text = data(source, 3, f"crop_size: 3 mean_file: '{tmp_path}/mean.binaryproto'", mean=())
    expected = caffe.answer(text, "TEST", {})["blob:data"]
    np.testing.assert_array_equal(shown(text, 1, phase="TEST"), expected)
    mirrored = shown(text.replace("crop_size: 3", "mirror: true"), 1)
    plain = shown(text.replace("crop_size: 3", ""), 1)
    for one, other in zip(mirrored, plain):
        assert (one == other).all() or (one == other[:, :, ::-1]).all()


@NEEDS_CAFFE
def test_jittered_images_are_those_of_the_layer_for_caffe_to_the_bit(caffe, images):
    expected = caffe.answer(jittered(images, 40, start=7, workers=0), "TRAIN", {})["blob:data"]
    for workers in (0, 2):  # as `caffe train` and `caffe-torch train`: the seed and the start are the param_str's
        np.testing.assert_array_equal(shown(jittered(images, 10, start=7), 4, workers), expected)
    # as tools/train.py, which tells both engines a seed and a place in the data
    np.testing.assert_array_equal(shown(jittered(images, 10, start=99, seed=4), 1, start=(2, 3)), expected[13:23])


@pytest.mark.parametrize("layer", [data, jittered])
def test_a_stream_does_not_depend_on_where_it_starts_nor_on_workers_nor_on_devices(images, layer):
    whole = shown(layer(images), 8, start=(0, 9))
    assert (shown(layer(images), 8, start=(0, 10)) != whole).any()
    assert (whole[:16] != whole[16:32]).any()  # the second visit of an image has another crop
    for workers in (1, 3):
        np.testing.assert_array_equal(shown(layer(images), 3, workers, start=(4, 9)), whole[20:35])
    for rank in (0, 1):
        found = shown(layer(images), 2, 1 + rank, start=(1, 9), rank=rank, world=2)
        np.testing.assert_array_equal(found, whole[10 + rank : 30 : 2])


def test_images_have_the_workers_and_labels_need_none(small_set, monkeypatch):
    label = "layer {{ name: '{0}' type: 'Data' top: '{0}' data_param {{ source: '{1}' batch_size: 5 backend: LMDB }} }}"
    labels = [label.format(f"{kind}_label", small_set.train / f"{kind}_lmdb") for kind in ("lesion", "location")]
    other = data(small_set.train / "image_lmdb").replace("'data'", "'other'")
    one = net_of("\n".join([data(small_set.train / "image_lmdb"), *labels]), "TRAIN")
    two = net_of("\n".join([data(small_set.train / "image_lmdb"), other, *labels]), "TRAIN")
    for net, given, expected in ((one, 3, [3, 0, 0]), (two, 4, [2, 2, 0, 0]), (two, 0, [0, 0, 0, 0])):
        share_workers(list(net.sources()), given)
        assert [source.workers for source in net.sources()] == expected
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(16))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert workers_here() == 15
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert workers_here() == 3
    own = net_of(jittered(small_set.train / "image_lmdb", workers=1), "TRAIN")
    share_workers(list(own.sources()), None)
    assert own.layer("data").workers == 1
    share_workers(list(own.sources()), 2)
    assert own.layer("data").workers == 2


def jpeg(height, width):
    return {"encoded": True, "data": cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1].tobytes()}


@pytest.mark.parametrize(
    ("damage", "transform", "words"),
    [
        ({"encoded": True, "data": b"no image"}, "crop_size: 48", "record 00000001: its image cannot be decoded"),
        (jpeg(90, 40), "crop_size: 48", "record 00000001: 40 x 90 is smaller than the crop of 48"),
        (jpeg(60, 90), "", r"of shape \(60, 90, 3\) where others are uint8 of shape \(60, 60, 3\); set a crop_size"),
        ({"channels": 3, "height": 60, "width": 60, "data": b"12"}, "crop_size: 48", "2 numbers for the shape"),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_record_that_does_not_fit_is_named_also_by_workers(records, damage, transform, words, workers):
    source = records(jpeg(60, 60), damage, jpeg(60, 60))
    with pytest.raises(InputError, match=words):
        shown(data(source, 3, transform), 1, workers)


def test_images_of_any_size_pass_one_by_one(records):
    net = net_of(data(records(jpeg(60, 70), jpeg(50, 40)), 1, ""), "TEST")
    assert [tuple(net()["data"].shape) for _ in range(3)] == [(1, 3, 60, 70), (1, 3, 50, 40), (1, 3, 60, 70)]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda source: data(source.parent / "none"), "no LMDB"),
        (lambda source: jittered(source, seed="1"), 'seed in param_str is "1"; give a whole number'),
        (lambda source: jittered(source, scales=[56, 90]), "record 00000000: its shorter side is 72 pixels, too small"),
        (lambda source: jittered(source).replace("top: 'data'", "top: 'data' top: 'label'"), "gives one top"),
        (lambda source: jittered(source.parent / "lesion_lmdb"), "record 00000000: holds no encoded image"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_when_the_net_is_built(images, layer, words):
    with pytest.raises(InputError, match=words):
        net_of(layer(images), "TRAIN")


def test_jitter_is_for_training_alone(images):
    with pytest.raises(InputError, match=r"layer 'data' \(Python\): draws crops at random, for training alone"):
        net_of(jittered(images), "TEST")


def test_no_worker_outlives_its_training(images, tmp_path):
    """Killed, so that it can end none of them."""
    (tmp_path / "net.prototxt").write_text(
        data(images)
        + "layer { name: 'fc' type: 'InnerProduct' bottom: 'data' top: 'fc' inner_product_param { num_output: 1 } }"
        "layer { name: 'zero' type: 'DummyData' top: 'zero' dummy_data_param { shape { dim: 5 dim: 1 } } }"
        "layer { name: 'loss' type: 'SigmoidCrossEntropyLoss' bottom: 'fc' bottom: 'zero' top: 'loss' }"
    )
    (tmp_path / "solver.prototxt").write_text(
        f"net: '{tmp_path}/net.prototxt' base_lr: 0 lr_policy: 'fixed' max_iter: 1000000000 display: 5"
    )
    command = [sys.executable, "-m", "caffe_torch.command", "train", "-solver", tmp_path / "solver.prototxt"]
    training = subprocess.Popen(
        [*map(str, command), "-workers", "2"],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "OMP_NUM_THREADS": "1"},
        text=True,
    )
    while "Iteration 5 " not in training.stderr.readline():
        assert training.poll() is None
    workers = workers_of(training.pid)
    assert len(workers) == 2
    training.kill()
    training.communicate(timeout=30)
    assert still_there(workers) == []


class Batches:
    """Batches that hold their number alone; the next lies ready where `ready` says so."""

    def __init__(self):
        self.number, self.ready = -1, False

    def next_batch(self):
        self.number += 1
        return np.full((2, 1, 1, 3), self.number, np.uint8), np.full(2, self.number, np.float32)

    def is_ready(self):
        return self.ready


def test_on_a_gpu_the_next_batch_is_copied_ahead_where_it_lies_ready(monkeypatch):
    """With PyTorch's CUDA calls replaced: in which order batches come, and which copy is waited for."""
    done = []
    event = SimpleNamespace(record=lambda stream: done.append(f"copy on {stream}"))
    current = SimpleNamespace(wait_event=lambda waited: done.append("wait" if waited is event else "?"))
    for name, value in {
        "Stream": lambda device: "a stream aside",
        "Event": lambda: event,
        "current_stream": lambda device: current,
        "stream": lambda stream: nullcontext(),
    }.items():
        monkeypatch.setattr(f"torch.cuda.{name}", value)
    monkeypatch.setattr("torch.Tensor.pin_memory", lambda tensor: tensor.clone())
    monkeypatch.setattr("torch.Tensor.record_stream", lambda tensor, stream: None)
    to = torch.Tensor.to
    monkeypatch.setattr("torch.Tensor.to", lambda tensor, _, non_blocking: to(tensor, "cpu") if non_blocking else None)
    batches = Batches()
    feed = Feed(batches, SimpleNamespace(type="cuda"))
    for number, ready, expected in (
        (0, False, ["copy on a stream aside", "wait"]),
        (1, True, ["copy on a stream aside", "wait", "copy on a stream aside"]),
        (2, True, ["wait", "copy on a stream aside"]),
        (3, False, ["wait"]),
        (4, False, ["copy on a stream aside", "wait"]),
    ):
        batches.ready = ready
        values, labels = next(feed)
        assert (values == number).all()
        assert (labels == number).all()
        assert done == expected
        done.clear()


def test_a_worker_that_is_killed_is_one_line(images):
    net = net_of(data(images), "TRAIN")
    net.layer("data").workers = 2
    net()
    os.kill(workers_of(os.getpid())[0], signal.SIGKILL)
    with pytest.raises(InputError, match="a worker process that reads data ended by SIGKILL"):
        for _ in range(9):
            net()
    net.layer("data").close()
    assert not workers_of(os.getpid())


@NEEDS_CAFFE
def test_augmented_images_are_those_of_the_layer_for_caffe_to_a_step_or_two_of_grey(caffe, images):
    """The draws are the same to the bit; how OpenCV's versions round between two greys is not quite."""
    ranges = {"rotate": 180, "vertical_flip": True, "brightness": 0.2, "contrast": 0.2, "saturation": 0.3, "hue": 15}
    text = jittered(images, 20, **ranges, white_balance=0.1, blur=1.5, cutout=0.3)
    expected = caffe.answer(text, "TRAIN", {})["blob:data"]
    difference = np.abs(shown(text, 1) - expected)
    assert difference.max() <= 2  # one of the turn, which colours make more
    assert difference.mean() < 0.2
    assert np.abs(shown(jittered(images, 20), 1) - expected).mean() > 5
