"""What export.py makes for other programs: ONNX and torch state dicts give pycaffe's numbers."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
onnx = pytest.importorskip("onnx", reason="onnx is not installed here: make torch")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here: make torch")
from caffe_reference import PYTHON
from conftest import ROOT
from made_model import NAMES, request, write_drawn_weights, write_small_net
from torch import nn
from torch.nn import functional as F

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common import libraries
from skinmtl.common.provenance import sha256
from skinmtl.engines.engine import Engine
from skinmtl.onnx_graphs.model import onnx_graph, onnx_model, write_onnx
from skinmtl.publishing.exporting import export
from skinmtl.publishing.onnx_check import check_onnx
from skinmtl.publishing.state_dict import is_resnet, state_dict, write_state_dict

pytestmark = pytest.mark.torch
needs_caffe = pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")
TORCH = Engine("torch")


class Drawn:
    """A committed deploy net with drawn weights, open in caffe_torch, and what pycaffe makes of two drawn crops."""

    def __init__(self, caffe, deploy, folder):
        self.net, self.shapes = read_net(deploy), TORCH.shapes(deploy)
        write_drawn_weights(deploy, self.shapes.params, folder / "weights.caffemodel")
        self.opened = TORCH.open(deploy, folder / "weights.caffemodel")
        self.outputs = {name: shape[1] for name, shape in self.shapes.tops.items() if name.endswith("_prob")}
        self.side = self.shapes.tops["data"][2]
        self.data = np.random.RandomState(3).standard_normal((2, 3, self.side, self.side)).astype(np.float32) * 50
        arrays = {
            f"weight:{layer}:{n}": blob
            for layer in self.shapes.params
            for n, blob in enumerate(self.opened.parameters(layer))
        }
        text = re.sub(r"(type: \"Input\".*?dim: )1", r"\g<1>2", deploy.read_text(), flags=re.DOTALL)
        self.expected = caffe.answer(text, "TEST", {**arrays, "blob:data": self.data})

    def parameters(self, layer):
        return self.opened.parameters(layer) if layer in self.shapes.params else []

    def onnx(self, **properties):
        graph = onnx_graph(self.net, self.shapes.tops, self.parameters, list(self.outputs))
        return onnx_model(
            graph, self.side, {name: [width] for name, width in self.outputs.items()}, "a name", properties
        )


@pytest.fixture(scope="module")
def drawn(caffe, tmp_path_factory):
    """Makes a Drawn of a model in prototxt/, once each."""
    made = {}

    def make(model):
        if model not in made:
            made[model] = Drawn(caffe, ROOT / "prototxt" / model / "deploy.prototxt", tmp_path_factory.mktemp(model))
        return made[model]

    return make


@needs_caffe
@pytest.mark.parametrize("model", ["tiny_mtl", "tiny_location", "tiny_alexnet_lesion", "resnet50_mtl"])
def test_onnxruntime_gives_pycaffes_probabilities(drawn, tmp_path, model):
    one = drawn(model)
    write_onnx(one.onnx(), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == list(one.outputs)
    for name, found in zip(one.outputs, session.run(None, {"data": one.data})):
        expected = one.expected[f"blob:{name}"]
        assert np.abs(found - expected).max() < 1e-4
        assert expected.std() > 0.01  # something to agree on
    (alone,) = session.run(list(one.outputs)[:1], {"data": one.data[:1]})  # any batch size
    assert len(alone) == 1
    assert check_onnx(tmp_path / "model.onnx", one.opened, one.side, "torch").startswith("onnxruntime")


@needs_caffe
def test_the_file_has_caffes_names_and_says_what_it_is(drawn):
    one = drawn("tiny_mtl")
    model = one.onnx(input="as made", lesion_names=["a", "ü"], mean=[1, 2.5, 3])
    (data,) = model.graph.input
    sides = [side.dim_param or side.dim_value for side in data.type.tensor_type.shape.dim]
    assert (data.name, sides) == ("data", ["N", 3, 64, 64])
    assert {output.name for output in model.graph.output} == {"lesion_prob", "location_prob"}
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 13)]
    assert model.graph.doc_string == "as made"
    properties = {each.key: each.value for each in model.metadata_props}
    assert json.loads(properties["lesion_names"]) == ["a", "ü"] and json.loads(properties["mean"]) == [1, 2.5, 3]
    values = {output for node in model.graph.node for output in node.output}
    assert {"conv1", "pool1", "res5c", "pool5", "fc_lesion", "fc_location"} <= values
    layers = {layer.name for layer in one.net.layer}
    assert {node.name.partition("/")[0] for node in model.graph.node} <= layers
    assert model.SerializeToString(deterministic=True) == one.onnx(
        input="as made", lesion_names=["a", "ü"], mean=[1, 2.5, 3]
    ).SerializeToString(deterministic=True)


class Bottleneck(nn.Module):
    """A block with torchvision's names, and the stride where the published net has it."""

    def __init__(self, channels, width, stride, first):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = None
        if first:  # in Caffe every first block has one
            shortcut = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A ResNet with torchvision's names, its maxpool changed as the model card says."""

    def __init__(self, trunk, lesions, locations):
        super().__init__()
        self.conv1 = nn.Conv2d(3, trunk.stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(trunk.stem)
        self.maxpool = nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)
        channels = trunk.stem
        for stage, (width, blocks, stride) in enumerate(zip(trunk.widths, trunk.blocks, trunk.strides), 1):
            made = []
            for block in range(blocks):
                made.append(Bottleneck(channels, width, stride if block == 0 else 1, block == 0))
                channels = 4 * width
            setattr(self, f"layer{stage}", nn.Sequential(*made))
        self.stages = len(trunk.widths)
        self.fc_lesion, self.fc_location = nn.Linear(channels, lesions), nn.Linear(channels, locations)

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        x = x.mean((2, 3))
        return self.fc_lesion(x), self.fc_location(x)


@needs_caffe
@pytest.mark.parametrize("trunk", ["tiny", "resnet50"])
def test_a_torch_resnet_with_the_state_dict_gives_pycaffes_logits(drawn, tmp_path, trunk):
    from skinmtl.nets.trunks import TRUNKS

    one = drawn(f"{trunk}_mtl")
    assert is_resnet(one.net)
    write_state_dict(state_dict(one.net, one.parameters), tmp_path / "weights.pth", {})
    tensors = torch.load(tmp_path / "weights.pth", weights_only=True)
    net = ResNet(TRUNKS[trunk], one.outputs["lesion_prob"], one.outputs["location_prob"]).eval()
    net.load_state_dict(tensors)  # strict: neither missing nor unknown
    with torch.inference_mode():
        found = net(torch.from_numpy(one.data))
    for head, logits in zip(("lesion", "location"), found):
        expected = one.expected[f"blob:fc_{head}"]
        assert np.abs(logits.numpy() - expected).max() < 1e-4 * max(1, np.abs(expected).max())


@needs_caffe
def test_other_nets_keep_caffes_names(drawn, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file

    one = drawn("tiny_alexnet_lesion")
    assert not is_resnet(one.net)
    write_state_dict(state_dict(one.net, one.parameters), tmp_path / "weights.safetensors", {"net": "tiny"})
    tensors = load_file(tmp_path / "weights.safetensors")
    names = [f"{layer}.{kind}" for layer in one.shapes.params for kind in ("weight", "bias")]
    assert sorted(tensors) == sorted(names)
    for layer in one.shapes.params:
        for kind, blob in zip(("weight", "bias"), one.parameters(layer)):
            assert np.array_equal(tensors[f"{layer}.{kind}"].numpy(), blob)
    with safe_open(tmp_path / "weights.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "net": "tiny"}


def test_the_tool_writes_both_and_says_what_it_checked(tool, tmp_path):
    net = write_small_net(tmp_path / "net")
    out = tmp_path / "out"
    words = ["--deploy", net.deploy, "--weights", net.weights, "--onnx", "--state-dict", "--out", out]
    done = tool("export.py", *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{out}: small_lesion_location, 3 lesions, 4 locations"
    checked = r"checked by onnx\.checker; onnxruntime \S+ on 2 drawn crops: at most \S+ from torch \S+"
    assert re.fullmatch(rf"model\.onnx: opset 13, {checked}", lines[1])
    assert lines[2] == "weights.pth: 10 tensors, torchvision's names"
    record = json.loads((out / "model.json").read_text())
    for name in ("model.onnx", "weights.pth"):
        assert record["sha256"][name] == sha256(out / name)
    properties = {each.key: each.value for each in onnx.load(str(out / "model.onnx")).metadata_props}
    assert json.loads(properties["location_names"]) == NAMES["location"]
    assert properties["weights_sha256"] == sha256(net.weights)
    assert "`model.onnx` (opset 13)" in (out / "README.md").read_text()
    again = tmp_path / "again"
    export(request(net, onnx=True, state_dict="pth", engine=TORCH, short_side=256), again, {})
    for name in ("model.onnx", "weights.pth", "README.md"):
        assert (again / name).read_bytes() == (out / name).read_bytes()


def test_an_onnx_file_that_differs_leaves_no_folder(tmp_path, monkeypatch):
    net = write_small_net(tmp_path / "net")
    monkeypatch.setattr("skinmtl.publishing.onnx_check.TOLERANCE", -1.0)
    with pytest.raises(InputError, match=r"model\.onnx: onnxruntime's probabilities differ by"):
        export(request(net, onnx=True, engine=TORCH), tmp_path / "out", {})
    assert not (tmp_path / "out").exists()


def test_a_missing_library_is_one_line():
    with pytest.raises(InputError, match="this Python has no no_such_library: make torch"):
        libraries.import_or_refuse("no_such_library")
