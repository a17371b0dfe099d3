"""The regions in numpy against torchvision's operators and PyTorch's gradients."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
torchvision = pytest.importorskip("torchvision")

from torch.nn import functional as F

from skinmtl.regions.boxes import iou
from skinmtl.regions.losses import focal_loss, smooth_l1_loss
from skinmtl.regions.nms import nms
from skinmtl.regions.roi_align import RoIAlign, level_of

pytestmark = pytest.mark.torch

STRIDES = (4, 8, 16, 32)


def boxes(count, seed, largest=150, side=256):
    random = np.random.RandomState(seed)
    corners = random.uniform(-20, side, (count, 2))
    return np.float32(np.concatenate([corners, corners + largest * random.rand(count, 2) ** 2], axis=1))


def test_iou_is_torchvisions():
    some, others = boxes(50, 1), boxes(70, 2)
    expected = torchvision.ops.box_iou(torch.from_numpy(some), torch.from_numpy(others)).numpy()
    np.testing.assert_allclose(iou(some, others), expected, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("count", [1, 300, 6000])
def test_nms_is_torchvisions(count, threshold):
    candidates = boxes(count, 3)
    scores = torch.arange(count, 0, -1).float()
    expected = torchvision.ops.nms(torch.from_numpy(candidates), scores, threshold).numpy()
    np.testing.assert_array_equal(nms(candidates, threshold), expected)


@pytest.mark.parametrize(("pooled", "samples"), [(7, 2), (14, 2), (7, 1), (3, 4)])
@pytest.mark.parametrize("levels", ["round", "floor"])
def test_roi_align_is_torchvisions_on_each_level_forward_and_backward(pooled, samples, levels):
    random = np.random.RandomState(4)
    features = [random.randn(2, 5, 256 // stride, 256 // stride).astype(np.float32) for stride in STRIDES]
    rois = np.concatenate([random.randint(0, 2, (60, 1)), boxes(60, 5)], axis=1).astype(np.float32)
    rois[:3, 1:] = 0
    pooler = RoIAlign(rois, [each.shape[2:] for each in features], 2, STRIDES, pooled, samples, 56, levels)
    made = pooler.pooled(features)
    above = random.randn(*made.shape).astype(np.float32)
    gradients = [np.empty_like(feature) for feature in features]
    pooler.gradients(above, gradients)
    of_level = level_of(rois[:, 1:], STRIDES, 56, levels)
    assert len(set(of_level)) == 4
    for level, stride in enumerate(STRIDES):
        rows = np.flatnonzero(of_level == level)
        feature = torch.from_numpy(features[level]).requires_grad_()
        expected = torchvision.ops.roi_align(feature, torch.from_numpy(rois[rows]), pooled, 1 / stride, samples, True)
        expected.backward(torch.from_numpy(above[rows]))
        np.testing.assert_allclose(made[rows], expected.detach().numpy(), atol=1e-4)
        np.testing.assert_allclose(gradients[level], feature.grad.numpy(), atol=1e-4)


def test_focal_loss_is_torchvisions_for_two_classes():
    """There of one score, the difference of ours; alpha weighs the positive ones."""
    random = np.random.RandomState(6)
    scores, labels = torch.from_numpy(random.randn(40, 2)).requires_grad_(), random.randint(0, 2, 40)
    expected = torchvision.ops.sigmoid_focal_loss(
        scores[:, 1] - scores[:, 0], torch.from_numpy(labels).double(), 0.25, 2, "mean"
    )
    expected.backward()
    value, gradient = focal_loss(scores.detach().numpy(), labels, 0.25, 2)
    assert value == pytest.approx(expected.item(), rel=1e-9)
    np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-10)


@pytest.mark.parametrize("sigma", [0.5, 1, 3])
def test_smooth_l1_is_pytorchs(sigma):
    random = np.random.RandomState(7)
    prediction, target, weight = random.randn(3, 30, 4)
    given = torch.from_numpy(prediction).requires_grad_()
    each = F.smooth_l1_loss(given, torch.from_numpy(target), beta=1 / sigma**2, reduction="none")
    expected = (each * torch.from_numpy(weight)).sum()
    expected.backward()
    value, gradient = smooth_l1_loss(prediction, target, weight, sigma)
    assert value == pytest.approx(expected.item())
    np.testing.assert_allclose(gradient, given.grad.numpy(), atol=1e-10)
