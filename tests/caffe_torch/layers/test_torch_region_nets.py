"""What nets that find regions have of stock layers, against BVLC Caffe: the pieces of a pyramid, of a head that several
levels share, and of losses in which everything may be ignored."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from torch_agreement import NEEDS_CAFFE, agree, close, net_of, normal

from caffe_files.errors import InputError

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]


def layer(name, kind, bottoms, tops, more=""):
    wired = " ".join([*(f"bottom: '{each}'" for each in bottoms), *(f"top: '{each}'" for each in tops)])
    return f"layer {{ name: '{name}' type: '{kind}' {wired} {more} }}"


def reshape(name, bottom, *sides):
    dims = " ".join(f"dim: {side}" for side in sides)
    return layer(name, "Reshape", [bottom], [name], f"reshape_param {{ shape {{ {dims} }} }}")


def source(name, *sides):
    dims = " ".join(f"dim: {side}" for side in sides)
    return layer(name, "Input", [], [name], f"input_param {{ shape {{ {dims} }} }}")


def held_against_caffe(caffe, lines, inputs, outer=(), tolerance=1e-5):
    """Every blob, and the gradients of input `a` and of the weights: of the losses, and of random ones of `outer`."""
    text = "\n".join(["force_backward: true", *lines])
    net = net_of(text, "TRAIN")
    random, arrays = np.random.RandomState(4), {f"blob:{name}": values for name, values in inputs.items()}
    with torch.no_grad():
        for learned in net.learned:
            net.parameter(learned).copy_(torch.from_numpy(normal(8, *net.parameter(learned).shape)))
    for each in net.layers:
        arrays.update((f"weight:{each.name}:{n}", blob.detach().numpy()) for n, blob in enumerate(each.blobs))
    given = {name: torch.from_numpy(values) for name, values in inputs.items()}
    given["a"].requires_grad_(True)
    blobs = net(given)
    total = net.loss(blobs) if net.loss_weights else 0
    for name, weight in net.loss_weights:
        arrays[f"gradient:{name}"] = np.full(tuple(blobs[name].shape), weight, np.float32)
    for name in outer:
        arrays[f"gradient:{name}"] = random.standard_normal(tuple(blobs[name].shape)).astype(np.float32)
        total = total + (blobs[name] * torch.from_numpy(arrays[f"gradient:{name}"])).sum()
    total.backward()
    expected = caffe.answer(text, "TRAIN", arrays)
    for name, values in blobs.items():
        close(values, expected[f"blob:{name}"], name, tolerance)
    close(given["a"].grad, expected["gradient:a"], "a", tolerance)
    for learned in net.learned:
        what = f"weight_gradient:{learned.layer}:{learned.blob}"
        close(net.parameter(learned).grad, expected[what], what, tolerance)
    return blobs, given, net


UPSAMPLED = [
    source("a", 2, 3, 4, 5),
    reshape("r1", "a", 0, 0, 0, 0, 1),
    layer("t1", "Tile", ["r1"], ["t1"], "tile_param { axis: 4 tiles: 2 }"),
    reshape("r2", "t1", 0, 0, 0, 1, -1),
    layer("t2", "Tile", ["r2"], ["t2"], "tile_param { axis: 3 tiles: 2 }"),
    reshape("up", "t2", 0, 0, -1, 10),
]


def test_nearest_up_sampling_of_reshape_and_tile_is_caffes(caffe):
    values = normal(1, 2, 3, 4, 5)
    blobs, _, _ = held_against_caffe(caffe, UPSAMPLED, {"a": values}, outer=["up"], tolerance=0)
    np.testing.assert_array_equal(blobs["up"].detach(), values.repeat(2, 2).repeat(2, 3))


HEADS = [
    layer(
        f"conv{level}",
        "Convolution",
        [bottom],
        [f"conv{level}"],
        "param { name: 'w' } param { name: 'b' lr_mult: 2 } convolution_param { num_output: 6 kernel_size: 3 pad: 1 }",
    )
    for level, bottom in enumerate(("a", "b", "c", "d", "e"))
]


def test_a_head_shared_by_five_levels_gets_the_sum_of_their_gradients(caffe):
    sides = (8, 6, 4, 2, 1)
    inputs = {name: normal(number, 2, 4, side, side) for number, (name, side) in enumerate(zip("abcde", sides))}
    lines = [*(source(name, *values.shape) for name, values in inputs.items()), *HEADS]
    lines += [reshape(f"r{level}", f"conv{level}", 0, 2, -1) for level in range(5)]
    joined = [f"r{level}" for level in range(5)]
    lines += [layer("joined", "Concat", joined, ["joined"], "concat_param { axis: 2 }")]
    lines += [layer("prob", "Softmax", ["joined"], ["prob"])]
    blobs, _, net = held_against_caffe(caffe, lines, inputs, outer=["prob"])
    assert blobs["prob"].shape == (2, 2, 3 * sum(side * side for side in sides))
    assert [(each.layer, each.blob) for each in net.learned] == [("conv0", 0), ("conv0", 1)]
    assert all(net.layer(f"conv{level}").blob0 is net.layer("conv0").blob0 for level in range(5))


def test_doubling_by_deconvolution_is_caffes(caffe):
    said = "convolution_param { num_output: 5 kernel_size: 2 stride: 2 }"
    agree(caffe, f"type: 'Deconvolution' top: 'top' {said}", {"a": normal(2, 3, 4, 7, 6)}, tolerance=1e-5)


LOSSES = {
    "SigmoidCrossEntropyLoss": ((4, 3, 5, 5), (4, 3, 5, 5), 2),
    "SoftmaxWithLoss": ((4, 3), (4,), 3),
}


@pytest.mark.parametrize("ignored", ["none", "some", "all"])
@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_in_which_labels_are_ignored_is_caffes_also_where_all_are(caffe, kind, ignored):
    shape, labels, classes = LOSSES[kind]
    random = np.random.RandomState(5)
    given = random.randint(0, classes, labels).astype(np.float32)
    given[{"none": slice(0), "some": slice(1, 3), "all": slice(None)}[ignored]] = -1
    lines = [
        source("a", *shape),
        source("b", *labels),
        layer(
            "loss",
            kind,
            ["a", "b"],
            ["loss"],
            "loss_weight: 2 loss_param { ignore_label: -1 normalization: VALID } propagate_down: true "
            "propagate_down: false",
        ),
    ]
    blobs, inputs, _ = held_against_caffe(caffe, lines, {"a": normal(6, *shape), "b": given})
    if ignored == "all":
        assert blobs["loss"] == 0
        assert (inputs["a"].grad == 0).all()


def test_softmax_over_axis_1_of_three_axes_is_caffes(caffe):
    agree(caffe, "type: 'Softmax' top: 'top'", {"a": normal(7, 2, 2, 30)}, tolerance=1e-5)


@pytest.mark.parametrize(
    ("said", "words"),
    [("axis: 4 tiles: 2", "axis 4 of a blob with 4 axes"), ("axis: 1", "tiles 0; it must be at least 1")],
)
def test_a_tile_that_cannot_be_is_refused(said, words):
    with pytest.raises(InputError, match=rf"^layer 'tile' \(Tile\): {words}$"):
        net_of("\n".join([source("a", 1, 2, 3, 4), layer("tile", "Tile", ["a"], ["b"], f"tile_param {{ {said} }}")]))
