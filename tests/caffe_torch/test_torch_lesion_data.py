"""LesionData in caffe_torch: the numbers of the layer for BVLC Caffe to the bit, from any place, by any workers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from made_lesions import TOPS, lesion_layer, lesion_records, write_lesion_lmdbs
from torch_agreement import NEEDS_CAFFE, net_of

from caffe_files.errors import InputError
from caffe_torch.workers import share_workers

pytestmark = pytest.mark.torch
torch.set_num_threads(1)
SIZES = ((40, 60), (60, 40), (190, 181), (64, 64), (33, 200))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_lesion_lmdbs(tmp_path_factory.mktemp("lesions ü"), lesion_records(SIZES))


def shown(text, batches, workers=0, start=None, phase="TRAIN", rank=0, world=1):
    """The tops of some batches."""
    net = net_of(text, phase)
    layer = net.layer("data")
    layer.workers, layer.rank, layer.world = workers, rank, world
    if start is not None:
        layer.start(*start)
    try:
        found = [net() for _ in range(batches)]
    finally:
        layer.close()
    return {top: np.concatenate([blobs[top].numpy() for blobs in found]) for top in TOPS}


def assert_same(found, expected, places=slice(None)):
    for top in TOPS:
        np.testing.assert_array_equal(found[top], expected[top][places], err_msg=top)


@NEEDS_CAFFE
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_every_top_is_that_of_the_layer_for_caffe_to_the_bit(caffe, source, phase):
    answer = caffe.answer(lesion_layer(source, 40, augment=5, start=7, workers=0), phase, {})
    expected = {top: answer[f"blob:{top}"] for top in TOPS}
    for workers in (0, 2):  # as `caffe train` and `caffe-torch train`: the seed and the start are the param_str's
        assert_same(shown(lesion_layer(source, 10, augment=5, start=7), 4, workers, phase=phase), expected)
    # as tools/train.py, which tells both engines a seed and a place in the data
    later = lesion_layer(source, 10, augment=5, start=99, seed=4)
    if phase == "TRAIN":
        assert_same(shown(later, 1, start=(2, 3)), expected, slice(13, 23))


def test_a_stream_does_not_depend_on_where_it_starts_nor_on_workers_nor_on_devices(source):
    whole = shown(lesion_layer(source, 5), 8, start=(0, 9))
    assert (shown(lesion_layer(source, 5), 8, start=(0, 10))["draw"] != whole["draw"]).any()
    for workers in (1, 3):
        assert_same(shown(lesion_layer(source, 5), 3, workers, start=(4, 9)), whole, slice(20, 35))
    for rank in (0, 1):
        found = shown(lesion_layer(source, 5), 2, 1 + rank, start=(1, 9), rank=rank, world=2)
        assert_same(found, whole, slice(10 + rank, 30, 2))


def test_a_test_goes_to_its_place_and_keeps_the_seed_of_the_net(source):
    """caffe-torch tells a place with the solver's seed before each test; in stock Caffe the data goes on by itself."""
    text = lesion_layer(source, 2)
    expected = shown(text, 4, phase="TEST")
    net = net_of(text, "TEST")
    net()
    net.layer("data").go_to(3, 99)
    found = {top: values.numpy() for top, values in net().items()}
    assert_same(found, expected, slice(6, 8))


def test_the_workers_are_those_of_the_param_str(source):
    net = net_of(lesion_layer(source, workers=1), "TRAIN")
    share_workers(list(net.sources()), None)
    assert net.layer("data").workers == 1


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda source: lesion_layer(source, seed="1"), 'seed in param_str is "1"; give a whole number'),
        (
            lambda source: lesion_layer(source, tops=TOPS[:5]),
            "gives 6 tops: data, window, box, class_label, mask, draw",
        ),
        (lambda source: lesion_layer(source.parent / "none" / "image_lmdb"), "no LMDB"),
        (lambda source: lesion_layer(source.parent / "lesion_lmdb"), "record 00000000: holds no encoded image"),
    ],
)
def test_what_cannot_be_used_is_refused_when_the_net_is_built(source, layer, words):
    with pytest.raises(InputError, match=words):
        net_of(layer(source), "TRAIN")
