"""What becomes a caffemodel and what is refused: without PyTorch, from .safetensors or from arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import ROOT
from papers_nets import options
from usage_errors import usage_errors

from caffe_files.errors import InputError
from skinmtl.nets.net_files import net_files, write_net_files
from skinmtl.pretrained.checkpoint import read_checkpoint
from skinmtl.pretrained.net_check import Preprocessing, check_net
from skinmtl.pretrained.resnet50 import caffe_layers, caffe_shapes, trunk_tensors, units
from skinmtl.pretrained.safetensors_file import read_safetensors

TORCHVISION = Preprocessing("3x3", "padded", (103.53, 116.28, 123.675))


def tensors():
    """The names and shapes of a ResNet-50's state dict; the arrays take no memory."""
    shapes = {}
    for unit in units():
        shapes[f"{unit.torch_convolution}.weight"] = unit.shape
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{unit.torch_normal}.{name}"] = unit.shape[:1]
        shapes[f"{unit.torch_normal}.num_batches_tracked"] = ()
    shapes.update({"fc.weight": (1000, 2048), "fc.bias": (1000,)})
    return {name: np.broadcast_to(np.float32(1), shape) for name, shape in shapes.items()}


def safetensors(path, header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode("utf-8")
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


def test_every_array_of_a_state_dict_finds_its_layer():
    taken, left = trunk_tensors(tensors())
    assert len(tensors()) == 320
    assert (len(taken), left) == (53 * 5 + 2, [])
    layers = caffe_layers(taken, (0.229, 0.224, 0.225))
    shapes = {name: [list(blob.shape) for blob in layer.blobs] for name, layer in layers.items()}
    assert shapes == {**caffe_shapes(), "fc1000": [[1000, 2048], [1000]]}


def test_the_names_are_torchvisions_in_the_published_nets_order():
    names = {unit.convolution: unit.torch_convolution for unit in units()}
    published = json.loads((ROOT / "tests/data/resnet50_layers.json").read_text())
    assert list(names) == [layer["name"] for layer in published if layer["type"] == "Convolution"]
    assert names["res2a_branch1"] == "layer1.0.downsample.0"
    assert names["res4f_branch2c"] == "layer3.5.conv3"
    assert names["res5a_branch2b"] == "layer4.0.conv2"


def test_conv1_takes_the_other_order_of_channels_and_keeps_its_size():
    """Pixels of 0 to 255 are about 58 times those that PyTorch's conv1 saw; the normalisation after it divides."""
    given, std = tensors(), np.array((0.2, 0.25, 0.4))
    random = np.random.RandomState(1)
    given["conv1.weight"] = random.standard_normal((64, 3, 7, 7)).astype(np.float32)
    given["bn1.running_mean"] = random.standard_normal(64).astype(np.float32)
    given["bn1.running_var"] = random.uniform(0, 1e-4, 64).astype(np.float32)  # so that the eps of both is seen
    layers = caffe_layers(trunk_tensors(given)[0], std)
    (weights, bias), (mean, variance, factor) = layers["conv1"].blobs, layers["bn_conv1"].blobs
    assert 0.5 < np.abs(weights).mean() / np.abs(given["conv1.weight"]).mean() < 2
    assert not bias.any()
    assert factor == [1]
    patch = random.uniform(-1, 1, (3, 7, 7))  # pixels less the mean, R, G, B of 0 to 1
    theirs = (given["conv1.weight"] * (patch / std[:, None, None])).sum((1, 2, 3))
    theirs = (theirs - given["bn1.running_mean"]) / np.sqrt(given["bn1.running_var"] + 1e-5)
    ours = ((weights * 255 * patch[::-1]).sum((1, 2, 3)) - mean) / np.sqrt(variance + 1e-5)
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prefix", ["module.", "backbone.body.", "module.encoder_q."])
def test_a_prefix_of_all_names_goes_and_what_is_beside_them_is_told(prefix):
    wrapped = {prefix + name: values for name, values in tensors().items()}
    wrapped["n_averaged"] = np.array(5)
    taken, left = trunk_tensors(wrapped)
    assert len(taken) == 53 * 5 + 2
    assert left == ["n_averaged"]


def test_another_classifier_is_left_out_and_told():
    given = tensors()
    given["fc.weight"], given["fc.bias"] = np.ones((7, 2048), np.float32), np.ones(7, np.float32)
    taken, left = trunk_tensors(given)
    assert "fc.weight" not in taken
    assert left == ["fc.weight", "fc.bias"]
    assert "fc1000" not in caffe_layers(taken, (1, 1, 1))


def deeper(given):
    given["layer3.6.conv1.weight"] = np.ones((256, 1024, 1, 1), np.float32)


def thinner(given):
    for name in [name for name in given if "conv3" in name or "bn3" in name]:
        del given[name]
    given["layer1.0.conv1.weight"] = np.ones((64, 64, 3, 3), np.float32)


def another(given):
    given.clear()
    given["patch_embed.proj.weight"] = np.ones((768, 3, 16, 16), np.float32)


def doubled(given):
    given.update({f"momentum.{name}": values for name, values in list(given.items())})


def spoiled(given):
    given["layer1.0.bn1.running_var"] = np.full(64, np.nan, np.float32)


def negative(given):
    given["layer1.0.bn1.running_var"] = np.full(64, -1, np.float32)


def whole_numbers(given):
    given["layer1.0.bn1.bias"] = np.ones(64, np.int64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (deeper, r"not a ResNet-50 .*: 1 unknown \(layer3.6.conv1.weight\); give another"),
        (thinner, r"80 missing \(layer1.0.conv3.weight, .*, \.\.\.\); 1 of other shapes \(layer1.0.conv1.weight is 64"),
        (thinner, r"layer1.0.conv1.weight is 64 x 64 x 3 x 3, not 64 x 64 x 1 x 1"),
        (another, r"265 missing \(conv1.weight, bn1.weight, bn1.bias, \.\.\.\); 1 unknown \(patch_embed.proj.weight\)"),
        (doubled, r"holds 2 networks, '', 'momentum.'; save one of them alone"),
        (spoiled, "layer1.0.bn1.running_var has NaN or infinite values"),
        (negative, "layer1.0.bn1.running_var has negative variances"),
        (whole_numbers, "layer1.0.bn1.bias has int64 values, not fractions"),
    ],
)
def test_a_checkpoint_of_another_architecture_is_told_by_what_differs(change, said):
    given = tensors()
    change(given)
    with pytest.raises(InputError, match=said):
        trunk_tensors(given)


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        ({"w": {**ONE, "data_offsets": [0, 4]}}, bytes(8), "not where and as long as the header says"),
        ({"w": ONE}, bytes(7), "not where and as long as the header says"),
        ({"w": {**ONE, "shape": [2**70]}}, bytes(8), "not where and as long as the header says"),
        ({"w": {**ONE, "data_offsets": [8, 0]}}, bytes(8), "not where and as long as the header says"),
        ({"w": {**ONE, "shape": [-2]}}, bytes(8), "does not say dtype, shape and place"),
        ({"w": {"dtype": "F32"}}, bytes(8), "does not say dtype, shape and place"),
        ({"w": 5}, b"", "does not say dtype, shape and place"),
        ({"w": {**ONE, "dtype": ["F32"]}}, bytes(8), "is of the type .'F32'.; save"),
        ({"w": {**ONE, "shape": [0, 2**63], "data_offsets": [0, 0]}}, b"", "has an impossible shape"),
        ({"w": {**ONE, "shape": [2] + [1] * 100}}, bytes(8), "has an impossible shape"),
        ({"v": ONE, "w": ONE}, bytes(8), "its tensors do not lie one behind the other"),
        ({"w": ONE}, bytes(9), "there is more in it than its tensors"),
        (b"{" + b'"a":[' * 100_000, b"", "its header is no JSON"),
        (b"{\xff}", b"", "its header is no JSON"),
        (b"[1]", b"", "its header is no table"),
    ],
)
def test_a_damaged_safetensors_file_is_one_line(tmp_path, header, data, said):
    path = safetensors(tmp_path / "w.safetensors", header, data)
    with pytest.raises(InputError, match=f"w.safetensors: .*{said}[^\n]*$"):
        read_safetensors(path)


def test_a_safetensors_file_cut_short_is_one_line(tmp_path):
    path = safetensors(tmp_path / "w.safetensors", {"w": ONE}, np.array([1.5, 2.5], "<f4").tobytes())
    assert read_checkpoint(path).tensors["w"].tolist() == [1.5, 2.5]
    whole = path.read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError, match=r"w.safetensors: [^\n]*$"):
            read_checkpoint(path)


def test_a_name_that_would_write_to_the_terminal_is_refused(tmp_path):
    path = safetensors(tmp_path / "w.safetensors", {"a\n\x1b[2J": ONE}, bytes(8))
    with pytest.raises(InputError, match=r"w.safetensors: 'a\\n\\x1b\[2J' is no name of a tensor"):
        read_checkpoint(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Writes the nets of make_prototxt.py with some settings; returns their folder."""

    def make(**settings):
        folder = tmp_path_factory.mktemp("net")
        settings = {"stride_on": "3x3", "pool1": "padded", "mean": TORCHVISION.mean, **settings}
        write_net_files(net_files(options(**settings), "a test"), folder)
        return folder

    return make


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stride_on": "1x1"}, "train.prototxt: its stride is on the 1x1, the checkpoint's on the 3x3"),
        ({"pool1": "unpadded"}, "train.prototxt: its pool1 is unpadded, the checkpoint's padded"),
        ({"mean": None}, "it subtracts 103.0626 115.9029 123.1516 from its images"),
        ({"mean": None, "scales": (256, 480)}, "it subtracts 103.0626 115.9029 123.1516 from its images"),
        ({"trunk": "tiny"}, r"train.prototxt: is no ResNet-50 \(see bn"),
        ({"model": "alexnet_lesion", "trunk": "alexnet", "crop": 227}, "train.prototxt: is no ResNet-50"),
    ],
)
def test_a_net_that_the_weights_do_not_belong_in_is_told_with_the_flags_that_make_one(made, settings, said):
    with pytest.raises(InputError, match=f"{said}.* --stride-on 3x3 --mean 103.53 116.28 123.675$"):
        check_net(made(**settings), TORCHVISION)


def test_a_net_that_fits_is_let_pass_as_a_folder_and_as_a_file(made):
    folder = made(scales=(256, 480))
    for net in (folder, folder / "test.prototxt", folder / "deploy.prototxt"):
        check_net(net, TORCHVISION)
    with pytest.raises(InputError, match="nowhere"):
        check_net(folder / "nowhere", TORCHVISION)


def test_wrong_input_is_one_line_and_nothing_is_written(tool, refused, made, tmp_path):
    wrong = safetensors(tmp_path / "w.safetensors", {"w": ONE}, bytes(8))
    out = ("--out", tmp_path / "out/w.caffemodel")
    refused(tool("convert_weights.py", "--checkpoint", wrong, *out), "w.safetensors: not a ResNet-50", "1 unknown (w)")
    done = tool("convert_weights.py", "--checkpoint", wrong, *out, "--net", made(stride_on="1x1"))
    refused(done, "train.prototxt: its stride is on the 1x1")
    for path, said in ((tmp_path / "none.pth", "cannot be read"), (tmp_path, "cannot be read")):
        with pytest.raises(InputError, match=said):
            read_checkpoint(path)
    for text, said in ((b"", "is empty"), (b"<html>", "is no checkpoint")):
        (tmp_path / "w.pth").write_bytes(text)
        with pytest.raises(InputError, match=said):
            read_checkpoint(tmp_path / "w.pth")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pth", "w.safetensors"]


def test_a_caffemodel_is_sent_to_where_it_can_be_used(tool, refused, tmp_path):
    from published_nets import write_net, write_weights

    weights = write_weights(write_net("squeezenet", tmp_path), tmp_path / "published.caffemodel")
    done = tool("convert_weights.py", "--checkpoint", weights, "--out", tmp_path / "w.caffemodel")
    refused(done, "is a caffemodel already", "train.py --weights", "make_prototxt.py --trunk-net")


def test_a_wrong_command_line_is_a_usage_error(tmp_path):
    files = ["--checkpoint", "a.pth", "--out"]
    given = [
        files[:2],
        [*files, "a.pth"],
        [*files, "b", "--rgb-std", 1, 0, 1],
        [*files, "b", "--rgb-mean", 123, 117, 104],
        [*files, "b", "--stride-on", "2x2"],
    ]
    said = usage_errors("convert_weights", given, tmp_path)
    assert said[1] == "a.pth: is an input of this command; name another file to write"
    assert said[2] == said[3] == "--rgb-mean and --rgb-std are of pixels of 0 to 1"
