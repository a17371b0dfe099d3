"""A deploy net whose input or outputs have other axes than a net of make_prototxt.py is refused in a line."""

from __future__ import annotations

import pytest
from made_model import ENGINE, write_small_net

from caffe_files.errors import InputError
from skinmtl.engines.snapshot import checked_snapshot
from skinmtl.publishing.run_model import run_model
from skinmtl.training.trained_net import TrainedNet

FLAT = "layer { name: 'flat' type: 'Reshape' bottom: 'all' top: 'lesion_prob' reshape_param { shape { dim: -1 } } }"


@pytest.fixture
def deploy(tmp_path):
    write_small_net(tmp_path)
    return tmp_path / "deploy.prototxt"


def test_an_output_has_an_axis_of_images_and_one_of_labels(deploy):
    deploy.write_text(deploy.read_text().replace("top: 'lesion_prob'", "top: 'all'") + FLAT)
    with pytest.raises(InputError, match="lesion_prob has no value for each image and label"):
        checked_snapshot(deploy, deploy.with_name("small.caffemodel"), ENGINE)


@pytest.mark.parametrize("shape", ["shape { dim: [1, 3] }", "shape { }", ""])
def test_an_input_of_a_run_has_four_axes(deploy, shape):
    deploy.write_text(deploy.read_text().replace("shape { dim: [1, 3, 32, 32] }", shape))
    with pytest.raises(InputError, match="no input 'data'"):
        run_model(TrainedNet(deploy, deploy.with_name("small.caffemodel")))
