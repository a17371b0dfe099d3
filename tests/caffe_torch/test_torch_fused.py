"""Forward passes on a CPU, fused and in pieces: the blobs are those of the net computed layer by layer, also where
layers may not be fused, where a batch may not be taken apart, and where numbers are none."""

from __future__ import annotations

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch_agreement import net_of, normal

from caffe_torch.fused import Summed, can_fuse
from caffe_torch.inference import Inference
from caffe_torch.model_files import write_caffemodel
from caffe_torch.pieces import Workers, sizes_of_pieces

pytestmark = pytest.mark.torch
NEEDS_OPERATORS = pytest.mark.skipif(not can_fuse(False), reason="this PyTorch has no operators of oneDNN")

INPUT = "layer { name: 'in' type: 'Input' top: 'in' input_param { shape { dim: 2 dim: 4 dim: 6 dim: 5 } } }"
KINDS = {
    "one": "type: 'Convolution' convolution_param { num_output: 4 kernel_size: 1 bias_term: false }",
    "three": "type: 'Convolution' convolution_param { num_output: 4 kernel_size: 3 pad: 1 }",
    "grouped": "type: 'Convolution' convolution_param { num_output: 4 kernel_size: 1 group: 2 }",
    "sum": "type: 'Eltwise'",
    "sum of parts": "type: 'Eltwise' eltwise_param { coeff: 1 coeff: -0.5 }",
    "rectified": "type: 'ReLU'",
    "leaky": "type: 'ReLU' relu_param { negative_slope: 3 }",
    "scaled": "type: 'Scale' scale_param { bias_term: true }",
    "passed on": "type: 'Dropout'",
    "pooled": "type: 'Pooling' pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 }",
}
# (kind, which of the blobs before it reads, which else for a sum, whether a layer that can works in place)
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 3), st.integers(0, 3), st.booleans()),
    min_size=2,
    max_size=9,
)
THREE, ONE, RECTIFIED, PASSED = ((kind, 0, 0, True) for kind in ("three", "one", "rectified", "passed on"))
# b0, b1 and b2 are of convolutions, b3 is b2 + b0
RESIDUAL = [THREE, ONE, ONE, ("sum", 0, 1, False), RECTIFIED]


def graph(steps):
    """A net of these layers, each on blobs of late; and its blobs."""
    lines, blobs, read = [INPUT], ["in"], set()
    for number, (kind, first, second, in_place) in enumerate(steps):
        bottoms = [blobs[-1 - first % len(blobs)]]
        if kind.startswith("sum"):
            others = [blob for blob in blobs if blob != bottoms[0]]
            if not others:
                continue
            bottoms.append(others[-1 - second % len(others)])
        works_in_place = kind in ("rectified", "leaky", "scaled") and in_place and bottoms[0] not in (*read, "in")
        top = bottoms[0] if works_in_place else f"b{number}"
        read.update(bottoms)
        if not works_in_place:
            blobs.append(top)
        named = " ".join(f"bottom: '{bottom}'" for bottom in bottoms)
        lines.append(f"layer {{ name: 'l{number}' {named} top: '{top}' {KINDS[kind]} }}")
    return "\n".join(lines), blobs


def filled(text, seed, size=0.5):
    """The net with drawn weights."""
    net = net_of(text)
    with torch.no_grad():
        for number, blob in enumerate(net.parameters()):
            blob.copy_(torch.from_numpy(size * normal(seed + number, *blob.shape)))
    return net


@pytest.fixture
def opened(tmp_path):
    """Inference of a net that has its weights."""

    def open_net(net, text):
        (tmp_path / "net.prototxt").write_text(text)
        write_caffemodel(net, tmp_path / "net.caffemodel")
        return Inference(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")

    return open_net


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused")

    def open_net(net, text):
        (folder / "net.prototxt").write_text(text)
        write_caffemodel(net, folder / "net.caffemodel")
        return Inference(folder / "net.prototxt", folder / "net.caffemodel")

    return open_net


@pytest.fixture
def threads():
    """Sets PyTorch's number of threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def by_layer(net, data):
    """Every blob, computed one layer after the other."""
    with torch.no_grad():
        return {name: blob.numpy() for name, blob in net({"in": torch.from_numpy(data)}).items()}


@NEEDS_OPERATORS
@given(STEPS, st.sets(st.integers(0, 9)), st.integers(0, 1000))
@hypothesis_settings(max_examples=80, deadline=None, derandomize=True)
def test_what_is_fused_gives_the_blobs_of_the_layers(written, steps, asked, seed):
    text, blobs = graph(steps)
    net, data = filled(text, seed), normal(seed, 3, 4, 6, 5)
    expected = by_layer(net, data)
    asked = [blobs[-1], *(blob for number, blob in enumerate(blobs[:-1]) if number in asked)]
    kept = data.copy()
    for name, found in zip(asked, written(net, text).forward({"in": data}, asked)):
        assert np.allclose(found, expected[name], rtol=1e-4, atol=1e-4), (name, text)
    assert np.array_equal(data, kept)


@NEEDS_OPERATORS
@pytest.mark.parametrize(
    ("steps", "asked", "sums"),
    [
        (RESIDUAL, ["b3"], 1),
        ([THREE, *RESIDUAL], ["b4"], 1),
        (RESIDUAL, ["b3", "b0"], 0),  # what would be written over is asked for
        (RESIDUAL, ["b3", "b2"], 0),  # what the convolution makes is
        (RESIDUAL[1:], ["b2"], 0),  # it would be written over the input
        ([PASSED, *RESIDUAL[1:]], ["b3"], 0),  # or over what has its memory
        ([THREE, PASSED, ONE, ("sum", 0, 1, False)], ["b3"], 0),  # or over what the convolution reads
        ([THREE, ONE, ("sum", 0, 0, False)], ["b2"], 0),
        ([*RESIDUAL, ("sum", 0, 2, False)], ["b5"], 0),  # or over what is read later
        ([*RESIDUAL[:4], ("leaky", 0, 0, True)], ["b3"], 0),  # and oneDNN rectifies sums by 0 alone
    ],
)
def test_a_sum_is_taken_into_its_convolution_where_nobody_else_sees_what_it_writes_over(opened, steps, asked, sums):
    text, _ = graph(steps)
    inference = opened(filled(text, 1), text)
    inference.forward({"in": normal(1, 2, 4, 6, 5)}, asked)
    (plans,) = inference._forward_plans.values()
    assert sum(isinstance(step, Summed) for step in plans[1]) == sums


@NEEDS_OPERATORS
def test_numbers_that_are_none_stay_so_behind_a_relu(opened):
    """oneDNN's ReLU by itself makes 0 of them, and a training that diverged would be scored as any other."""
    text, _ = graph(
        [("three", 0, 0, False), ("rectified", 0, 0, True), ("one", 0, 0, False), ("rectified", 0, 0, True)]
    )
    data = normal(1, 2, 4, 6, 5)
    for place in range(2):
        net = filled(text, 1)
        with torch.no_grad():
            net.layers[1 + 2 * place].blob0[0, 0] = float("nan")
        expected = by_layer(net, data)["b2"]
        assert np.isnan(expected).any()
        assert np.array_equal(np.isnan(opened(net, text).forward({"in": data}, ["b2"])[0]), np.isnan(expected))
    data[0, 0, 2, 2] = np.nan
    net = filled(text, 1)
    assert np.isnan(opened(net, text).forward({"in": data}, ["b2"])[0][0]).any()


@NEEDS_OPERATORS
def test_so_do_those_of_numbers_that_grow_too_large(opened):
    text, _ = graph([*[THREE, RECTIFIED] * 4])
    net, data = filled(text, 1, 1e15), normal(1, 2, 4, 6, 5)
    expected = by_layer(net, data)["b6"]
    assert np.isnan(expected).any()
    (found,) = opened(net, text).forward({"in": data}, ["b6"])
    assert np.array_equal(np.isnan(found), np.isnan(expected))


@NEEDS_OPERATORS
def test_a_deep_net_is_fused_to_its_end(opened):
    """The bound of its numbers would grow beyond all measure where they themselves do not."""
    text, _ = graph([*[THREE, RECTIFIED] * 60])
    net = filled(text, 1, 0.25)
    inference, data = opened(net, text), normal(1, 2, 4, 6, 5)
    with torch.inference_mode():
        tensors = {"in": torch.from_numpy(data)}
        assert inference._fused(inference._forward_plans_of({"in": data}, ["b118"])[1], tensors) is not None
    grown = np.prod([packed.grows for packed in inference._packed.values()])
    assert len(inference._packed) == 60 and grown > 1e39


@given(st.integers(1, 300), st.integers(1, 16))
def test_pieces_are_the_whole_batch_and_grow_smaller(images, threads):
    sizes = sizes_of_pieces(images, threads)
    assert sum(sizes) == images and min(sizes) > 0
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] <= 2 or sizes[0] * 2 * threads < images + 2 * threads
    assert min(sizes[:-1], default=2) >= 2


def test_a_batch_of_ten_crops_for_two_threads_is_five_crops_for_each():
    assert sizes_of_pieces(10, 2) == [3, 2, 2, 2, 1]


ACROSS = [
    "type: 'Softmax' softmax_param { axis: 0 }",
    "type: 'Flatten' flatten_param { axis: 0 end_axis: 1 }",
    "type: 'InnerProduct' inner_product_param { num_output: 3 axis: 0 }",
    "type: 'Reshape' reshape_param { shape { dim: -1 dim: 2 dim: 6 dim: 5 } }",
    "type: 'BatchNorm' batch_norm_param { use_global_stats: false }",
    "type: 'Scale' scale_param { axis: 0 }",
]
WITHIN = [
    "type: 'Softmax'",
    "type: 'Flatten'",
    "type: 'InnerProduct' inner_product_param { num_output: 3 }",
    "type: 'Scale'",
    "type: 'LRN'",
    "type: 'Deconvolution' convolution_param { num_output: 3 kernel_size: 2 stride: 2 }",
]


@pytest.mark.parametrize("layer", [*ACROSS, *WITHIN])
def test_a_batch_is_taken_apart_where_each_image_is_computed_by_itself(opened, threads, layer):
    text = INPUT.replace("dim: 2", "dim: 9") + f"layer {{ name: 'l' bottom: 'in' top: 'top' {layer} }}"
    net, data = filled(text, 1), normal(1, 9, 4, 6, 5)
    expected = by_layer(net, data)["top"]
    threads(2)
    inference = opened(net, text)
    (found,) = inference.forward({"in": data}, ["top"])
    assert found.shape == expected.shape and np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (inference._workers is not None) == (layer in WITHIN)


def test_pieces_have_the_same_bits_each_time_whoever_computes_them(opened, threads):
    threads(3)
    text, _ = graph(RESIDUAL)
    inference, data = opened(filled(text, 1), text), {"in": normal(1, 10, 4, 6, 5)}
    (first,) = inference.forward(data, ["b3"])
    assert inference._workers.count == 3
    for _ in range(20):
        assert np.array_equal(inference.forward(data, ["b3"])[0], first)
    threads(1)
    assert np.allclose(inference.forward(data, ["b3"])[0], first, atol=1e-5)


def test_workers_have_one_thread_of_pytorch_each_and_change_nothing_for_others(threads):
    threads(3)
    workers = Workers()
    assert workers.map(lambda _: torch.get_num_threads(), range(20)) == [1] * 20
    assert torch.get_num_threads() == 3 and workers.are_of_now()
    threads(2)
    assert not workers.are_of_now()


def test_a_copy_of_the_process_makes_workers_of_its_own(opened, threads, monkeypatch):
    threads(2)
    text, _ = graph(RESIDUAL)
    inference, data = opened(filled(text, 1), text), {"in": normal(1, 4, 4, 6, 5)}
    (first,), workers = inference.forward(data, ["b3"]), inference._workers
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert np.array_equal(inference.forward(data, ["b3"])[0], first)
    assert inference._workers is not workers
