"""A net from somebody else is data: what in it could write a file, read one or run code is refused, and never built."""

from __future__ import annotations

import importlib.util

import pytest
from conftest import ROOT

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.layers import PYCAFFE_LAYERS
from skinmtl.nets.allowed_layers import COMPUTING, LMDB, OWN_COMPUTING, READING, read_given_net

DATA = "layer { name: 'd' type: 'Data' top: 'data' data_param { source: 's' backend: LMDB batch_size: 1 } %s }"
PYTHON = "layer { name: 'p' type: 'Python' top: 't' python_param { module: '%s' layer: '%s' } }"


def written(path, text):
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
def test_the_list_is_what_caffe_torch_knows():
    from caffe_torch.layers import LAYERS

    assert {*COMPUTING, "Data", "HDF5Data", "ImageData", "MemoryData", "Python"} == set(LAYERS)


@pytest.mark.parametrize("net", sorted(path.parent.name for path in ROOT.glob("prototxt/*/train.prototxt")))
def test_every_committed_net_may_be_built(net):
    for split in ("train", "test", "deploy"):
        read_given_net(ROOT / "prototxt" / net / f"{split}.prototxt", reads_data=split != "deploy")


@pytest.mark.parametrize(
    "kind", ["HDF5Output", "HDF5Data", "ImageData", "WindowData", "MemoryData", "Filter", "", "relu"]
)
def test_other_layers_are_refused_by_their_name(kind, tmp_path):
    net = written(tmp_path / "deploy.prototxt", f"layer {{ name: 'l' type: '{kind}' top: 't' }}")
    with pytest.raises(InputError, match=f"deploy.prototxt: layer 'l' is of type {kind}, .*--allow-layer {kind}$"):
        read_given_net(net, reads_data=True)
    assert read_given_net(net, [kind]).layer[0].type == kind


def test_a_loss_may_not_read_a_file(tmp_path):
    """InfogainLoss takes its matrix as a third bottom, too."""
    layer = "layer { name: 'l' type: 'InfogainLoss' bottom: 'a' bottom: 'b' infogain_loss_param { source: 'x' } }"
    net = written(tmp_path / "deploy.prototxt", layer)
    with pytest.raises(InputError, match=r"'l' reads the file 'x'; .*--allow-layer InfogainLoss$"):
        read_given_net(net)
    assert read_given_net(net, ["InfogainLoss"]).layer[0].name == "l"


@pytest.mark.parametrize("kind", ["HDF5_OUTPUT", "HDF5_DATA", "IMAGE_DATA", "WINDOW_DATA", "MEMORY_DATA", "NONE"])
def test_so_are_they_in_the_form_of_before_2014(kind, tmp_path):
    net = written(tmp_path / "deploy.prototxt", f"layers {{ name: 'l' type: {kind} top: 't' }}")
    with pytest.raises(InputError, match="layer 'l' is of type "):
        read_given_net(net, reads_data=True)


def test_a_net_of_2013_or_of_two_forms_is_refused(tmp_path):
    for text in (
        "layers { layer { name: 'l' type: 'hdf5_output' } }",
        "layer { name: 'a' type: 'ReLU' } layers { name: 'l' type: HDF5_OUTPUT }",
    ):
        with pytest.raises(InputError, match=r"a net of 2013|give it one kind"):
            read_given_net(written(tmp_path / "deploy.prototxt", text))


def test_a_layer_of_another_phase_counts_too(tmp_path):
    text = "layer { name: 'l' type: 'HDF5Output' include { phase: TRAIN } hdf5_output_param { file_name: 'f' } }"
    with pytest.raises(InputError, match="'l' is of type HDF5Output"):
        read_given_net(written(tmp_path / "deploy.prototxt", text))


def test_what_is_hidden_from_one_reader_is_seen(tmp_path):
    """To Caffe a lone carriage return does not end a comment, so that it would see the type HDF5Output here."""
    text = "layer { top: 't' type: # \r 'ReLU' name: #\n'HDF5Output'\n}"
    net = written(tmp_path / "deploy.prototxt", text)
    with pytest.raises(InputError, match="HDF5Output"):
        read_given_net(net)


def test_what_is_no_field_of_caffe_hides_nothing(tmp_path):
    with pytest.raises(InputError, match="surprise"):
        read_given_net(written(tmp_path / "deploy.prototxt", "surprise { layer { type: 'HDF5Output' } }"))


def test_python_is_the_packages_own_class_alone(tmp_path):
    own = written(tmp_path / "own.prototxt", PYTHON % ("skinmtl.layers", "JitteredImageData"))
    assert read_given_net(own, reads_data=True)
    for module, name in (("evil", "JitteredImageData"), ("skinmtl.layers", "os"), ("os", "system"), ("", "")):
        net = written(tmp_path / "net.prototxt", PYTHON % (module, name))
        with pytest.raises(InputError, match=f"is of type Python and would run {module}.{name}; .*{module}.{name}$"):
            read_given_net(net, ["Python"], reads_data=True)
        assert read_given_net(net, [f"{module}.{name}"])


def test_the_packages_own_layers_are_built_and_may_read_in_trainings_alone(tmp_path):
    own = {f"skinmtl.layers.{name}" for name in PYCAFFE_LAYERS}
    assert {*READING[1:], *OWN_COMPUTING} == own
    assert {"skinmtl.layers.Proposals", "skinmtl.layers.RoIAlign"} < set(OWN_COMPUTING)
    assert "skinmtl.layers.LesionData" in READING
    for kind in OWN_COMPUTING:
        read_given_net(written(tmp_path / "deploy.prototxt", PYTHON % tuple(kind.rsplit(".", 1))))


def test_layers_that_read_lmdbs_are_of_trainings_alone(tmp_path):
    for text in (DATA % "", *(PYTHON % tuple(kind.rsplit(".", 1)) for kind in READING[1:])):
        net = written(tmp_path / "deploy.prototxt", text)
        assert read_given_net(net, reads_data=True)
        with pytest.raises(InputError, match="reads images, which only the nets of a training do"):
            read_given_net(net)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            DATA % "transform_param { mean_file: '/etc/passwd' }",
            "reads the file '/etc/passwd'; give its mean by mean_value",
        ),
        (DATA.replace("LMDB", "LEVELDB") % "", "reads a LevelDB, which writes where it reads"),
        (DATA.replace("backend: LMDB", "") % "", "reads a LevelDB"),
    ],
)
def test_a_data_layer_reads_no_other_file(text, words, tmp_path):
    net = written(tmp_path / "train.prototxt", text)
    with pytest.raises(InputError, match=words):
        read_given_net(net, reads_data=True)
    assert read_given_net(net, ["Data"], reads_data=True)


def test_lmdb_is_the_number_of_the_schema():
    assert caffe_messages().DataParameter.DB.Value("LMDB") == LMDB
