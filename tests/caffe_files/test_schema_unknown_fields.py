"""A binary file's fields that the schema does not list: named with strict reading, on every release of protobuf."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from caffe_files.prototxt import read_blob, read_caffemodel, read_solverstate
from caffe_files.schema import caffe_messages
from caffe_files.unknown_fields import unknown_field


def a_net():
    net = caffe_messages().NetParameter(name="net")
    layer = net.layer.add(name="conv1", type="Convolution")
    layer.convolution_param.kernel_size.append(3)
    layer.blobs.add(data=[1, 2], double_data=[3]).shape.dim.extend([2])
    return net


def written(folder, message, *fields):
    """The message's bytes in a file; then each of `fields`, raw, behind the message that it belongs to."""
    for target, raw in fields:
        target.MergeFromString(raw)
    path = folder / "file"
    path.write_bytes(message.SerializeToString())
    return path


FORMS = [
    (b"\xd8\x3d\x05", "field 987"),  # a number
    (b"\xda\x3d\x01x", "field 987"),  # bytes
    (b"\xd9\x3d12345678", "field 987"),
    (b"\xdd\x3d1234", "field 987"),
    (b"\xdb\x3d\x08\x05\xdc\x3d", "field 987"),  # a group
]


@pytest.mark.parametrize(("raw", "words"), FORMS)
def test_a_field_that_is_not_listed_is_named_with_its_place(tmp_path, raw, words):
    net = a_net()
    path = written(tmp_path, net, (net.layer[0].blobs[0], raw))
    with pytest.raises(InputError, match=f"file: layer 'conv1': blobs: {words} is not known"):
        read_caffemodel(path)
    blob = caffe_messages().BlobProto(data=[1])
    with pytest.raises(InputError, match=words):
        read_blob(written(tmp_path, blob, (blob, raw)))
    state = caffe_messages().SolverState(iter=1)
    with pytest.raises(InputError, match=f"history: {words}"):
        read_solverstate(written(tmp_path, state, (state.history.add(), raw)))


@pytest.mark.parametrize(("raw", "words"), [*FORMS, (b"\x50\x63", "phase 99")])
def test_what_is_no_weight_is_passed_over_with_a_line(tmp_path, raw, words):
    """As Caffe passes over it: published caffemodels have settings of layers that came later."""
    net, told = a_net(), []
    layer = net.layer[0]
    place = "" if "phase" in words else "convolution_param: "
    path = written(tmp_path, net, (layer if "phase" in words else layer.convolution_param, raw))
    assert read_caffemodel(path, told.append) == read_caffemodel(path)
    assert read_caffemodel(path).layer[0].blobs == layer.blobs
    assert len(told) == 1
    assert told[0].startswith(f"{path}: layer 'conv1': {place}{words}")
    assert told[0].endswith(" is not known here; it is no weight, and is not read")
    told.clear()
    read_caffemodel(written(tmp_path, net, (net, FORMS[0][0] * 2)), told.append)
    assert ", and " in told[0]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x10\x01", "type in a form of its own"),
        (b"\x12\x02\xff\xfe", "type that is no UTF-8 text"),
    ],
)
def test_what_protobuf_would_pass_over_is_named_too(tmp_path, raw, words):
    net = a_net()
    # protobuf's own Python form does not read such text at all
    with pytest.raises(InputError, match=f"layer 'conv1': {words}|not a caffemodel"):
        read_caffemodel(written(tmp_path, net, (net.layer[0], raw)))


def test_numbers_one_by_one_or_packed_are_the_same_field(tmp_path):
    net = a_net()
    raw = (b"\x2d\x00\x00\x80\x3f", b"\x2a\x04\x00\x00\x80\x3f")
    path = written(tmp_path, net, *((net.layer[0].blobs[0], each) for each in raw))
    assert list(read_caffemodel(path).layer[0].blobs[0].data) == [1, 2, 1, 1]


def test_a_name_that_is_no_text_is_one_line(tmp_path):
    net = caffe_messages().NetParameter()
    layer = net.layer.add()
    with pytest.raises(InputError, match=r"UTF-8|not a caffemodel"):
        read_caffemodel(written(tmp_path, net, (layer, b"\x0a\x01\xff")))


numbers = st.integers(1, 300)


@given(known=st.sets(numbers), raw=st.lists(st.tuples(numbers, st.sampled_from([0, 1, 2, 5])), max_size=5))
@settings(max_examples=50, deadline=None)
def test_unknown_fields_are_those_that_protobuf_has_no_name_for(known, raw):
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="a", syntax="proto2")
    message = file.message_type.add(name="A")
    for number in known:
        kind = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
        message.field.add(name=f"f{number}", number=number, label=3, type=kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    values = {0: b"\x81\x01", 1: b"12345678", 2: b"\x02ab", 5: b"1234"}
    data = b"".join(tag(number << 3 | kind) + values[kind] for number, kind in raw)
    first = next((pair for pair in raw if pair[0] not in known or pair[1] != 2), None)
    found = unknown_field(data, pool.FindMessageTypeByName("a.A"))
    if first is None:
        assert found == ""
    else:
        assert found == (f"f{first[0]} in a form of its own" if first[0] in known else f"field {first[0]}")


def tag(number):
    return bytes([number & 127 | 128, number >> 7]) if number > 127 else bytes([number])
