"""A layer of a stream whose samples have several parts of different shapes: each has a top of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from numbered_samples import LesionSamples
from torch_agreement import net_of

from caffe_files.streams import Recipe
from caffe_torch.layers.sources import StreamSource

pytestmark = pytest.mark.torch
HELPERS = str(Path(__file__).resolve().parents[1] / "helpers")
TOPS = ("data", "window", "box", "class_label", "mask", "draw")
# a table that names itself: what the net asks for by python_param
CAFFE_TORCH_LAYERS = {"Lesions": f"{__name__}:Lesions"}


class Lesions(StreamSource):
    """Two samples a batch."""

    def prepare(self):
        self.set_up_stream(Recipe.of(LesionSamples, boxes=1), 2, True, (1.0, 2.0, 3.0))


def lesions(tops=TOPS):
    named = " ".join(f"top: '{top}'" for top in tops)
    return net_of(
        f"layer {{ name: 'l' type: 'Python' {named} python_param {{ module: '{__name__}' layer: 'Lesions' }} }}"
    )


def test_every_part_has_a_top_of_its_shape():
    net = lesions()
    expected = [(2, 3, 40, 48), (2, 4), (2, 4), (2,), (2, 1, 40, 48), (2, 2)]
    assert [net.shapes[top] for top in TOPS] == expected
    blobs = net()
    assert [tuple(blobs[top].shape) for top in TOPS] == expected
    assert {blobs[top].dtype for top in TOPS} == {torch.float32}


@pytest.mark.parametrize("workers", [0, 2])
def test_the_image_alone_is_less_the_mean_and_batches_stay_as_they_were_given(workers, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", HELPERS)  # where a worker process finds the reader
    net = lesions()
    layer = net.layer("l")
    layer.workers = workers
    layer.start(1, 5)
    try:
        batches = [net() for _ in range(3)]  # a batch is not written over by the next
    finally:
        layer.close()
    for number, blobs in enumerate(batches, 1):
        visits = np.array([2 * number, 2 * number + 1], np.float32)
        pixels = np.broadcast_to(50 + visits[:, None] - np.float32([1, 2, 3]), (2, 3))
        assert (blobs["data"].numpy() == pixels[:, :, None, None]).all()
        assert (blobs["window"].numpy() == [0, 4, 48, 36]).all()
        assert (blobs["box"].numpy() == np.arange(4) + visits[:, None]).all()
        assert (blobs["class_label"].numpy() == visits % 3).all()
        assert (blobs["mask"].numpy() == (visits % 2)[:, None, None, None]).all()
        assert (blobs["draw"].numpy() == np.stack([np.full(2, 5), visits], 1)).all()


def test_parts_that_have_no_top_are_left_out():
    net = lesions(TOPS[:2])
    assert set(net()) == {"data", "window"}
    assert "caffe" not in sys.modules
