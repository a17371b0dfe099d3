"""A net that BVLC Caffe does not open is not opened here, so that what is trained can be used there; and none is
refused that it runs rightly."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from torch_agreement import NEEDS_CAFFE, net_of, normal

from caffe_files.errors import InputError
from caffe_torch.layers import LAYERS

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
INPUT = "layer { name: 'data' type: 'Input' top: 'a' input_param { shape { dim: 2 dim: 4 dim: 3 dim: 3 } } }\n"
POWER = "layer { name: 'power' type: 'Power' bottom: 'a' top: 'p' }\n"


@pytest.mark.parametrize(
    ("layers", "theirs", "ours"),
    [
        (
            POWER + "layer { name: 'relu' type: 'ReLU' bottom: 'a' top: 'a' }",
            "Top blob 'a' produced by multiple sources",
            "'relu': works in place on 'a', which another layer",
        ),
        (
            POWER.replace("}", "loss_weight: 1 }") + "layer { name: 'relu' type: 'ReLU' bottom: 'p' top: 'p' }",
            "Top blob 'p' produced by multiple sources",
            "'relu': works in place on 'p', which another layer, or the loss",
        ),
        (
            "layer { name: 'split' type: 'Split' bottom: 'a' top: 'b' top: 'b' }",
            "produced by multiple sources",
            "another layer has the top 'b'",
        ),
        (
            "layer { name: 'r' type: 'Reshape' bottom: 'a' top: 'a' reshape_param { shape { dim: 2 dim: -1 } } }",
            "does not allow in-place",
            "cannot work in place",
        ),
        (
            "layer { name: 'loss' type: 'SigmoidCrossEntropyLoss' bottom: 'a' bottom: 'a' top: 'x' top: 'y' }",
            "produces 1 top",
            "2 tops where it gives 1",
        ),
        (
            "layer { name: 'c' type: 'Concat' bottom: 'a' top: 'c' concat_param { axis: 1 concat_dim: 1 } }",
            "Either axis or concat_dim",
            "axis and the older concat_dim",
        ),
        (
            "layer { name: 's' type: 'Slice' bottom: 'a' top: 's' slice_param { axis: 1 slice_dim: 1 } }",
            "Either axis or slice_dim",
            "axis and the older slice_dim",
        ),
        (
            "layer { name: 'p' type: 'Pooling' bottom: 'a' top: 'p' pooling_param { global_pooling: true kernel_h: 3}}",
            "Filter size cannot specified",
            "no kernel of its own",
        ),
        (None, "layers_.size()", "has no layers"),
    ],
)
def test_what_caffe_refuses_is_refused(caffe, layers, theirs, ours):
    text = "name: 'empty'" if layers is None else INPUT + layers
    assert theirs in caffe.refusal(text)
    with pytest.raises(InputError, match=ours) as raised:
        net_of(text)
    assert "\n" not in str(raised.value)


SETTINGS = {
    "Convolution": "convolution_param { num_output: 4 kernel_size: 1 weight_filler { type: 'gaussian' } }",
    "Deconvolution": "convolution_param { num_output: 4 kernel_size: 1 weight_filler { type: 'gaussian' } }",
    "InnerProduct": "inner_product_param { num_output: 3 axis: 3 weight_filler { type: 'gaussian' } }",
    "Pooling": "pooling_param { kernel_size: 3 pad: 1 }",
    "Reshape": "reshape_param { shape { dim: 0 } num_axes: 1 }",
    "Flatten": "flatten_param { axis: 2 end_axis: 2 }",
    "Tile": "tile_param { tiles: 2 }",
    "Log": "log_param { shift: 9 }",
    "SPP": "spp_param { pyramid_height: 2 }",
    "Reduction": "reduction_param { axis: 3 }",
    "Slice": "top: 'other'",
    "Power": "power_param { power: 2 scale: 0.5 shift: 1 }",
    "Scale": "scale_param { filler { value: 2 } }",
    "Bias": "bias_param { filler { value: 2 } }",
}
OF_ONE_BOTTOM = sorted(
    kind
    for kind, layer in LAYERS.items()
    if kind not in ("Python", "Silence", "Split", "Concat", "Dropout", "Embed") and layer.takes[0] == 1
)


@pytest.mark.parametrize("kind", OF_ONE_BOTTOM)
def test_a_layer_works_in_place_where_caffes_does(caffe, kind):
    """Where Caffe's top is another in place, or Caffe gives up, the layer is refused."""
    text = INPUT + f"layer {{ name: 'layer' type: '{kind}' bottom: 'a' top: 'TOP' {SETTINGS.get(kind, '')} }}"
    in_place = text.replace("TOP", "a")
    net = net_of(text.replace("TOP", "top"))
    arrays = {f"weight:layer:{number}": blob.detach().numpy() for number, blob in enumerate(net.layer("layer").blobs)}
    arrays["blob:a"] = normal(1, 2, 4, 3, 3)
    wanted = caffe.answer(text.replace("TOP", "top"), "TEST", arrays)["blob:top"]
    same = not caffe.refusal(in_place)
    if same:
        try:
            found = caffe.answer(in_place, "TEST", arrays)["blob:a"]
            same = found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-5, atol=1e-6)
        except AssertionError:
            same = False
    assert LAYERS[kind].works_in_place == same
    if same:
        net = net_of(in_place)
        with torch.no_grad():
            for number, blob in enumerate(net.layer("layer").blobs):
                blob.copy_(torch.from_numpy(arrays[f"weight:layer:{number}"]))
        assert np.allclose(net({"a": torch.from_numpy(arrays["blob:a"])})["a"].detach(), wanted, rtol=1e-4, atol=1e-5)
    else:
        with pytest.raises(InputError, match="cannot work in place"):
            net_of(in_place)


def test_a_sum_in_place_forgets_a_bottom_in_caffe_and_is_refused(caffe):
    more = "layer { name: 'more' type: 'Power' bottom: 'a' top: 'q' power_param { scale: 5 } }\n"
    text = INPUT + POWER + more + "layer { name: 'sum' type: 'Eltwise' bottom: 'p' bottom: 'q' top: 'TOP' }"
    arrays = {"blob:a": np.ones((2, 4, 3, 3), np.float32)}
    assert (caffe.answer(text.replace("TOP", "sum"), "TEST", arrays)["blob:sum"] == 6).all()
    assert (caffe.answer(text.replace("TOP", "p"), "TEST", arrays)["blob:p"] == 5).all()
    with pytest.raises(InputError, match="Caffe forgets the bottom"):
        net_of(text.replace("TOP", "p"))


def test_a_layers_own_phase_is_stronger_than_the_nets(caffe):
    text = INPUT + "layer { name: 'drop' type: 'Dropout' bottom: 'a' top: 'b' phase: %s }"
    values = normal(1, 2, 4, 3, 3)
    for own, net, dropped in (("TEST", "TRAIN", False), ("TRAIN", "TEST", True)):
        theirs = caffe.answer(text % own, net, {"blob:a": values})["blob:b"]
        ours = net_of(text % own, net)({"a": torch.from_numpy(values)})["b"].numpy()
        assert (theirs == 0).any() == (ours == 0).any() == dropped
