"""LesionData in real Caffe: its tops, its phases, its place in the data, and what `caffe train` says."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from conftest import CAFFE
from made_lesions import MEAN, TOPS, lesion_layer, lesion_records, write_lesion_lmdbs
from processes import still_there, workers_of

from caffe_files.errors import InputError
from skinmtl.layers.lesion_data import LesionSamples

pytestmark = pytest.mark.caffe
SIZES = ((40, 60), (60, 40), (90, 81), (64, 64), (33, 200))
REST = """
layer { name: "small" type: "Power" bottom: "data" top: "small" power_param { scale: 0.01 } }
layer { name: "fc" type: "InnerProduct" bottom: "small" top: "fc" inner_product_param {
        num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "class_label" top: "loss" }
layer { name: "unused" type: "Silence" bottom: "window" bottom: "box" bottom: "mask" bottom: "draw" }
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_lesion_lmdbs(tmp_path_factory.mktemp("lesions ü"), lesion_records(SIZES))


@pytest.fixture
def net_of(source, tmp_path):
    """Opens a net of the layer with other settings."""
    import caffe

    def make(phase="TRAIN", **settings):
        path = tmp_path / "net.prototxt"
        path.write_text(lesion_layer(settings.pop("source", source), **{"workers": 2, **settings}) + REST)
        return caffe.Net(str(path), getattr(caffe, phase))

    return make


def forwarded(net, passes):
    """The tops of some passes; the workers end."""
    found = []
    for _ in range(passes):
        net.forward()
        found.append([np.array(net.blobs[top].data) for top in TOPS])
    net.layers[0].close()
    return [np.concatenate(parts) for parts in zip(*found)]


@pytest.mark.parametrize(("phase", "augment"), [("TRAIN", 5), ("TRAIN", 0), ("TEST", 5)])
def test_the_tops_are_the_parts_of_the_samples_less_the_mean(net_of, source, phase, augment):
    found = forwarded(net_of(phase, augment=augment, start=1), 4)
    assert [part.shape for part in found] == [(12, 3, 64, 64), (12, 4), (12, 4), (12,), (12, 1, 64, 64), (12, 2)]
    reader = LesionSamples(str(source), 64, augment if phase == "TRAIN" else 0, phase == "TEST", planes=True)
    samples = [reader.sample(visit, 3) for visit in range(1, 13)]
    expected = [np.stack(parts).astype(np.float32) for parts in zip(*samples)]
    expected[0] -= np.float32(MEAN).reshape(3, 1, 1)
    for part, wanted in zip(found, expected):
        np.testing.assert_array_equal(part, wanted)


def test_padding_is_minus_the_mean_also_where_pixels_are_multiplied(net_of):
    data, windows, *_ = forwarded(net_of(augment=5), 10)
    for image, (x1, y1, x2, y2) in zip(data, windows.astype(int)):
        image[:, y1:y2, x1:x2] = -np.float32(MEAN).reshape(3, 1, 1)
        assert (image == -np.float32(MEAN).reshape(3, 1, 1)).all()


def test_begin_moves_to_any_visit(net_of):
    expected = forwarded(net_of(workers=0), 4)
    net = net_of(seed=7)
    net.forward()
    net.layers[0].begin(seed=3, visit=6)
    for part, wanted in zip(forwarded(net, 2), expected):
        np.testing.assert_array_equal(part, wanted[6:])


def test_what_is_wrong_reaches_a_python_program_as_an_error(net_of, tmp_path):
    import caffe

    with pytest.raises(InputError, match="LesionData: param_str has an unknown field 'sids', did you mean 'side'"):
        net_of(sids=2)
    (tmp_path / "tops.prototxt").write_text(lesion_layer("nowhere", tops=TOPS[:2]))
    with pytest.raises(InputError, match="LesionData: takes no bottom and gives 6 tops"):
        caffe.Net(str(tmp_path / "tops.prototxt"), caffe.TRAIN)


# `caffe train`


def caffe_train(folder, source, max_iter, **settings):
    (folder / "train.prototxt").write_text(lesion_layer(source, **{"workers": 2, **settings}) + REST)
    (folder / "solver.prototxt").write_text(
        f'train_net: "{folder}/train.prototxt" base_lr: 0.001 lr_policy: "fixed" max_iter: {max_iter} snapshot: 4 '
        f'snapshot_prefix: "{folder}/n" random_seed: 1 display: 1\n'
    )
    command = [CAFFE, "train", "-solver", str(folder / "solver.prototxt")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, cwd=str(folder))


def test_caffe_train_trains_and_no_worker_outlives_it(source, tmp_path):
    process = caffe_train(tmp_path, source, 10**7)
    try:
        while b"Iteration 5 " not in process.stderr.readline():
            assert process.poll() is None
        workers = workers_of(process.pid)
        assert len(workers) == 2
    finally:
        process.kill()
        process.communicate()
    assert (tmp_path / "n_iter_4.caffemodel").exists()
    assert still_there(workers) == []


def test_what_is_wrong_ends_caffe_with_one_line(tmp_path):
    records = lesion_records(SIZES[:2])
    several = {**records[1][2], "float_data": [1, 1]}
    source = write_lesion_lmdbs(tmp_path / "set", [(*records[1][:2], several), records[0]])
    log = caffe_train(tmp_path, source, 3).communicate()[1].decode()
    last = log.splitlines()[-1]
    assert last.startswith("caffe: ")
    assert "lesion_lmdb: record 00000000: 2 lesions' names for one image" in last
    assert json.dumps(str(source))[1:-1] not in last
