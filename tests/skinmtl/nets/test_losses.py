"""Both losses and their gradients, as real Caffe computes them from the three LMDBs, against the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.caffe


@pytest.fixture(scope="module")
def net(tiny_model):
    import caffe

    caffe.set_random_seed(1)
    net = caffe.Net(str(tiny_model.folder / "train.prototxt"), caffe.TRAIN)
    net.params["fc_lesion"][0].data[...] *= 30  # the initial heads hardly say anything: make the case a real one
    net.params["fc_location"][0].data[...] *= 30
    net.forward()
    net.backward()
    return net


def test_labels_arrive_as_the_equations_want_them(net):
    lesions, locations = net.blobs["lesion_label"].data, net.blobs["location_label"].data
    assert lesions.shape == (8, 3, 1, 1)
    assert set(np.unique(lesions)) <= {0, 1}
    assert lesions.sum(axis=1).min() >= 1
    assert locations.shape == (8, 1, 1, 1)
    assert set(np.unique(locations)) <= {0, 1, 2, 3}


def test_the_lesion_loss_is_the_mean_over_images_of_the_sum_over_lesions(net):
    logits = net.blobs["fc_lesion"].data.astype(np.float64)
    labels = net.blobs["lesion_label"].data.reshape(logits.shape)
    probability = 1 / (1 + np.exp(-logits))
    loss = -(labels * np.log(probability) + (1 - labels) * np.log(1 - probability)).sum() / len(logits)
    assert float(net.blobs["lesion_loss"].data) == pytest.approx(loss, rel=1e-5)
    assert np.allclose(net.blobs["fc_lesion"].diff, (probability - labels) / len(logits), atol=1e-7)


def test_the_location_loss_is_the_mean_over_images_of_the_negative_log_softmax(net):
    logits = net.blobs["fc_location"].data.astype(np.float64)
    labels = net.blobs["location_label"].data.reshape(-1).astype(int)
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    loss = -np.log(probability[np.arange(len(labels)), labels]).mean()
    one_hot = np.eye(logits.shape[1])[labels]
    assert float(net.blobs["location_loss"].data) == pytest.approx(loss, rel=1e-5)
    assert np.allclose(net.blobs["fc_location"].diff, (probability - one_hot) / len(labels), atol=1e-7)


def test_the_trunk_learns_from_the_sum_of_both(net):
    pooled = sum(
        net.blobs[head].diff.astype(np.float64) @ net.params[head][0].data for head in ("fc_lesion", "fc_location")
    )
    assert np.allclose(net.blobs["pool5"].diff.reshape(pooled.shape), pooled, atol=1e-6)
