"""caffe_torch.pycaffe: one script, run by BVLC's pycaffe and by `caffe-torch python`, finds the same in both."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from conftest import ROOT
from torch_agreement import NEEDS_CAFFE

import caffe_torch.pycaffe as caffe
from caffe_files.errors import InputError
from caffe_torch.command import main
from caffe_torch.errors import NetError

pytestmark = pytest.mark.torch
SCRIPT = ROOT / "tests/helpers/pycaffe_script.py"
FC = """layer { name: 'in' type: 'Input' top: 'x' input_param { shape { dim: 1 dim: 2 } } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'x' top: 'y' inner_product_param { num_output: 2 } }"""


def found_by(command, folder, *more):
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "GLOG_minloglevel": "2"}
    done = subprocess.run(
        [*command, str(SCRIPT), str(folder), *map(str, more)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(str(folder / "found.npz")) as found:
        return dict(found)


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.prototxt").write_text(FC)
    return caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)


@NEEDS_CAFFE
def test_a_script_finds_the_same_as_with_bvlcs_pycaffe(tmp_path):
    ours = found_by([sys.executable, "-m", "caffe_torch.command", "python"], tmp_path / "torch")
    theirs = found_by([str(PYTHON)], tmp_path / "caffe", tmp_path / "torch/weights.h5")
    given = {name: theirs.pop(name) for name in list(theirs) if name.startswith("given:")}
    assert len(given) == 13 and all(np.array_equal(given[name], ours[name[6:]]) for name in given)
    net = caffe.Net(str(tmp_path / "caffe/net.prototxt"), caffe.TRAIN, weights=str(tmp_path / "caffe/weights.h5"))
    for name, blobs in net.params.items():
        for number, blob in enumerate(blobs):
            assert np.array_equal(blob.data, theirs[f"hdf5:{name}:{number}"]), name
    assert set(ours) == set(theirs) and len(ours) > 600
    for name, expected in theirs.items():
        if expected.dtype.kind == "U":
            assert ours[name].tolist() == expected.tolist(), name
            continue
        assert ours[name].shape == expected.shape, name
        scale = float(np.abs(expected).max(initial=0))
        assert np.allclose(ours[name], expected, rtol=1e-4, atol=1e-6 + 1e-5 * scale), name


MEMORY = """layer { name: 'data' type: 'MemoryData' top: 'data' top: 'label'
  memory_data_param { batch_size: 2 channels: 3 height: 2 width: 1 } }
layer { name: 'twice' type: 'Power' bottom: 'data' top: 'twice' power_param { scale: 2 } }"""
# on both pycaffes: batches come round, from the first on where arrays are given anew
BY_MEMORY = """
import sys
import caffe, numpy as np
net, seen = caffe.Net(sys.argv[1], caffe.TEST), []
random = np.random.RandomState(1)
for count, axes in ((6, 1), (2, 4)):
    data = random.rand(count, 3, 2, 1).astype(np.float32)
    labels = np.arange(count, dtype=np.float32)
    net.set_input_arrays(data, labels if axes == 1 else labels.reshape(-1, 1, 1, 1))
    for _ in range(4):
        net.forward()
        seen.append(np.concatenate([net.blobs[name].data.ravel() for name in ("data", "label", "twice")]))
said = []
for wrong in (data[:, :2], data[:1], data.astype(np.float64), data[:, :, :, 0], data[::-1]):
    try:
        net.set_input_arrays(wrong, labels[: len(wrong)])
    except Exception:
        said.append(1)
seen.append(np.array([len(said), len(net.inputs), *net.blobs["label"].data.shape]))
np.savez(sys.argv[2], *seen)
"""


@NEEDS_CAFFE
def test_arrays_in_memory_come_batch_by_batch_as_with_bvlcs_pycaffe(tmp_path):
    (tmp_path / "net.prototxt").write_text(MEMORY)
    (tmp_path / "script.py").write_text(BY_MEMORY)
    environment, found = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "GLOG_minloglevel": "2"}, []
    for number, command in enumerate(([sys.executable, "-m", "caffe_torch.command", "python"], [str(PYTHON)])):
        words = [str(tmp_path / name) for name in ("script.py", "net.prototxt", f"{number}.npz")]
        subprocess.run([*command, *words], env=environment, check=True)
        with np.load(tmp_path / f"{number}.npz") as arrays:
            found.append([arrays[key] for key in arrays.files])
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(*found))
    assert found[0][-1].tolist() == [5, 0, 2, 1, 1, 1]


def test_what_is_wrong_with_arrays_in_memory_is_said(net, tmp_path):
    zeros = np.zeros((2, 3, 2, 1), np.float32)
    with pytest.raises(NetError, match="the first layer is not of type MemoryData"):
        net.set_input_arrays(zeros, zeros[:, 0, 0, 0])
    (tmp_path / "memory.prototxt").write_text(MEMORY)
    of_memory = caffe.Net(str(tmp_path / "memory.prototxt"), caffe.TEST)
    with pytest.raises(NetError, match=r"layer 'data' .*has no arrays; give them by set_input_arrays"):
        of_memory.forward()
    with pytest.raises(NetError, match=r"data of \(1, 3, 2, 1\) and 1 labels, where it takes a multiple of"):
        of_memory.set_input_arrays(zeros[:1], np.zeros(1, np.float32))
    (tmp_path / "memory.prototxt").write_text(MEMORY.replace("width: 1", ""))
    with pytest.raises(NetError, match="give batch_size, channels, height and width"):
        caffe.Net(str(tmp_path / "memory.prototxt"), caffe.TEST)


def test_an_array_of_a_blob_is_the_nets_own_memory(net):
    weight, y = net.params["fc"][0].data, net.blobs["y"].data
    weight[...] = [[1, 2], [3, 4]]
    net.blobs["x"].data[...] = 1
    net.forward()
    assert y.tolist() == [[3, 7]]
    assert np.shares_memory(net.layers[1].blobs[0].data, weight)


def test_what_is_not_made_is_no_attribute(net):
    assert not hasattr(net, "detect_selective_search") and not hasattr(caffe, "NCCL")
    with pytest.raises(AttributeError):
        net.blobs["x"].data = np.zeros((1, 2))


def test_a_gradient_needs_a_forward_pass_before_it(tmp_path):
    (tmp_path / "net.prototxt").write_text("force_backward: true " + FC)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    with pytest.raises(NetError, match="'fc' was not computed forward before"):
        net.backward()


def test_shapes_that_the_weights_do_not_fit_are_refused(net):
    net.blobs["x"].reshape(1, 3)
    with pytest.raises(NetError, match=r"'fc'.*do not fit"):
        net.forward()


def test_weights_of_other_shapes_are_not_shared(net, tmp_path):
    (tmp_path / "other.prototxt").write_text(FC.replace("num_output: 2", "num_output: 3"))
    with pytest.raises(NetError, match="'fc' have other shapes"):
        net.share_with(caffe.Net(str(tmp_path / "other.prototxt"), caffe.TEST))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused():
    for call in (caffe.set_mode_gpu, lambda: caffe.set_device(0)):
        with pytest.raises(NetError, match="set_mode_cpu"):
            call()


def test_a_script_that_is_not_there_is_a_line(tmp_path, capsys):
    assert main(["python", str(tmp_path / "none.py")]) == 1
    assert "none.py: no such script" in capsys.readouterr().err
    assert main(["python"]) == 1
    assert capsys.readouterr().err == "caffe-torch: python: names no script; give the path of one, and its arguments\n"


def test_a_script_has_its_arguments_and_its_folder_on_the_path(tmp_path):
    (tmp_path / "beside.py").write_text("import caffe\nNAME = caffe.__name__\n")
    (tmp_path / "user.py").write_text("import sys, beside\nprint(beside.NAME, sys.argv[1:], __name__)\nsys.exit(3)\n")
    done = subprocess.run(
        [sys.executable, "-m", "caffe_torch.command", "python", str(tmp_path / "user.py"), "-x", "--yes"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (3, "caffe_torch.pycaffe ['-x', '--yes'] __main__\n")


FAULTS = {
    "an error in handling another": """import caffe, beside

def half(n):
    return n / beside.NOTHING

try:
    half(1)
except ZeroDivisionError:
    raise ValueError("no half")
""",
    "what is no Python": "import caffe\nx = (1,\n",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_script_does_not_catch_is_shown_as_python_shows_it(tmp_path, fault):
    """Python itself finds a module of the name caffe beside the script."""
    (tmp_path / "caffe.py").write_text("")
    (tmp_path / "beside.py").write_text("NOTHING = 0\n")
    (tmp_path / "user.py").write_text(FAULTS[fault])
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    ours, pythons = (
        subprocess.run(
            [sys.executable, *words, str(tmp_path / "user.py")], env=environment, capture_output=True, text=True
        )
        for words in (["-m", "caffe_torch.command", "python"], [])
    )
    assert (ours.returncode, ours.stderr) == (1, pythons.stderr)


def test_a_solver_with_tests_that_are_never_due_is_refused(net, tmp_path):
    text = f"net: '{tmp_path}/net.prototxt' base_lr: 1 lr_policy: 'fixed' test_iter: 1"
    (tmp_path / "solver.prototxt").write_text(text)
    with pytest.raises(NetError, match="test_interval is not"):
        caffe.get_solver(str(tmp_path / "solver.prototxt"))


def test_image_files_become_numbers_from_0_to_1(tmp_path):
    pixels = np.random.RandomState(1).randint(0, 256, (4, 5, 4)).astype(np.uint8)
    red_first = pixels[:, :, 2::-1].astype(np.float32) / 255
    for name, stored in (("alpha", pixels), ("colour", pixels[:, :, :3]), ("grey", pixels[:, :, 0])):
        cv2.imwrite(str(tmp_path / f"{name}.png"), stored)
    for name in ("alpha", "colour"):
        assert np.array_equal(caffe.io.load_image(tmp_path / f"{name}.png"), red_first)
        light = caffe.io.load_image(tmp_path / f"{name}.png", color=False)
        assert np.allclose(light[:, :, 0], red_first @ [0.2125, 0.7154, 0.0721])
    grey = pixels[:, :, 0].astype(np.float32) / 255
    assert np.array_equal(caffe.io.load_image(tmp_path / "grey.png"), np.stack([grey] * 3, 2))
    assert np.array_equal(caffe.io.load_image(tmp_path / "grey.png", color=False), grey[:, :, None])
    with pytest.raises(InputError, match=r"none\.png: no image"):
        caffe.io.load_image(tmp_path / "none.png")


def test_only_linear_resizing_is_there():
    with pytest.raises(ValueError, match="interp_order 3"):
        caffe.io.resize_image(np.zeros((2, 2, 3)), (3, 3), interp_order=3)
