"""A converted ResNet-50 answers in BVLC Caffe as in PyTorch; checkpoints in every form; none that runs code."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import subprocess
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from conftest import ROOT
from papers_nets import options
from safetensors.torch import save_file
from torch_resnet import random_resnet50

from caffe_files.errors import InputError
from caffe_files.prototxt import message_text
from skinmtl.nets.multi_task import make_net
from skinmtl.nets.net_files import net_files, write_net_files
from skinmtl.pretrained import checkpoint
from skinmtl.pretrained.checkpoint import read_checkpoint
from skinmtl.pretrained.safetensors_file import read_safetensors

pytestmark = pytest.mark.torch
needs_caffe = pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.53, 116.28, 123.675)
# loads the caffemodel as Caffe itself does, by name, and gives an image of 0 to 255, B, G, R, less the mean
REFERENCE = """
import sys
import caffe, numpy
net = caffe.Net(sys.argv[1], caffe.TEST, weights=sys.argv[2])
net.blobs["data"].data[...] = numpy.load(sys.argv[3])
net.forward()
numpy.savez(sys.argv[4], pool5=net.blobs["pool5"].data, fc1000=net.blobs["fc1000"].data)
"""
CLASSIFIER = """
layer { name: "fc1000" type: "InnerProduct" bottom: "pool5" top: "fc1000" inner_product_param { num_output: 1000 } }
"""


@pytest.fixture(autouse=True)
def no_trial(monkeypatch):
    """The process in which a file is tried first takes seconds; test_hostile_checkpoint.py has its tests."""
    monkeypatch.setattr(checkpoint, "try_in_child", lambda path: None)


def torch_answers(model, image, mean=MEAN, std=STD):
    """Of an (H, W, 3) uint8 RGB image, as torchvision's transforms prepare it: pool5 (2048) and logits (1000)."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (mean, std))
    with torch.no_grad():
        return [values[0].numpy() for values in model((pixels - mean) / std)]


def caffe_answers(folder, caffemodel, image, mean=CAFFE_MEAN, **settings):
    """The same of BVLC Caffe with a net of make_prototxt.py and the converted weights."""
    net = message_text(make_net(options(crop=image.shape[0], **settings), "deploy")) + CLASSIFIER
    (folder / "net.prototxt").write_text(net)
    pixels = image[:, :, ::-1].astype(np.float32) - np.array(mean, np.float32)
    np.save(str(folder / "image.npy"), pixels.transpose(2, 0, 1))
    files = [folder / "net.prototxt", caffemodel, folder / "image.npy", folder / "out.npz"]
    command = [str(PYTHON), "-c", REFERENCE, *map(str, files)]
    done = subprocess.run(command, env=dict(os.environ, GLOG_minloglevel="2", PYTHONPATH=""), stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(str(folder / "out.npz")) as found:
        return [found["pool5"].ravel(), found["fc1000"].ravel()]


def image_of(side):
    return np.random.RandomState(3).randint(0, 256, (side, side, 3)).astype(np.uint8)


def difference(found, expected):
    return max(np.abs(one - other).max() / np.abs(other).max() for one, other in zip(found, expected))


@pytest.fixture(scope="module")
def v15(tmp_path_factory):
    """torchvision's form, strides on the 3x3, as .safetensors."""
    model = random_resnet50("3x3")
    path = tmp_path_factory.mktemp("v15") / "resnet50.safetensors"
    save_file(model.state_dict(), str(path))
    return model, path


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    folder = tmp_path_factory.mktemp("net")
    settings = options(stride_on="3x3", pool1="padded", mean=CAFFE_MEAN)
    write_net_files(net_files(settings, "a test"), folder)
    return folder


@pytest.fixture(scope="module")
def converted(v15, net, tool, tmp_path_factory):
    out = tmp_path_factory.mktemp("converted") / "resnet50.caffemodel"
    done = tool("convert_weights.py", "--checkpoint", v15[1], "--out", out, "--net", net)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: 160 layers of {v15[1]}\nfits {net}\n"
    return out


@needs_caffe
def test_a_resnet50_of_torchvisions_form_answers_in_caffe_as_in_pytorch(v15, converted, tmp_path):
    image = image_of(224)
    found = caffe_answers(tmp_path, converted, image, stride_on="3x3", pool1="padded")
    assert difference(found, torch_answers(v15[0], image)) < 1e-4


@needs_caffe
def test_the_published_net_takes_the_same_weights_without_a_word_and_answers_wrongly(v15, converted, tmp_path):
    image = image_of(97)
    assert difference(caffe_answers(tmp_path, converted, image), torch_answers(v15[0], image)) > 0.01


@needs_caffe
def test_a_model_with_strides_on_the_1x1_and_other_pixels_answers_as_in_pytorch_too(tool, tmp_path):
    model, image = random_resnet50("1x1", seed=2), image_of(97)
    torch.save({"epoch": 3, "model": model.state_dict()}, str(tmp_path / "v1.pth"))
    mean, std = (0.5, 0.4, 0.3), (0.5, 0.3, 0.1)
    flags = ["--stride-on", "1x1", "--rgb-mean", *mean, "--rgb-std", *std]
    done = tool("convert_weights.py", "--checkpoint", tmp_path / "v1.pth", "--out", tmp_path / "v1.caffemodel", *flags)
    assert done.returncode == 0, done.stderr
    assert "160 layers of" in done.stdout
    assert "v1.pth, model\n" in done.stdout
    command = "tools/make_prototxt.py --model resnet50_mtl --stride-on 1x1 --pool1 padded --mean 76.5 102 127.5\n"
    assert done.stdout.endswith(command)
    weights = tmp_path / "v1.caffemodel"
    found = caffe_answers(tmp_path, weights, image, (76.5, 102, 127.5), stride_on="1x1", pool1="padded")
    assert difference(found, torch_answers(model, image, mean, std)) < 1e-4


@needs_caffe
def test_the_converted_weights_fill_the_net_whole(converted, net):
    command = [str(PYTHON), str(ROOT / "tools/check_weights.py"), "--net", str(net / "train.prototxt")]
    done = subprocess.run([*command, "--weights", str(converted)], stdout=subprocess.PIPE, text=True)
    assert done.stdout.splitlines() == [
        f"{converted}: fits {net}/train.prototxt",
        " 159 filled",
        "   2 left at their initial values: fc_lesion, fc_location",
        "   1 in the caffemodel only: fc1000",
    ]
    assert done.returncode == 0


def test_the_record_says_what_made_the_caffemodel(v15, converted):
    record = json.loads((converted.parent / "resnet50.caffemodel.json").read_text())
    assert record["checkpoint_sha256"] == hashlib.sha256(v15[1].read_bytes()).hexdigest()
    assert record["sha256"] == hashlib.sha256(converted.read_bytes()).hexdigest()
    assert record["net"] == {"stride_on": "3x3", "pool1": "padded", "mean": list(CAFFE_MEAN)}
    assert record["made_by"]["arguments"]["rgb_std"] == list(STD)


WEIGHTS = {"conv1.weight": torch.arange(12.0).reshape(3, 4), "bn1.num_batches_tracked": torch.tensor(7)}
AVERAGED = {name: values * 2 for name, values in WEIGHTS.items()}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("saved", "entry", "expected"),
    [
        (WEIGHTS, "", WEIGHTS),
        # as PyTorch's own ImageNet example: a tensor beside the weights
        ({"state_dict": WEIGHTS, "best_acc1": torch.tensor(76.1), "optimizer": {}}, "state_dict", WEIGHTS),
        ({"state_dict": WEIGHTS, "state_dict_ema": AVERAGED, "arch": "resnet50"}, "state_dict_ema", AVERAGED),
        ({"model": {"state_dict": WEIGHTS}, "args": argparse.Namespace(lr=0.1)}, "model.state_dict", WEIGHTS),
        ({name: values.half() for name, values in WEIGHTS.items()}, "", WEIGHTS),
        ({name: values.bfloat16() for name, values in WEIGHTS.items()}, "", WEIGHTS),
        ({name: torch.nn.Parameter(values.double(), False) for name, values in WEIGHTS.items()}, "", WEIGHTS),
    ],
)
def test_weights_are_found_in_what_training_scripts_save(tmp_path, saved, entry, expected, zipped):
    torch.save(saved, str(tmp_path / "saved.pth"), _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "saved.pth")
    assert found.entry == entry
    assert set(found.tensors) == set(expected)
    for name, values in found.tensors.items():
        assert np.array_equal(values, expected[name].numpy())
    assert found.tensors["conv1.weight"].dtype == np.float32


class RunsCode:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("how", ["zip archive", "older form", "plain pickle"])
def test_code_in_a_checkpoint_is_never_run(tool, refused, tmp_path, how):
    saved, path = {"conv1.weight": RunsCode(tmp_path / "code was run")}, tmp_path / "evil.pth"
    if how == "plain pickle":
        path.write_bytes(pickle.dumps(saved, protocol=2))
    else:
        torch.save(saved, str(path), _use_new_zipfile_serialization=how == "zip archive")
    with pytest.raises(InputError, match=r"evil.pth: holds Python code \(posix.mkdir\), which was not run"):
        read_checkpoint(path)
    if how == "zip archive":  # once as a user meets it
        done = tool("convert_weights.py", "--checkpoint", path, "--out", tmp_path / "w.caffemodel")
        refused(done, "evil.pth: holds Python code (posix.mkdir), which was not run")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pth"]


def test_a_whole_model_and_a_program_are_not_run_either(tmp_path):
    torch.save(torch.nn.Linear(2, 2), str(tmp_path / "model.pth"))
    with pytest.raises(InputError, match=r"holds Python code \(torch.nn.modules.linear.Linear\), .*[.]state_dict\(\)"):
        read_checkpoint(tmp_path / "model.pth")
    torch.save(WEIGHTS, str(tmp_path / "program.pth"))
    with zipfile.ZipFile(str(tmp_path / "program.pth"), "a") as archive:  # by this PyTorch tells a TorchScript program
        archive.writestr("program/constants.pkl", pickle.dumps({}))
    with pytest.raises(InputError, match="holds a program, which was not run"):
        read_checkpoint(tmp_path / "program.pth")


def test_an_older_pytorch_that_can_be_made_to_run_code_is_not_asked(tmp_path, monkeypatch):
    torch.save(WEIGHTS, str(tmp_path / "w.pth"))
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(InputError, match=r"PyTorch 2.9.1\+cpu can be made to run code .* install 2.10 or later"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_cut_short_is_one_line(tmp_path, zipped):
    torch.save(WEIGHTS, str(tmp_path / "w.pth"), _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "w.pth").read_bytes()
    for kept in (3, 20, len(whole) // 2, len(whole) - 10):
        (tmp_path / "w.pth").write_bytes(whole[:kept])
        with pytest.raises(InputError, match=r"w.pth: [^\n]*$"):
            read_checkpoint(tmp_path / "w.pth")


ENDLESS: dict = {}
ENDLESS["model"] = ENDLESS


@pytest.mark.parametrize("saved", [{}, [1, 2], {"state_dict": {"epoch": 3}}, torch.ones(3), 5, ENDLESS])
def test_a_file_without_weights_by_name_is_one_line(tmp_path, saved):
    torch.save(saved, str(tmp_path / "w.pth"))
    with pytest.raises(InputError, match=r"w.pth: holds no weights by name"):
        read_checkpoint(tmp_path / "w.pth")


def test_safetensors_are_read_as_the_safetensors_package_writes_them(tmp_path):
    kinds = (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.uint8,
        torch.bool,
    )
    torch.manual_seed(1)
    tensors = {str(kind): (torch.randn(3, 1, 5) * 9).to(kind) for kind in kinds}
    tensors.update({"scalar": torch.tensor(2.5), "empty": torch.ones(0, 4), "a/ü.weight": torch.ones(2)})
    save_file(tensors, str(tmp_path / "w.safetensors"), metadata={"format": "pt"})
    found = read_safetensors(tmp_path / "w.safetensors")
    assert set(found) == set(tensors)
    for name, values in tensors.items():
        expected = values.float() if values.is_floating_point() else values
        assert np.array_equal(found[name], expected.numpy())
        assert found[name].shape == tuple(values.shape)
    save_file({"w": torch.ones(2).to(torch.float8_e4m3fn)}, str(tmp_path / "w.safetensors"))
    with pytest.raises(InputError, match="'w' is of the type F8_E4M3; save the weights as float32"):
        read_safetensors(tmp_path / "w.safetensors")
