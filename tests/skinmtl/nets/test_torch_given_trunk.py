"""A net on a published trunk answers in caffe_torch as in BVLC Caffe, blob for blob, and learns on both alike."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from papers_nets import options
from published_nets import NETS, write_net, write_weights

from caffe_files.prototxt import message_text
from caffe_torch.model_files import copy_weights
from caffe_torch.net import Net
from skinmtl.nets.given_trunk import read_given_trunk
from skinmtl.nets.multi_task import make_net

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe"),
]


@pytest.mark.parametrize("name", NETS)
def test_every_blob_is_caffes_with_the_published_weights(name, caffe, tmp_path):
    taken = NETS[name]
    deploy = write_net(name, tmp_path)
    weights = write_weights(deploy, tmp_path / "published.caffemodel")
    trunk = read_given_trunk(deploy, taken.features, input_scale=0.017 if name == "mobilenet" else None)
    made = make_net(options(given=trunk, trunk="x", crop=taken.side, lesions=3, locations=4), "deploy")
    net = Net(made, "TEST")
    copy_weights(net, weights)
    random = np.random.RandomState(3)
    arrays = {}
    with torch.no_grad():
        for layer in net.layers:
            for number, blob in enumerate(layer.blobs):
                if layer.name.startswith("fc_l"):
                    blob.copy_(torch.from_numpy(random.normal(0, 0.3, tuple(blob.shape)).astype(np.float32)))
                arrays[f"weight:{layer.name}:{number}"] = blob.detach().numpy().copy()
        data = random.normal(0, 60, (1, 3, taken.side, taken.side)).astype(np.float32)
        found = net({"data": torch.from_numpy(data)})
    expected = caffe.answer(message_text(made), "TEST", {**arrays, "blob:data": data})
    assert {"lesion_prob", "location_prob", trunk.fitted(taken.side).features} <= set(found)
    for blob, values in found.items():
        theirs = expected[f"blob:{blob}"]
        assert np.abs(values.numpy() - theirs).max() <= 1e-4 * max(np.abs(theirs).max(), 1e-3), blob
