"""Damaged and hostile files in caffe_torch: an error of one line, or done; never another exception, never more memory
than a blob of Caffe's may take."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys

import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import PEAK_MEMORY

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from conftest import ROOT
from google.protobuf import text_format
from hostile_files import damaged_bytes, damaged_message, damaged_text, one_line_or_done
from test_torch_files import ALL

from caffe_files.errors import InputError
from caffe_files.prototxt import message_text, read_net, read_solver
from caffe_files.schema import caffe_messages
from caffe_torch.errors import NetError
from caffe_torch.hdf5_files import write_hdf5
from caffe_torch.hdf5_states import write_hdf5_state
from caffe_torch.model_files import copy_weights, model_of, read_solverstate, write_caffemodel, write_solverstate
from caffe_torch.net import Net
from caffe_torch.rates import learning_rate
from caffe_torch.records import Transform, TransformedRecords
from caffe_torch.solver import check_solver

pytestmark = pytest.mark.torch
HAS_H5PY = importlib.util.find_spec("h5py") is not None
FEW = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
NET = """
layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 2 dim: 3 dim: 5 dim: 5 } } }
layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'conv' }
"""
SOLVER = """
train_net: 'net'
base_lr: 0.1
lr_policy: 'multistep'
gamma: 0.5
power: 0.75
stepsize: 3
stepvalue: 2
stepvalue: 5
momentum: 0.9
weight_decay: 0.001
max_iter: 9
iter_size: 2
average_loss: 2
clip_gradients: 3
random_seed: 4
snapshot: 4
type: 'SGD'
test_iter: 3
test_interval: 2
"""


def small_net():
    net = caffe_messages().NetParameter()
    text_format.Parse(NET, net)
    return Net(net, "TEST")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A caffemodel and a solverstate of the small net; a place for damaged ones."""
    folder = tmp_path_factory.mktemp("files")
    net = small_net()
    write_caffemodel(net, folder / "whole.caffemodel")
    write_solverstate(folder / "whole.solverstate", 7, 1, folder / "whole.caffemodel", net.layer("conv").blobs)
    if HAS_H5PY:
        write_hdf5(net, folder / "whole.caffemodel.h5")
        write_hdf5_state(folder / "whole.solverstate.h5", 7, 1, folder / "whole.caffemodel", net.layer("conv").blobs)
    return folder


@given(data=st.data())
@FEW
def test_a_damaged_caffemodel(folder, data):
    raw = (folder / "whole.caffemodel").read_bytes()
    (folder / "bad").write_bytes(data.draw(damaged_bytes(raw)))
    one_line_or_done(lambda: copy_weights(small_net(), folder / "bad"))


@pytest.mark.skipif(not HAS_H5PY, reason="h5py is not installed here: pip install h5py")
@given(data=st.data())
@FEW
def test_damaged_files_in_hdf5(folder, data):
    kind = data.draw(st.sampled_from(["caffemodel", "solverstate"]))
    raw = (folder / f"whole.{kind}.h5").read_bytes()
    (folder / "bad.h5").write_bytes(raw[:8] + data.draw(damaged_bytes(raw[8:])))
    net = small_net()
    if kind == "caffemodel":
        one_line_or_done(lambda: copy_weights(net, folder / "bad.h5"))
    else:
        one_line_or_done(lambda: read_solverstate(folder / "bad.h5", net.layer("conv").blobs))


@given(data=st.data())
@FEW
def test_a_damaged_solverstate(folder, data):
    raw = (folder / "whole.solverstate").read_bytes()
    (folder / "bad").write_bytes(data.draw(damaged_bytes(raw)))
    history = [torch.zeros_like(blob) for blob in small_net().layer("conv").blobs]
    state = one_line_or_done(lambda: read_solverstate(folder / "bad", history))
    if state:
        one_line_or_done(lambda: model_of(state, folder / "bad"))


@given(data=st.data(), phase=st.sampled_from(["TRAIN", "TEST"]))
@settings(FEW, max_examples=100)
def test_a_damaged_net(folder, data, phase):
    (folder / "bad").write_text(data.draw(damaged_text(ALL)), encoding="utf-8")
    net = one_line_or_done(lambda: Net(read_net(folder / "bad", strict=True), phase))
    if net and sum(math.prod(shape) for shape in net.shapes.values()) < 1e5:
        one_line_or_done(net)


@given(data=st.data(), phase=st.sampled_from(["TRAIN", "TEST"]))
@settings(FEW, max_examples=60)
def test_a_net_of_hostile_settings(data, phase):
    net = caffe_messages().NetParameter()
    text_format.Parse(ALL, net)
    data.draw(damaged_message(net))
    net = one_line_or_done(lambda: Net(net, phase))
    if net and sum(math.prod(shape) for shape in net.shapes.values()) < 1e5:
        one_line_or_done(net)


@given(data=st.data(), iteration=st.integers(0, 2**31 - 1), policy=st.sampled_from(["step", "exp", "inv", "poly"]))
@settings(FEW, max_examples=100)
def test_a_damaged_solver(folder, data, iteration, policy):
    text = SOLVER if data.draw(st.booleans()) else SOLVER.replace("multistep", policy)
    if data.draw(st.booleans()):
        text = data.draw(damaged_text(text))
    else:
        solver = caffe_messages().SolverParameter()
        text_format.Parse(text, solver)
        text = message_text(data.draw(damaged_message(solver)))
    (folder / "bad").write_text(text, encoding="utf-8")

    def run():
        solver = read_solver(folder / "bad")
        check_solver(solver)
        return learning_rate(solver, iteration, 0)

    rate = one_line_or_done(run)
    assert rate is None or isinstance(rate[0], float)


@given(data=st.data(), encoded=st.booleans(), crop=st.sampled_from([0, 2, 9]))
@FEW
def test_a_damaged_datum_and_mean_file(folder, data, encoded, crop):
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a730000001049444154789c63f8cfc0000446100a0020ee"
        "03fd5fc24fa70000000049454e44ae426082"
    )
    content = {"encoded": True, "data": png} if encoded else {"float_data": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}
    datum = caffe_messages().Datum(channels=3, height=2, width=2, label=1, **content)
    mean = caffe_messages().BlobProto(num=1, channels=3, height=2, width=2, data=[1] * 12)
    raw, of_mean = datum.SerializeToString(), mean.SerializeToString()
    if data.draw(st.booleans()):
        raw = data.draw(damaged_bytes(raw))
    else:
        of_mean = data.draw(damaged_bytes(of_mean))
    database = folder / f"lmdb{len(list(folder.iterdir()))}"
    with lmdb.open(str(database)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"0", raw)
    (folder / "mean").write_bytes(of_mean)
    param = caffe_messages().TransformationParameter(mean_file=str(folder / "mean"), crop_size=crop)
    transform = Transform.of(param, False, NetError)
    one_line_or_done(lambda: TransformedRecords.recipe(str(database), transform).make().sample(0, 0))


CONVOLUTION = "type: 'Convolution' convolution_param { num_output: %s kernel_size: %s pad: %s stride: %s group: %s }"
POOLING = "type: 'Pooling' pooling_param { kernel_size: %s pad: %s stride: %s pool: %s }"
HOSTILE = [
    CONVOLUTION % (2**31 - 1, 1, 0, 1, 1),
    CONVOLUTION % (2**32 - 1, 5, 0, 1, 1),
    CONVOLUTION % (1, 10**9, 10**9, 10**9, 1),
    CONVOLUTION % (1, 1, 2**32 - 1, 2**32 - 1, 1),
    CONVOLUTION % (3, 1, 10**9, 10**9, 3),
    CONVOLUTION % (3, 1, 0, 1, 0),
    "type: 'Deconvolution' convolution_param { num_output: 1 kernel_size: 1 stride: 4294967295 }",
    "type: 'Deconvolution' convolution_param { num_output: 1 kernel_size: 3 dilation: 1000000000 pad: 1000000000 }",
    POOLING % (10**9, 10**9 - 1, 10**9, "MAX"),
    POOLING % (2**32 - 1, 2**32 - 2, 2**32 - 1, "AVE"),
    POOLING % (20000, 19999, 20000, "AVE"),
    POOLING % (1, 0, 2**32 - 1, "AVE"),
    "type: 'InnerProduct' inner_product_param { num_output: 4294967295 }",
    "type: 'LRN' lrn_param { local_size: 999999999 }",
    "type: 'LRN' lrn_param { local_size: 999999999 norm_region: WITHIN_CHANNEL }",
    "type: 'Reshape' reshape_param { shape { dim: 9223372036854775807 dim: -1 } }",
    "type: 'Reshape' reshape_param { axis: 2147483647 num_axes: 2147483647 }",
    "type: 'Flatten' flatten_param { axis: -2147483648 }",
    "type: 'Slice' slice_param { slice_point: 4294967295 }",
    "type: 'Scale' scale_param { num_axes: 2147483647 }",
    "type: 'Concat' concat_param { concat_dim: 4294967295 }",
    "type: 'Power' power_param { power: 1e38 scale: 1e38 shift: nan }",
    "type: 'Power' power_param { power: -2 scale: 0 shift: 0 }",
    "type: 'Power' power_param { power: 0.5 scale: 0 shift: -1 }",
    "type: 'Power' power_param { power: 1000 scale: 0 shift: 1000 }",
    "type: 'Dropout' dropout_param { dropout_ratio: nan }",
    "type: 'Softmax' softmax_param { axis: 99 }",
    "type: 'BatchNorm' batch_norm_param { eps: nan }",
]
PROGRAM = """
import resource, sys
import torch
resource.setrlimit(resource.RLIMIT_AS, (12 << 30,) * 2)
from google.protobuf import text_format
from caffe_torch.net import Net
from caffe_files.schema import caffe_messages
from caffe_files.errors import InputError
for line in sys.stdin:
    for phase in ("TRAIN", "TEST"):
        try:
            param = caffe_messages().NetParameter()
            text_format.Parse(line, param)
            Net(param, phase)()
            said = "done"
        except InputError as error:
            said = str(error)
    print(peak_memory(), repr(said), flush=True)
"""


def test_settings_beyond_all_measure_take_no_memory_and_no_time():
    """In a process of its own that may have so much memory and no more."""
    lines = [
        "layer { name: 'a' type: 'Input' top: 'a' input_param { shape { dim: 2 dim: 3 dim: 4 dim: 4 } } } "
        f"layer {{ name: 'b' bottom: 'a' top: 'b' {layer} }}"
        for layer in HOSTILE
    ]
    for shape in ("dim: -1", "dim: 2147483647 dim: 2", "dim: 4294967296 dim: 4294967296", "dim: 0", ""):
        lines.append(f"layer {{ name: 'a' type: 'Input' top: 'a' input_param {{ shape {{ {shape} }} }} }}")
        lines.append(f"layer {{ name: 'a' type: 'DummyData' top: 'a' dummy_data_param {{ shape {{ {shape} }} }} }}")
    lines.append("layer { name: 'a\\nb' type: 'Unknown\\nType' top: 'x\\ny' }")
    lines.append("input: 'a' input_dim: -3 input_dim: 0 input_dim: 4 input_dim: 5")
    done = subprocess.run(
        [sys.executable, "-c", PEAK_MEMORY + PROGRAM],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=100,
        env={"PYTHONPATH": str(ROOT / "python"), "OMP_NUM_THREADS": "1"},
    )
    said = done.stdout.splitlines()
    assert done.returncode == 0, (lines[len(said)], done.stderr[-500:])
    assert len(said) == len(lines)
    most = max(int(line.split()[0]) for line in said)
    assert most < 2000, said


@pytest.mark.parametrize("strict", [False, True])
def test_a_text_nested_without_end_is_one_line(tmp_path, strict):
    path = tmp_path / "deep.prototxt"
    path.write_text("unknown { " * 100000)
    with pytest.raises(InputError) as raised:
        read_net(path, strict)
    assert len(str(raised.value).splitlines()) == 1


def test_a_datums_unknown_field_is_named_with_its_record(tmp_path):
    datum = caffe_messages().Datum(channels=1, height=1, width=1, data=b"1").SerializeToString()
    with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"00000007", datum + b"\xd8\x3d\x05")
    transform = Transform.of(caffe_messages().TransformationParameter(), False, NetError)
    with pytest.raises(InputError, match="record 00000007: field 987 is not known"):
        TransformedRecords.recipe(str(tmp_path), transform).make().sample(0, 0)
