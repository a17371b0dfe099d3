"""Where crops lie and where a cell of res5c looks: every pixel seen, and seen where Caffe sees it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.explanation.attention_geometry import Cells, cells_of, places
from skinmtl.explanation.attention_net import cut
from skinmtl.scores.crops import ten_crops

MEAN = np.array([103.0626, 115.9029, 123.1516])


@given(st.integers(1, 12), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_crops_show_every_pixel_inside_of_the_image_and_turned_round_as_often_as_not(crop, more, wider):
    height, width = crop + more, crop + wider
    seen = np.zeros((height, width, 2), int)
    for top, left, mirrored in places(height, width, crop):
        assert 0 <= top <= height - crop
        assert 0 <= left <= width - crop
        seen[top : top + crop, left : left + crop, int(mirrored)] += 1
    assert seen.min() >= 1
    assert np.array_equal(seen[:, :, 0], seen[:, :, 1])


@pytest.mark.parametrize("size", [(64, 64), (73, 90), (128, 128), (64, 300)])
def test_the_first_ten_crops_are_those_of_the_test(size):
    image = np.random.RandomState(1).randint(0, 256, (*size, 3)).astype(np.uint8)
    crops = [cut(image, place, 64, MEAN) for place in places(*size, 64)]
    assert np.array_equal(crops[:10], ten_crops(image, 64, MEAN))
    assert (len(crops) == 10) == (max(size) <= 2 * 64)


def test_ten_crops_leave_gaps_in_a_long_image_and_the_others_fill_them():
    seen = np.zeros((70, 160), int)
    for top, left, _ in places(70, 160, 64)[:10]:
        seen[top : top + 64, left : left + 64] += 1
    assert (seen == 0).sum() == 6 * (160 - 2 * 64)  # above and below the centre crop


# where a cell looks


@pytest.mark.parametrize(("cells", "step"), [(7, 32), (4, 16), (1, 8), (5, 3)])
def test_cells_that_tile_a_crop_are_stretched_as_opencv_does(cells, step):
    of_cells = np.random.RandomState(1).rand(cells, cells)
    weights = Cells((step - 1) / 2, step).weights(cells, cells * step)
    stretched = cv2.resize(of_cells, (cells * step, cells * step), interpolation=cv2.INTER_LINEAR)
    assert np.allclose(weights @ of_cells @ weights.T, stretched, atol=1e-6)


def test_a_ramp_stays_a_ramp_between_the_first_and_the_last_centre():
    cells = Cells(2.0, 32.0)
    centres = 2 + 32 * np.arange(7)
    ramp = cells.weights(7, 224) @ centres
    assert np.allclose(ramp[2:195], np.arange(2, 195))
    assert np.allclose(ramp[:2], 2)
    assert np.allclose(ramp[195:], 194)


@pytest.mark.parametrize(("model", "step"), [("resnet50_mtl", 32), ("tiny_mtl", 16)])
def test_cells_of_a_resnet_look_further_up_and_left_than_their_tiles(model, step):
    assert cells_of(ROOT / "prototxt" / model / "deploy.prototxt", "res5c") == Cells(2, step)


@pytest.mark.caffe
def test_cells_are_where_caffe_looks(tmp_path):
    """A net of plain averages: what a cell answers to has its middle at the cell's centre."""
    import caffe

    average = "weight_filler { type: 'constant' value: 1 } bias_term: false"
    deploy = tmp_path / "deploy.prototxt"
    deploy.write_text(f"""
        layer {{ name: 'data' type: 'Input' top: 'data' input_param {{ shape {{ dim: [1, 1, 40, 40] }} }} }}
        layer {{ name: 'a' type: 'Convolution' bottom: 'data' top: 'a'
          convolution_param {{ num_output: 1 kernel_size: 5 stride: 2 pad: 1 {average} }} }}
        layer {{ name: 'rectify' type: 'ReLU' bottom: 'a' top: 'a' }}
        layer {{ name: 'b' type: 'Pooling' bottom: 'a' top: 'b'
          pooling_param {{ pool: AVE kernel_size: 2 stride: 1 }} }}
        layer {{ name: 'c' type: 'Convolution' bottom: 'b' top: 'c'
          convolution_param {{ num_output: 1 kernel_size: 3 dilation: 2 stride: 1 pad: 1 {average} }} }}
        layer {{ name: 'd' type: 'Convolution' bottom: 'c' top: 'res5c'
          convolution_param {{ num_output: 1 kernel_size: 1 stride: 3 {average} }} }}""")
    net = caffe.Net(str(deploy), caffe.TEST)
    answers = []
    for pixel in range(40):
        net.blobs["data"].data[...] = 0
        net.blobs["data"].data[0, 0, :, pixel] = 1
        net.forward()
        answers.append(net.blobs["res5c"].data[0, 0, 2].copy())
    answers = np.array(answers)
    cells = cells_of(deploy, "res5c")
    for cell in (1, 2, 3):  # the others look over the edge
        middle = (answers[:, cell] * np.arange(40)).sum() / answers[:, cell].sum()
        assert middle == pytest.approx(cells.first + cell * cells.step, abs=1e-4)


@pytest.mark.parametrize("wide", ["kernel_h: 1 kernel_w: 7 pad_w: 3", "kernel_h: 7 kernel_w: 1 pad_h: 3 pad_w: 0"])
def test_a_kernel_that_is_not_square_and_lies_alike_on_both_axes_moves_nothing(tmp_path, wide):
    """As in Inception v3 and v4."""
    layer = f"name: 'wide' type: 'Convolution' bottom: 'data' top: 'maps' convolution_param {{ num_output: 1 {wide} }}"
    (tmp_path / "deploy.prototxt").write_text(f"layer {{ {layer} }}")
    assert cells_of(tmp_path / "deploy.prototxt", "maps") == (0, 1)


@pytest.mark.parametrize("odd", ["kernel_h: 3 kernel_w: 5", "kernel_size: 3 stride: [1, 2]"])
def test_a_kernel_that_does_not_lie_alike_on_both_axes_is_refused(tmp_path, odd):
    layer = f"name: 'odd' type: 'Convolution' bottom: 'data' top: 'res5c' convolution_param {{ num_output: 1 {odd} }}"
    (tmp_path / "deploy.prototxt").write_text(f"layer {{ {layer} }}")
    with pytest.raises(InputError, match="'odd'"):
        cells_of(tmp_path / "deploy.prototxt", "res5c")
