"""ResNet-101 and ResNet-152: the published names, widths and strides, without a bias on conv1."""

from __future__ import annotations

import pytest
from papers_nets import layers

# He et al. 2016, table 1: blocks of stages 2 to 5
BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}


@pytest.mark.parametrize("trunk", ("resnet101", "resnet152"))
def test_blocks_have_the_published_names_in_their_order(trunk):
    net = layers("deploy", trunk=trunk)
    found = [name for name, layer in net.items() if layer.type == "Eltwise"]
    expected = []
    for stage, count in enumerate(BLOCKS[trunk], 2):
        numbered = [f"b{number}" for number in range(1, count)] if stage in (3, 4) else ["b", "c"]
        expected += [f"res{stage}{block}" for block in ("a", *numbered)]
    assert found == expected
    assert (
        sum(layer.type in ("Convolution", "InnerProduct") for layer in net.values()) - 1
        == {
            "resnet101": 101 + 4,  # with the four shortcuts' convolutions; the two heads count as the one of the name
            "resnet152": 152 + 4,
        }[trunk]
    )


@pytest.mark.parametrize(("trunk", "bias"), [("resnet50", True), ("resnet101", False), ("resnet152", False)])
def test_conv1_has_a_bias_in_the_published_resnet50_alone(trunk, bias):
    assert layers("deploy", trunk=trunk)["conv1"].convolution_param.bias_term == bias


def test_a_net_on_another_trunk_has_its_name(tool, tmp_path):
    data = ("--train-data", "a", "--test-data", "b", "--lesions", 3, "--locations", 4, "--test-batch-size", 2)
    done = tool("make_prototxt.py", "--model", "resnet50_mtl", "--trunk", "resnet152", *data, "--out", tmp_path / "net")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/net: resnet152_mtl, 3 lesions, 4 locations\n")
