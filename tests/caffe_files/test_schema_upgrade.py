"""Nets, solvers and caffemodels of before 2014, in today's form as Caffe itself upgrades them."""

from __future__ import annotations

from functools import partial

import pytest

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel, read_net, read_solver
from caffe_files.schema import caffe_messages
from caffe_files.upgrade import upgraded_net


@pytest.mark.caffe
def test_every_old_type_of_layer_is_one_of_caffes(tmp_path):
    import caffe

    old = caffe_messages().NetParameter()
    kinds = old.layers.add().DESCRIPTOR.fields_by_name["type"].enum_type.values
    del old.layers[:]
    for kind in kinds:
        old.layers.add(type=kind.number)
    new = [layer.type for layer in upgraded_net(old, tmp_path).layer]
    assert len(set(new)) == len(kinds) == 40
    assert not set(new) - {""} - set(caffe.layer_type_list())


def read(tmp_path, text, reader=read_net):
    path = tmp_path / "old.prototxt"
    path.write_text(text)
    return reader(path)


def test_rates_decays_and_names_of_parameters_are_put_together(tmp_path):
    net = read(
        tmp_path,
        "force_backward: true layers { type: CONVOLUTION blobs_lr: 1 blobs_lr: 2 weight_decay: 3 param: 'w' "
        "blob_share_mode: PERMISSIVE convolution_param { num_output: 7 } include { phase: TRAIN } loss_weight: 0.5 }",
    )
    layer = net.layer[0]
    assert net.force_backward
    assert (layer.type, layer.convolution_param.num_output, list(layer.loss_weight)) == ("Convolution", 7, [0.5])
    assert len(layer.include) == 1
    first, second = layer.param
    assert (first.lr_mult, first.decay_mult, first.name, first.share_mode) == (1, 3, "w", first.PERMISSIVE)
    assert (second.lr_mult, second.decay_mult, second.name) == (2, 1, "")


def test_what_a_data_layer_did_to_images_is_its_transform(tmp_path):
    settings = "scale: 0.5 mean_file: 'm' crop_size: 3 mirror: true"
    layer = read(tmp_path, f"layers {{ type: DATA data_param {{ source: 's' {settings} }} }}").layer[0]
    transform = layer.transform_param
    assert (transform.scale, transform.mean_file, transform.crop_size, transform.mirror) == (0.5, "m", 3, True)
    assert layer.data_param.source == "s"
    assert not any(layer.data_param.HasField(name) for name in ("scale", "mean_file", "crop_size", "mirror"))


# with what such a layer has: settings of its own, for all types together
OF_2013 = """
layers { layer { name: 'data' type: 'data' source: 'x' meanfile: 'y' batchsize: 2 mirror: true } top: 'data' }
layers { layer { name: 'conv1' type: 'conv' num_output: 9 kernelsize: 3 stride: 2 biasterm: false blobs_lr: 1.
  weight_decay: 0. weight_filler { type: 'gaussian' std: 0.01 } } bottom: 'data' top: 'conv1' }
layers { layer { name: 'pool1' type: 'pool' pool: AVE kernelsize: 3 } bottom: 'conv1' top: 'pool1' }
layers { layer { name: 'norm1' type: 'lrn' local_size: 5 alpha: 0.1 beta: 0.7 } bottom: 'pool1' top: 'norm1' }
"""


@pytest.mark.caffe
def test_a_net_of_2013_is_one_for_caffe_too(tmp_path):
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    assert len(text_format.Parse(OF_2013, caffe_pb2.NetParameter()).layers) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layers { name: 'a' } layer { name: 'b' }", "give it one kind"),
        ("layers { layer { name: 'a' type: 'conv' } }", "upgrade_net_proto_text"),
        (OF_2013, "a net of 2013; bring it up to date with Caffe's upgrade_net_proto_text"),
        ("layers { type: CONVOLUTOIN }", "CONVOLUTOIN"),
    ],
)
def test_a_net_that_cannot_be_upgraded_is_one_line(tmp_path, text, words):
    for reader in (read_net, partial(read_net, strict=True)):
        with pytest.raises(InputError, match=words) as raised:
            read(tmp_path, text, reader)
        assert "old.prototxt" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_caffemodel_of_2013_is_told_how_to_come_up_to_date(tmp_path):
    old = caffe_messages().NetParameter()
    old.layers.add().layer.name = "conv1"
    (tmp_path / "old.caffemodel").write_bytes(old.SerializeToString())
    with pytest.raises(InputError, match="upgrade_net_proto_binary"):
        read_caffemodel(tmp_path / "old.caffemodel")


def test_the_number_of_a_solvers_type_is_its_name(tmp_path):
    assert read(tmp_path, "solver_type: ADAGRAD", read_solver).type == "AdaGrad"
    assert not read(tmp_path, "solver_type: SGD", read_solver).HasField("solver_type")
    with pytest.raises(InputError, match="solver_type"):
        read(tmp_path, "solver_type: SGD type: 'SGD'", read_solver)
