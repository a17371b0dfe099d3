"""What caffe_torch draws at random, fillers and Dropout, against BVLC Caffe: other numbers of the same distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from torch_agreement import NEEDS_CAFFE, net_of, with_inputs

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
SHAPE = (2, 20, 9, 9)
SQUARE = "num_output: 40 kernel_size: 5"  # 20,000 weights; 500 a fan in, 1000 a fan out
FANS = ("FAN_IN", "FAN_OUT", "AVERAGE")


def filled(caffe, layer):
    """A layer's blobs as this engine and as Caffe fill them: two lists of arrays."""
    text = with_inputs(layer, {"a": SHAPE})
    torch.manual_seed(1)
    ours = [blob.detach().numpy() for blob in net_of(text).layer("layer").blobs]
    answer = caffe.answer(text, "TEST", {})
    return ours, [answer[f"weight:layer:{number}"] for number in range(len(ours))]


@pytest.mark.parametrize(
    "layer",
    [
        f"type: 'Convolution' convolution_param {{ {SQUARE} }}",
        f"type: 'Convolution' convolution_param {{ {SQUARE} weight_filler {{ value: 2 }} bias_filler {{ value: 3 }} }}",
        "type: 'InnerProduct' inner_product_param { num_output: 3 bias_filler { value: -1 } }",
        "type: 'BatchNorm'",
        "type: 'Scale' scale_param { bias_term: true }",
        "type: 'Scale' scale_param { filler { value: 4 } bias_term: true bias_filler { value: 5 } }",
        "type: 'Scale' scale_param { filler { } }",
        "type: 'Bias'",
        "type: 'Bias' bias_param { filler { value: 6 } }",
        *(
            f"type: 'Deconvolution' convolution_param {{ num_output: 20 group: 20 kernel_size: {kernel} "
            "weight_filler { type: 'bilinear' } }"
            for kernel in range(1, 7)
        ),
    ],
)
def test_what_is_not_drawn_is_caffes(caffe, layer):
    for ours, caffes in zip(*filled(caffe, f"top: 'top' {layer}")):
        np.testing.assert_allclose(ours, caffes, rtol=1e-6)


@pytest.mark.parametrize(
    "filler",
    [
        "type: 'gaussian' mean: 1 std: 2",
        "type: 'gaussian' std: 2 sparse: 10",
        "type: 'uniform' min: -2 max: 3",
        "type: 'positive_unitball'",
        *(f"type: '{kind}' variance_norm: {fan}" for kind in ("xavier", "msra") for fan in FANS),
    ],
)
def test_fillers_draw_from_caffes_distributions(caffe, filler):
    layer = f"type: 'Convolution' top: 'top' convolution_param {{ {SQUARE} weight_filler {{ {filler} }} }}"
    (ours, _), (caffes, _) = filled(caffe, layer)
    assert ours.shape == caffes.shape
    assert (ours != caffes).any()
    # Caffe's draw has no seed here: by Kolmogorov and Smirnov, equal distributions differ so much once in a million
    assert ks_2samp(ours.ravel(), caffes.ravel()).statistic < np.sqrt(-np.log(1e-6 / 2) / ours.size)
    assert (ours == 0).mean() == pytest.approx((caffes == 0).mean(), abs=0.02)
    if "unitball" in filler:
        np.testing.assert_allclose(ours.sum(axis=(1, 2, 3)), 1, rtol=1e-5)


@pytest.mark.parametrize("said", ["", "dropout_ratio: 0.2", "dropout_ratio: 0"])
def test_dropout_drops_and_grows_as_caffes(caffe, said):
    text = with_inputs(f"type: 'Dropout' top: 'top' dropout_param {{ {said} }}", {"a": (4, 5000)})
    ones = np.ones((4, 5000), np.float32)
    data = torch.from_numpy(ones.copy()).requires_grad_()
    torch.manual_seed(1)
    ours = net_of(text, "TRAIN")({"a": data})["top"]
    ours.sum().backward()
    caffes = caffe.answer(text, "TRAIN", {"blob:a": ones})["blob:top"]
    np.testing.assert_allclose(np.unique(ours.detach().numpy()), np.unique(caffes), rtol=1e-6)
    assert float((ours == 0).float().mean()) == pytest.approx((caffes == 0).mean(), abs=0.02)
    assert torch.equal(data.grad, ours.detach())  # what is dropped learns nothing
