"""Our messages are Caffe's: same names, numbers, kinds and defaults, as far as they are listed."""

from __future__ import annotations

import pytest

from caffe_files.prototxt import message_text
from caffe_files.schema import caffe_messages


def described(field):
    """What decides how a field is stored and read."""
    kind = (field.message_type or field.enum_type).name if field.message_type or field.enum_type else None
    values = {value.name: value.number for value in field.enum_type.values} if field.enum_type else None
    default = field.default_value if field.has_default_value else None
    repeated = field.label == field.LABEL_REPEATED  # Caffe's only required fields are Clip's, which are optional here
    return field.number, field.type, repeated, kind, values, default, field.GetOptions().packed


def test_every_field_is_described_as_in_caffe():
    caffe_pb2 = pytest.importorskip("caffe.proto.caffe_pb2", reason="BVLC Caffe is not importable here")
    for name, ours in vars(caffe_messages()).items():
        theirs = getattr(caffe_pb2, name).DESCRIPTOR.fields_by_name
        for field in ours.DESCRIPTOR.fields:
            assert described(field) == described(theirs[field.name]), (name, field.name)


def test_a_datum_survives_the_way_through_bytes():
    datum = caffe_messages().Datum(channels=3, height=1, width=2, encoded=True, data=b"\x00\xff", float_data=[0, 1])
    assert caffe_messages().Datum.FromString(datum.SerializeToString()) == datum


def test_floats_are_written_in_the_shortest_form_that_float32_needs():
    net = caffe_messages().NetParameter(name='quoted "name"')
    layer = net.layer.add(name="data", type="Data")
    layer.transform_param.mean_value.extend([103.0626, 0.5])
    layer.transform_param.mirror = False
    layer.data_param.backend = layer.data_param.LMDB
    assert message_text(net) == (
        "name: 'quoted \"name\"'\n"
        "layer {\n"
        '  name: "data"\n'
        '  type: "Data"\n'
        "  transform_param {\n"
        "    mirror: false\n"
        "    mean_value: 103.0626\n"
        "    mean_value: 0.5\n"
        "  }\n"
        "  data_param {\n"
        "    backend: LMDB\n"
        "  }\n"
        "}\n"
    )
