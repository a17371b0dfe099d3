"""A ResNet of half the width, with other names, biases and no pool, as trunk: from its two files to a model folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from given_chain import run_chain
from published_nets import write_weights

from caffe_files.blobs import blob_values
from caffe_files.prototxt import read_caffemodel
from skinmtl.common.provenance import sha256
from skinmtl.explanation.features_file import read_features

pytestmark = pytest.mark.caffe


@pytest.fixture(scope="module")
def chain(tool, small_set, tmp_path_factory):
    return run_chain(tool, small_set, tmp_path_factory.mktemp("chain"), "caffe")


def test_all_layers_of_the_trunk_are_filled_and_the_heads_alone_start_anew(chain):
    assert f"{chain.weights}: fits {chain.net}" in chain.said["check_weights"]
    layers = json.loads((chain.run / "args.json").read_text())["layers"]
    assert (layers["initial"], layers["unused"]) == (["fc_lesion", "fc_location"], [])


def test_what_is_frozen_stays_bit_for_bit_and_the_rest_learns(chain):
    before, after = (
        {layer.name: [blob_values(blob) for blob in layer.blobs] for layer in read_caffemodel(path).layer}
        for path in (chain.weights, chain.run / "final.caffemodel")
    )
    changed = {
        name
        for name, blobs in before.items()
        if blobs and any(not np.array_equal(old, new) for old, new in zip(blobs, after[name]))
    }
    assert not [name for name in changed if name.startswith(("stem", "layer1")) or name.endswith("/bn")]
    assert {"layer2_unit0_conv1", "layer2_unit0_proj/scale", "layer4_unit1_conv3"} <= changed


def test_features_and_maps_are_those_that_net_json_names(chain):
    features = read_features(chain.folder / "test.npz")
    assert (features.protocol["blob"], features.features.shape) == ("global_pool", (8, 96))
    said = json.loads((chain.folder / "attention/attention.json").read_text())
    assert (said["protocol"]["method"], said["protocol"]["maps"]) == ("cam", "layer4_unit1_sum")
    assert "attention on 2 images" in chain.said["attend"]


def test_origin_and_licence_of_the_weights_stand_in_args_json_and_on_the_card(chain):
    (record,) = json.loads((chain.run / "args.json").read_text())["weights"]
    digest = sha256(chain.weights)
    assert record == {"file": "published.caffemodel", "sha256": digest, "origin": None, "licence": "CC BY 4.0"}
    card = " ".join((chain.folder / "model/README.md").read_text().split())
    assert f"| published.caffemodel | not recorded | CC BY 4.0 | {digest} |" in card
    assert f"thin_resnet.prototxt (sha256 {sha256(chain.deploy)}) up to the blob layer4_unit1_sum" in card


def test_a_frozen_layer_that_no_weights_fill_is_refused(chain, tool, tmp_path, refused):
    solver = ("--solver", chain.folder / "template.prototxt", "--net", chain.net, "--watch-test-fold")
    model = read_caffemodel(chain.weights)
    kept = [layer for layer in model.layer if layer.name != "stem_conv"]
    del model.layer[:]
    model.layer.extend(kept)
    (tmp_path / "less.caffemodel").write_bytes(model.SerializeToString())
    done = tool("train.py", *solver, "--weights", tmp_path / "less.caffemodel", "--out", tmp_path / "run")
    refused(done, "stem_conv does not learn (lr_mult 0) and no weights fill it")
    assert not (tmp_path / "run").exists()


def test_weights_of_another_net_are_refused(chain, tool, tmp_path, refused):
    from published_nets import write_net

    other = write_weights(write_net("vgg", tmp_path), tmp_path / "vgg.caffemodel")
    solver = ("--solver", chain.folder / "template.prototxt", "--net", chain.net, "--watch-test-fold")
    done = tool("train.py", *solver, "--weights", other, "--out", tmp_path / "run")
    refused(done, "vgg.caffemodel: no layer has a name of", "give weights of its trunk")
    wide = write_net("thin_resnet", tmp_path, widths=(4, 12, 16, 24))
    other = write_weights(wide, tmp_path / "wide.caffemodel")
    done = tool("train.py", *solver, "--weights", other, "--out", tmp_path / "run")
    refused(done, "wide.caffemodel: does not fit", "layer1_unit0")


def test_a_licence_goes_with_weights(chain, tool, tmp_path):
    flags = ("--solver", chain.folder / "template.prototxt", "--net", chain.net, "--out", tmp_path / "run")
    done = tool("train.py", *flags, "--weights-licence", "MIT")
    assert (done.returncode, "--weights-licence goes with --weights" in done.stderr) == (2, True)
    done = tool("train.py", *flags, "--weights", chain.weights, "--weights-licence", " ")
    assert (done.returncode, "is not the name of a licence" in done.stderr) == (2, True)
