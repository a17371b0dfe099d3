"""Weights in HDF5: what a file may have, and what is said of one that does not fit. That BVLC Caffe reads and writes
the same is in test_torch_pycaffe.py."""

from __future__ import annotations

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
h5py = pytest.importorskip("h5py", reason="h5py is not installed here: pip install h5py")

import caffe_torch.pycaffe as caffe
from caffe_torch.errors import NetError
from caffe_torch.inference import Inference

pytestmark = pytest.mark.torch
NET = """layer { name: 'in' type: 'Input' top: 'x' input_param { shape { dim: 1 dim: 2 } } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'x' top: 'y' param { name: 'w' } inner_product_param { num_output: 2 } }
layer { name: 'again' type: 'InnerProduct' bottom: 'y' top: 'z' param { name: 'w' }
  inner_product_param { num_output: 2 } }"""


@pytest.fixture
def prototxt(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    return str(tmp_path / "net.prototxt")


@pytest.fixture
def weights(prototxt, tmp_path):
    net = caffe.Net(prototxt, caffe.TEST)
    for number, blob in enumerate((*net.params["fc"], net.params["again"][1])):
        blob.data[...] = number + 1
    net.save_hdf5(str(tmp_path / "weights.h5"))
    return tmp_path / "weights.h5"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.pop("fc/1"), "layer 'fc' has no blob 1"),
        (lambda data: data.pop("again/1"), "layer 'again' has no blob 1"),
        (lambda data: data.create_dataset("fc/2", data=[1.0]), "layer 'fc' has 3 blobs where the net has 2"),
        (lambda data: data.move("fc/1", "fc/b"), "layer 'fc' has no blob 1"),
        (lambda data: replace(data, "fc/1", np.ones(3)), r"'fc', blob 1 is float64 of \(3,\); the net needs \(2,\)"),
        (lambda data: replace(data, "fc/1", np.array([b"a", b"b"])), r"layer 'fc', blob 1 is \|S1 of \(2,\)"),
        (lambda data: replace(data, "fc", np.ones(2)), "can be read"),
        (lambda data: data.file.pop("data"), "can be read"),
    ],
)
def test_what_does_not_fit_fills_nothing_and_is_said(prototxt, weights, change, said):
    with h5py.File(str(weights), "r+") as file:
        change(file["data"])
    net = caffe.Net(prototxt, caffe.TEST)
    before = [blob.data.copy() for blobs in net.params.values() for blob in blobs]
    with pytest.raises(NetError, match=said):
        net.load_hdf5(str(weights))
    after = [blob.data for blobs in net.params.values() for blob in blobs]
    assert all(np.array_equal(old, new) for old, new in zip(before, after))


def replace(data, name, values):
    del data[name]
    data[name] = values


def test_a_file_that_is_cut_short_or_none_at_all_is_a_line(prototxt, weights):
    weights.write_bytes(weights.read_bytes()[:100])
    for path in (str(weights), str(weights.with_name("none.h5"))):
        with pytest.raises(NetError, match=r"no weights in HDF5 that can be read"):
            caffe.Net(prototxt, caffe.TEST).load_hdf5(path)


def test_a_net_that_scores_takes_such_a_file_for_a_caffemodel(prototxt, weights):
    (found,) = Inference(prototxt, weights).forward({"x": np.float32([[1, 1]])}, ["z"])
    assert found.tolist() == [[4 * 1 + 4 * 1 + 3] * 2]  # (1 + 1 + 2) twice, plus 3


@pytest.mark.parametrize("names", [("a/b", "c"), ("same", "same")])
def test_names_that_the_format_has_no_place_for_are_refused(tmp_path, names):
    text = NET.replace("'fc'", repr(names[0])).replace("'again'", repr(names[1]))
    (tmp_path / "net.prototxt").write_text(text)
    with pytest.raises(NetError, match="HDF5 has no place for its name"):
        caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST).save_hdf5(str(tmp_path / "weights.h5"))
    assert not (tmp_path / "weights.h5").exists()


def test_without_the_library_the_line_names_it(prototxt, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(NetError, match=r"weights.h5: HDF5 needs h5py.*pip install h5py"):
        caffe.Net(prototxt, caffe.TEST, weights=str(weights))
