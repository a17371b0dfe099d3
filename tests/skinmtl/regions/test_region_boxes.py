"""Overlap, deltas and clipping of boxes. Check 4 of 12: encoding and decoding of deltas are inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.regions.boxes import LARGEST_LOG, are_boxes, areas, check_lesions, clip, decode, encode, iou

STD = (0.1, 0.1, 0.2, 0.2)
cases = settings(max_examples=100, deadline=None, derandomize=True)


@st.composite
def some_boxes(draw, count):
    """Boxes (n, 4) float32 with an area, partly outside of an input of 512 pixels."""
    edge, length = st.floats(-200, 600, width=32), st.floats(1, 400, width=32)
    made = [(draw(edge), draw(edge), draw(length), draw(length)) for _ in range(count)]
    return np.float32([(x, y, x + width, y + height) for x, y, width, height in made])


def slow_iou(one, other):
    """By the definition, in whole and halves of pixels: counted, where boxes have whole edges."""
    shared = {(x, y) for x in range(*one[::2]) for y in range(*one[1::2])} & {
        (x, y) for x in range(*other[::2]) for y in range(*other[1::2])
    }
    both = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - len(shared)
    return len(shared) / both if both else 0


whole_edges = st.tuples(*[st.integers(0, 8)] * 4)


@given(st.lists(whole_edges, min_size=1, max_size=4), st.lists(whole_edges, min_size=1, max_size=4))
@cases
def test_iou_is_the_share_of_the_pixels_of_either_that_lie_in_both(some, others):
    some = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in some]
    others = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in others]
    expected = [[slow_iou(one, other) for other in others] for one in some]
    np.testing.assert_allclose(iou(np.float64(some), np.float64(others)), expected, atol=1e-12)


@given(some_boxes(5), some_boxes(1))
@cases
def test_decode_is_the_inverse_of_encode(boxes, reference):
    boxes, reference = boxes.astype(np.float64), np.broadcast_to(reference, boxes.shape).astype(np.float64)
    kept = np.log((boxes[:, 2:] - boxes[:, :2]) / (reference[:, 2:] - reference[:, :2])).max(axis=1) < LARGEST_LOG
    back = decode(encode(boxes, reference, STD), reference, STD)
    np.testing.assert_allclose(back[kept], boxes[kept], atol=1e-6)


def test_deltas_are_those_of_a_box_worked_out_by_hand():
    # from the centre (10, 10) of 20 x 10 to (14, 9) of 40 x 5
    deltas = encode(np.float32([[-6, 6.5, 34, 11.5]]), np.float32([[0, 5, 20, 15]]), STD)
    np.testing.assert_allclose(deltas, [[4 / 20 / 0.1, -1 / 10 / 0.1, np.log(2) / 0.2, -np.log(2) / 0.2]], rtol=1e-6)


def test_a_delta_of_any_size_makes_a_side_at_most_62_and_a_half_times_the_references():
    box = decode(np.float32([[0, 0, 1e6, -1e6]]), np.float32([[0, 0, 10, 10]]), STD)[0]
    np.testing.assert_allclose(box[2] - box[0], 625, rtol=1e-5)
    assert box[3] - box[1] == 0


def test_clipping_leaves_what_lies_in_the_window_and_takes_the_area_of_the_rest():
    window = np.float32([0, 10, 100, 90])
    boxes = np.float32([[20, 20, 30, 30], [-5, 0, 50, 95], [-20, 20, -10, 30], [110, 95, 120, 99]])
    clipped = clip(boxes, window)
    np.testing.assert_array_equal(clipped[:2], [[20, 20, 30, 30], [0, 10, 50, 90]])
    np.testing.assert_array_equal(areas(clipped), [100, 4000, 0, 0])
    np.testing.assert_array_equal(are_boxes(clipped), [True, True, False, False])


def test_rows_of_zeros_are_no_boxes():
    assert not are_boxes(np.zeros((3, 4))).any()


@pytest.mark.parametrize("box", [[5, 5, 5, 9], [9, 9, 5, 5], [0, 0, np.nan, 9], [0, 0, 0, 0]])
def test_a_lesion_whose_box_has_no_area_is_refused(box):
    boxes = np.float32([[0, 0, 9, 9], box])
    check_lesions(boxes, np.float32([1, 0]))
    with pytest.raises(InputError, match=r"box 1 of the batch \(.*\) has no area, but its class_label is 2;"):
        check_lesions(boxes, np.float32([1, 2]))
