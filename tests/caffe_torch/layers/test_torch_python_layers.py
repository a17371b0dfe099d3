"""Layers of type "Python" in caffe_torch: the user's class, called as pycaffe calls it; its faults a line."""

from __future__ import annotations

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from torch_agreement import NEEDS_CAFFE, agree, net_of, normal

from caffe_files.errors import InputError
from caffe_torch.command import main

pytestmark = pytest.mark.torch


def layer(name, tops="top: 'top'", param_str="", more=""):
    return f"""type: 'Python' {tops} {more}
        python_param {{ module: 'user_layers' layer: '{name}' param_str: '{param_str}' }}"""


@NEEDS_CAFFE
@pytest.mark.parametrize("differentiable", [["a"], ["a", "b"]])
def test_a_loss_of_the_users_is_the_same_in_caffe(caffe, differentiable):
    inputs = {"a": normal(1, 4, 3), "b": normal(2, 4, 3)}
    text = layer("EuclideanLoss", more="loss_weight: 0.5")
    net = net_of(f"""input: 'a' input: 'b' input_shape {{ dim: 4 dim: 3 }} input_shape {{ dim: 4 dim: 3 }}
        layer {{ name: 'l' bottom: 'a' bottom: 'b' {text} }}""")
    given = {name: torch.from_numpy(values).requires_grad_(name in differentiable) for name, values in inputs.items()}
    blobs = net(given)
    net.loss(blobs).backward()
    assert net.loss(blobs) == 0.5 * blobs["top"]
    agree(caffe, layer("EuclideanLoss"), inputs, differentiable=differentiable)
    difference = inputs["a"] - inputs["b"]
    for name, sign in (("a", 1), ("b", -1)):
        if name in differentiable:
            np.testing.assert_allclose(given[name].grad, 0.5 * sign * difference / 4, rtol=1e-6)
        else:
            assert given[name].grad is None


@NEEDS_CAFFE
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_parameters_shapes_and_phases_are_as_in_caffe(caffe, phase):
    agree(caffe, layer("Affine", "top: 'one' top: 'two'", "-1.5"), {"a": normal(3, 2, 3, 4, 5)}, phase)


def test_a_top_in_place_of_its_bottom_is_the_same_blob():
    """As Caffe's net has it: what the user's forward and backward leave alone, stays."""
    net = net_of(f"""input: 'a' input_shape {{ dim: 2 dim: 3 }}
        layer {{ name: 'power' type: 'Power' bottom: 'a' top: 'b' }}
        layer {{ name: 'l' bottom: 'b' {layer("InPlace", "top: 'b'")} }}""")
    given = torch.tensor([[1.0, 2, 3], [4, 5, 6]], requires_grad=True)
    top = net({"a": given})["b"]
    assert top.tolist() == [[1, 5, 3], [4, 8, 6]]
    top.backward(torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
    assert given.grad.tolist() == [[2, 2, 3], [8, 5, 6]]


def test_a_layer_without_bottoms_is_a_source():
    net = net_of(f"layer {{ name: 'count' {layer('Counter')} }}")
    assert [source.name for source in net.sources()] == ["count"]
    assert net.shapes["top"] == (2, 3)
    assert [net()["top"][0, 0].item() for _ in range(3)] == [1, 2, 3]
    assert "caffe" not in sys.modules  # nobody takes the stand-in for pycaffe


def test_two_layers_of_one_class_keep_their_own_state():
    text = "\n".join(
        f"layer {{ name: '{name}' {layer('Counter', tops)} }}" for name, tops in (("a", "top: 'a'"), ("b", "top: 'b'"))
    )
    net = net_of(text)
    net.layer("a")()
    found = net()
    assert (found["a"][0, 0], found["b"][0, 0]) == (2, 1)


@pytest.mark.parametrize("where", ["setup", "reshape", "forward", "backward"])
def test_what_fails_in_the_users_code_is_one_line(where):
    at = rf"user_layers.Fails, {where} \(user_layers.py, line \d+\)"
    words = rf"^layer 'l' \(Python\): {at}: ValueError: no luck in {where}$"
    text = f"input: 'a' input_shape {{ dim: 2 }} layer {{ name: 'l' bottom: 'a' {layer('Fails', param_str=where)} }}"
    with pytest.raises(InputError, match=words):
        net_of(text)({"a": torch.ones(2, requires_grad=True)})["top"].sum().backward()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (layer("Missing"), "module 'user_layers' has no class 'Missing'"),
        (layer("not_a_layer"), "no class 'not_a_layer'"),
        (
            layer("X").replace("user_layers", "not_there.at_all"),
            "no module 'not_there.at_all'; put its folder on PYTHONPATH",
        ),
        ("type: 'Python' top: 'top'", "names no module"),
        (layer("EuclideanLoss"), r"setup \(user_layers.py, line \d+\): ValueError: needs two bottoms"),
    ],
)
def test_a_layer_that_cannot_be_made_is_one_line(text, words, tmp_path, capsys):
    net = f"input: 'a' input_shape {{ dim: 2 }} layer {{ name: 'l' bottom: 'a' {text} }}"
    with pytest.raises(InputError, match=words):
        net_of(net)
    (tmp_path / "net.prototxt").write_text(net)
    assert main(["time", "-model", str(tmp_path / "net.prototxt"), "-iterations", "1"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_layer_without_a_backward_computes_and_says_so_where_a_gradient_is_wanted():
    net = net_of(f"input: 'a' input_shape {{ dim: 2 }} layer {{ name: 'l' bottom: 'a' {layer('NoBackward')} }}")
    top = net({"a": torch.ones(2, requires_grad=True)})["top"]
    assert top.item() == 1
    with pytest.raises(InputError, match=r"user_layers.NoBackward, backward: .* no attribute 'backward'"):
        top.sum().backward()


def test_a_module_that_does_not_import_is_named_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "broken_layers.py").write_text("import caffe\nimport not_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        InputError, match=r"broken_layers.py, line 2\): ModuleNotFoundError: No module named 'not_installed'"
    ):
        net_of(f"layer {{ name: 'l' {layer('X').replace('user_layers', 'broken_layers')} }}")


COUNTERPARTS = """import caffe
CAFFE_TORCH_LAYERS = {"Doubles": "doubling:Doubles", "NoLayer": "doubling:number", "Gone": "doubling:Gone"}
class Doubles(caffe.Layer):
    pass
class Plain(caffe.Layer):
    def reshape(self, bottom, top):
        top[0].reshape(1)
    def forward(self, bottom, top):
        top[0].data[...] = 5
"""
DOUBLES = """from caffe_torch.layers.layer import Layer
number = 3
class Doubles(Layer):
    def forward(self, bottom):
        return (2 * bottom,)
"""


@pytest.fixture
def counterparts(tmp_path, monkeypatch):
    """A net of a layer of a module whose table names counterparts for caffe_torch."""
    (tmp_path / "with_table.py").write_text(COUNTERPARTS)
    (tmp_path / "doubling.py").write_text(DOUBLES)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("with_table", "doubling"):
        monkeypatch.delitem(sys.modules, module, raising=False)

    def make(name):
        text = layer(name).replace("user_layers", "with_table")
        return net_of(f"input: 'a' input_shape {{ dim: 2 }} layer {{ name: 'l' bottom: 'a' {text} }}")

    return make


def test_a_module_may_name_a_counterpart_of_its_layer_for_this_engine(counterparts):
    given = torch.tensor([1.0, 2], requires_grad=True)
    top = counterparts("Doubles")({"a": given})["top"]
    top.sum().backward()
    assert (top.tolist(), given.grad.tolist()) == ([2, 4], [2, 2])
    assert counterparts("Plain")({"a": given})["top"].tolist() == [5]  # is not in the table


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NoLayer", "with_table.CAFFE_TORCH_LAYERS names 'doubling:number', which is no Layer of caffe_torch"),
        ("Gone", "with_table.Gone, import: AttributeError: module 'doubling' has no attribute 'Gone'"),
    ],
)
def test_a_counterpart_that_cannot_be_had_is_one_line(counterparts, name, words):
    with pytest.raises(InputError, match=rf"^layer 'l' \(Python\): {words}") as error:
        counterparts(name)
    assert "\n" not in str(error.value)
