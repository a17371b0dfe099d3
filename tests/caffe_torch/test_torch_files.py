"""caffe_torch's files: what BVLC Caffe wrote, today's and older, is read; what we write, Caffe reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from conftest import ROOT
from torch_agreement import NEEDS_CAFFE

from caffe_files.blobs import blob_values
from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel, read_net, read_solver, read_solverstate
from caffe_files.schema import caffe_messages
from caffe_torch.layers import LAYERS
from caffe_torch.model_files import copy_weights, write_caffemodel
from caffe_torch.net import Net
from caffe_torch.solver import Solver

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
QUIET = {**os.environ, "GLOG_minloglevel": "2", "PYTHONPATH": ""}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Files in the form of before 2014, and what Caffe makes of them."""
    folder = tmp_path_factory.mktemp("old")
    np.save(str(folder / "bottom.npy"), np.random.RandomState(1).standard_normal((2, 3, 9, 9)).astype(np.float32))
    subprocess.run([str(PYTHON), str(ROOT / "tests/helpers/old_caffe_files.py"), str(folder)], check=True, env=QUIET)
    return folder


@pytest.mark.parametrize("name", ["old.caffemodel", "new.caffemodel"])
def test_a_net_and_weights_of_before_2014_give_caffes_numbers(old, name):
    assert b"\nlayers {" in (old / "old.prototxt").read_bytes()
    net = Net(read_net(old / "old.prototxt", strict=True), "TEST")
    assert copy_weights(net, old / name) == []
    top = net({"data": torch.from_numpy(np.load(str(old / "bottom.npy")))})["prob"]
    assert np.allclose(top.detach().numpy(), np.load(str(old / "top.npy")), rtol=1e-5)


def test_an_old_net_has_the_settings_that_caffe_gives_it(old):
    """Caffe's own caffemodel of it holds today's layers, with its phase and its Splits."""
    ours = {layer.name: layer for layer in read_net(old / "old.prototxt", strict=True).layer}
    theirs = {layer.name: layer for layer in read_caffemodel(old / "new.caffemodel").layer}
    assert set(ours) - {"left out"} == {name for name, layer in theirs.items() if layer.type not in ("Input", "Split")}
    for name in set(ours) - {"left out"}:
        for field in ("blobs", "phase", "bottom"):  # bottoms have other names after a Split
            theirs[name].ClearField(field)
        ours[name].ClearField("bottom")
        assert ours[name] == theirs[name], name


ALL = """
layer { name: 'input' type: 'Input' top: 'in' input_param { shape { dim: 2 dim: 4 dim: 6 dim: 6 } } }
layer { name: 'dummy' type: 'DummyData' top: 'label' top: 'more' dummy_data_param { shape { dim: 2 dim: 1 }
  shape { dim: 2 dim: 4 dim: 6 dim: 6 } data_filler { value: 1 } data_filler { type: 'gaussian' std: 2 } } }
layer { name: 'conv' type: 'Convolution' bottom: 'in' top: 'conv' param { name: 'w' lr_mult: 2 }
  convolution_param { num_output: 4 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 group: 2 dilation: 1 engine: CAFFE
  weight_filler { type: 'xavier' variance_norm: AVERAGE } } }
layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'conv' batch_norm_param { eps: 0.1 } }
layer { name: 'scale' type: 'Scale' bottom: 'conv' top: 'conv' scale_param { bias_term: true } }
layer { name: 'bias' type: 'Bias' bottom: 'conv' top: 'conv' bias_param { axis: 1 num_axes: 2 filler { value: 1 } } }
layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' relu_param { negative_slope: 0.5 } }
layer { name: 'lrn' type: 'LRN' bottom: 'conv' top: 'lrn' lrn_param { norm_region: WITHIN_CHANNEL } }
layer { name: 'up' type: 'Deconvolution' bottom: 'lrn' top: 'up' convolution_param { num_output: 4 kernel_size: 2
  stride: 2 } }
layer { name: 'crop' type: 'Crop' bottom: 'up' bottom: 'more' top: 'crop' crop_param { offset: 1 offset: 2 } }
layer { name: 'sum' type: 'Eltwise' bottom: 'crop' bottom: 'more' top: 'sum' eltwise_param { coeff: 1 coeff: -1 } }
layer { name: 'split' type: 'Split' bottom: 'sum' top: 'one' top: 'two' }
layer { name: 'concat' type: 'Concat' bottom: 'one' bottom: 'two' top: 'concat' concat_param { axis: 1 } }
layer { name: 'slice' type: 'Slice' bottom: 'concat' top: 'three' top: 'four' slice_param { slice_point: 3 } }
layer { name: 'silence' type: 'Silence' bottom: 'four' }
layer { name: 'abs' type: 'AbsVal' bottom: 'three' top: 'abs' }
layer { name: 'power' type: 'Power' bottom: 'abs' top: 'power' power_param { power: 2 scale: 0.5 shift: 1 } }
layer { name: 'pool' type: 'Pooling' bottom: 'power' top: 'pool' pooling_param { pool: AVE kernel_size: 3
  round_mode: FLOOR } }
layer { name: 'tile' type: 'Tile' bottom: 'pool' top: 'tile' tile_param { axis: 2 tiles: 3 } }
layer { name: 'reshape' type: 'Reshape' bottom: 'tile' top: 'reshape' reshape_param { shape { dim: 0 dim: -1 } } }
layer { name: 'flat' type: 'Flatten' bottom: 'reshape' top: 'flat' flatten_param { axis: 1 } }
layer { name: 'drop' type: 'Dropout' bottom: 'flat' top: 'flat' dropout_param { dropout_ratio: 0.4 } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'flat' top: 'fc' inner_product_param { num_output: 3
  weight_filler { type: 'msra' } } propagate_down: true }
layer { name: 'sigmoid' type: 'Sigmoid' bottom: 'fc' top: 'sigmoid' }
layer { name: 'softmax' type: 'Softmax' bottom: 'fc' top: 'softmax' softmax_param { axis: -1 } }
layer { name: 'prelu' type: 'PReLU' bottom: 'up' top: 'prelu' prelu_param { filler { value: 0.3 } } }
layer { name: 'bnll' type: 'BNLL' bottom: 'prelu' top: 'bnll' }
layer { name: 'log' type: 'Log' bottom: 'bnll' top: 'log' log_param { base: 2 scale: 0.5 shift: 0.1 } }
layer { name: 'elu' type: 'ELU' bottom: 'log' top: 'elu' elu_param { alpha: 0.5 } }
layer { name: 'exp' type: 'Exp' bottom: 'elu' top: 'exp' exp_param { base: 2 scale: 0.5 shift: 0.1 } }
layer { name: 'tanh' type: 'TanH' bottom: 'exp' top: 'tanh' }
layer { name: 'mvn' type: 'MVN' bottom: 'tanh' top: 'mvn' mvn_param { across_channels: true eps: 0.1 } }
layer { name: 'spp' type: 'SPP' bottom: 'mvn' top: 'spp' spp_param { pyramid_height: 2 pool: AVE } }
layer { name: 'sums' type: 'Reduction' bottom: 'spp' top: 'sums' reduction_param { operation: MEAN axis: 1 coeff: 2 } }
layer { name: 'quiet' type: 'Silence' bottom: 'sums' }
layer { name: 'best' type: 'ArgMax' bottom: 'softmax' top: 'best' argmax_param { axis: 1 out_max_val: true } }
layer { name: 'above' type: 'Threshold' bottom: 'best' top: 'above' threshold_param { threshold: 0.3 } }
layer { name: 'words' type: 'Embed' bottom: 'label' top: 'words' embed_param { num_output: 3 input_dim: 4 } }
layer { name: 'euclid' type: 'EuclideanLoss' bottom: 'fc' bottom: 'softmax' top: 'euclid' propagate_down: true
  propagate_down: false }
layer { name: 'hinge' type: 'HingeLoss' bottom: 'fc' bottom: 'label' top: 'hinge' hinge_loss_param { norm: L2 } }
layer { name: 'multi' type: 'MultinomialLogisticLoss' bottom: 'softmax' bottom: 'label' top: 'multi' }
layer { name: 'pair' type: 'ContrastiveLoss' bottom: 'fc' bottom: 'softmax' bottom: 'label' top: 'pair'
  contrastive_loss_param { margin: 2 legacy_version: true } }
layer { name: 'matrix' type: 'DummyData' top: 'matrix' dummy_data_param { shape { dim: 3 dim: 3 } } }
layer { name: 'gain' type: 'InfogainLoss' bottom: 'fc' bottom: 'label' bottom: 'matrix' top: 'gain'
  infogain_loss_param { axis: 1 } }
layer { name: 'sequence' type: 'DummyData' top: 'sequence' top: 'on' dummy_data_param {
  shape { dim: 3 dim: 2 dim: 4 } shape { dim: 3 dim: 2 } } }
layer { name: 'lstm' type: 'LSTM' bottom: 'sequence' bottom: 'on' bottom: 'fc' top: 'lstm'
  recurrent_param { num_output: 3 weight_filler { type: 'gaussian' std: 0.1 } } }
layer { name: 'rnn' type: 'RNN' bottom: 'lstm' bottom: 'on' top: 'rnn' recurrent_param { num_output: 2 } }
layer { name: 'one loss' type: 'SoftmaxWithLoss' bottom: 'fc' bottom: 'label' top: 'one loss' loss_weight: 0.3
  loss_param { ignore_label: 9 normalization: FULL } }
layer { name: 'other loss' type: 'SigmoidCrossEntropyLoss' bottom: 'fc' bottom: 'softmax' top: 'other loss'
  propagate_down: true propagate_down: false }
layer { name: 'accuracy' type: 'Accuracy' bottom: 'fc' bottom: 'label' top: 'accuracy' accuracy_param { top_k: 2 } }
"""


def test_what_caffe_writes_of_every_layer_is_read_whole_and_back_in_caffe(tmp_path):
    types = set(re.findall(r" type: '([A-Z]\w+)'", ALL))
    assert types >= set(LAYERS) - {"Data", "HDF5Data", "ImageData", "MemoryData", "Python"}  # which read; has no blobs
    (tmp_path / "net.prototxt").write_text(ALL)
    first, second, third = (tmp_path / f"{name}.caffemodel" for name in ("first", "second", "third"))
    program = (
        "import sys, caffe; net = caffe.Net(sys.argv[1], caffe.TRAIN); "
        "len(sys.argv) > 3 and net.copy_from(sys.argv[3]); net.save(sys.argv[2])"
    )
    command = [str(PYTHON), "-c", program, str(tmp_path / "net.prototxt")]
    subprocess.run([*command, str(first)], check=True, env=QUIET)
    net = Net(read_net(tmp_path / "net.prototxt", strict=True), "TRAIN")
    assert copy_weights(net, first) == []
    write_caffemodel(net, second)
    subprocess.run([*command, str(third), str(second)], check=True, env=QUIET)
    one, two, three = (
        {layer.name: layer for layer in read_caffemodel(path).layer if layer.type != "Split"}
        for path in (first, second, third)
    )
    assert sum(len(layer.blobs) for layer in one.values()) == 24
    for name, layer in one.items():
        for blob, again, back in zip(layer.blobs, two[name].blobs, three[name].blobs):
            assert blob.shape == again.shape == back.shape
            assert np.array_equal(blob_values(blob), blob_values(again))
            assert np.array_equal(blob_values(blob), blob_values(back))


@pytest.fixture
def solver(tmp_path, monkeypatch):
    """A small solver with relative paths, whose working folder is tmp_path/work."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "net.prototxt").write_text(
        "layer { name: 'data' type: 'DummyData' top: 'a' top: 'b' dummy_data_param { shape { dim: 2 dim: 3 } "
        "data_filler { value: 1 } } }\n"
        "layer { name: 'fc' type: 'InnerProduct' bottom: 'a' top: 'fc' inner_product_param { num_output: 3 "
        "weight_filler { type: 'gaussian' } } }\n"
        "layer { name: 'loss' type: 'SigmoidCrossEntropyLoss' bottom: 'fc' bottom: 'b' top: 'loss' }\n"
    )
    (folder / "solver.prototxt").write_text(
        "train_net: 'net.prototxt' base_lr: 0.1 lr_policy: 'multistep' gamma: 0.5 stepvalue: 2 stepvalue: 3 "
        "momentum: 0.9 max_iter: 8 display: 1 snapshot_prefix: 's' solver_mode: CPU snapshot_diff: true"
    )

    def ours():
        param = read_solver(folder / "solver.prototxt")
        return Solver(param, Net(read_net(folder / "net.prototxt", strict=True), "TRAIN"))

    def theirs(state):
        command = [str(PYTHON.with_name("caffe")), "train", "-solver", "solver.prototxt", "-snapshot", state]
        return subprocess.run(command, capture_output=True, text=True, env={**QUIET, "GLOG_minloglevel": "0"})

    return SimpleNamespace(folder=folder, ours=ours, theirs=theirs)


def test_a_snapshot_with_a_relative_path_goes_on_in_both(solver):
    ours = solver.ours()
    for _ in range(4):
        ours.step()
    _, state = ours.snapshot("s")
    found = read_solverstate(state)
    assert (found.learned_net, found.iter, found.current_step) == ("s_iter_4.caffemodel", 4, 2)
    done = solver.theirs(state.name)
    assert done.returncode == 0, done.stderr[-1000:]
    assert "Iteration 4, lr = 0.025" in done.stderr
    for _ in range(4):
        ours.step()
    theirs = solver.ours()
    theirs.restore(solver.folder / "s_iter_8.solverstate")  # with the gradients that snapshot_diff adds
    assert theirs.iteration == 8
    for one, other in zip((*ours.parameters, *ours.history), (*theirs.parameters, *theirs.history)):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_snapshot_in_hdf5_goes_on_in_both(solver):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here: pip install h5py")
    with (solver.folder / "solver.prototxt").open("a") as file:
        file.write(" snapshot_format: HDF5")
    ours = solver.ours()
    for _ in range(4):
        ours.step()
    files = ours.snapshot("s")
    assert [path.name for path in files] == ["s_iter_4.caffemodel.h5", "s_iter_4.solverstate.h5"]
    done = solver.theirs(files[1].name)
    assert done.returncode == 0, done.stderr[-1000:]
    assert "Iteration 4, lr = 0.025" in done.stderr
    for _ in range(4):
        ours.step()
    theirs = solver.ours()
    theirs.restore(solver.folder / "s_iter_8.solverstate.h5")
    assert (theirs.iteration, theirs.current_step) == (8, 2)
    for one, other in zip((*ours.parameters, *ours.history), (*theirs.parameters, *theirs.history)):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
    parts = []
    for path in (ours.snapshot("ours")[1], solver.folder / "s_iter_8.solverstate.h5"):  # to the last type and shape
        with h5py.File(path, "r") as file:
            found = {name: (each.dtype.kind, each.shape) for name, each in file.items() if name != "history"}
            parts.append([found, {name: each.shape for name, each in file["history"].items()}])
    assert parts[0] == parts[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.pop("iter"), "no solverstate in HDF5 that can be read"),
        (lambda file: file["iter"].write_direct(np.array([-1], np.int32)), "iteration -1, step 2; use another"),
        (lambda file: file.pop("history/1"), "a history of 1 blobs where this solver's has 2"),
        (lambda file: file.move("history/1", "history/2"), "no solverstate in HDF5 that can be read"),
        (lambda file: file.move("history/0", "0") or file["history"].create_dataset("0", data=[1.0]), "history 0 is"),
        (lambda file: file.move("learned_net", "l") or file.create_dataset("learned_net", data=3), "can be read"),
    ],
)
def test_a_state_in_hdf5_that_does_not_fit_changes_nothing(solver, change, words):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here: pip install h5py")
    (solver.folder / "solver.prototxt").write_text(
        (solver.folder / "solver.prototxt").read_text() + " snapshot_format: HDF5"
    )
    ours = solver.ours()
    for _ in range(4):
        ours.step()
    _, state = ours.snapshot("s")
    with h5py.File(state, "r+") as file:
        change(file)
    again = solver.ours()
    with pytest.raises(InputError, match=words) as error:
        again.restore(state)
    assert "\n" not in str(error.value)
    assert not any(each.any() for each in again.history)


def test_a_moved_folders_snapshot_is_found_beside_its_state(solver, tmp_path, monkeypatch):
    """Caffe gives up there."""
    ours = solver.ours()
    ours.step()
    _, state = ours.snapshot(str(solver.folder / "s"))
    moved = solver.folder.rename(tmp_path / "moved")
    monkeypatch.chdir(moved)
    done = solver.theirs(state.name)
    assert done.returncode != 0
    solver.folder = moved
    again = Solver(read_solver(moved / "solver.prototxt"), Net(read_net(moved / "net.prototxt"), "TRAIN"))
    again.restore(moved / state.name)
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters, again.parameters))
    (moved / "s_iter_1.caffemodel").unlink()
    with pytest.raises(InputError, match=r"neither '.*s_iter_1\.caffemodel' nor beside it"):
        again.restore(moved / state.name)


def test_a_file_that_does_not_fit_changes_nothing(solver):
    """The first layer fits; the second's blob has too few numbers."""
    ours = solver.ours()
    before = [each.clone() for each in ours.parameters]
    model = caffe_messages().NetParameter()
    layer = model.layer.add(name="fc")
    layer.blobs.add(data=[1] * 9).shape.dim.extend([3, 3])
    layer.blobs.add(data=[1]).shape.dim.extend([3])
    (solver.folder / "bad.caffemodel").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"layer 'fc', blob 1 has the shape \[3\] with 1 numbers"):
        ours.copy_from(solver.folder / "bad.caffemodel")
    del layer.blobs[:]
    (solver.folder / "bad.caffemodel").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="layer 'fc' has 0 blobs where the net has 2"):  # where Caffe gives up too
        ours.copy_from(solver.folder / "bad.caffemodel")
    assert all(torch.equal(one, other) for one, other in zip(before, ours.parameters))


def test_one_reading_has_one_verdict(solver):
    """A published caffemodel with settings of layers that came later: Caffe, -weights and check_weights.py take it."""
    model = caffe_messages().NetParameter()
    model.layer.add(name="data").memory_data_param.MergeFromString(b"\x80\xf1\x04\x01")  # field 10000
    layer = model.layer.add(name="fc", type="InnerProduct")
    for shape in ([3, 3], [3]):
        layer.blobs.add(data=[0.5] * int(np.prod(shape))).shape.dim.extend(shape)
    layer.inner_product_param.MergeFromString(b"\xd8\x3d\x05")
    path = solver.folder / "published.caffemodel"
    path.write_bytes(model.SerializeToString())
    program = "import caffe; n = caffe.Net('net.prototxt', caffe.TEST); n.copy_from('published.caffemodel'); "
    program += "print(n.params['fc'][0].data.tolist())"
    done = subprocess.run([str(PYTHON), "-c", program], capture_output=True, text=True, check=True, env=QUIET)
    told = []
    ours = solver.ours()
    assert ours.copy_from(path, told.append) == []
    assert done.stdout.strip() == str(ours.net.layer("fc").blob0.tolist())
    assert len(told) == 1
    assert "layer 'data': memory_data_param: field 10000, and 1 more, is not known here" in told[0]
    checked = [sys.executable, str(ROOT / "tools/check_weights.py"), "--engine", "torch", "--net", "net.prototxt"]
    done = subprocess.run([*checked, "--weights", path.name], capture_output=True, text=True)
    assert "note: published.caffemodel: layer 'data'" in done.stdout
    assert "published.caffemodel: fits net.prototxt" in done.stdout
    command = [sys.executable, "-m", "caffe_torch.command", "test", "-model", "net.prototxt", "-iterations", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run([*command, "-weights", path.name], capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert "net.cpp:1] published.caffemodel: layer 'data'" in done.stderr
