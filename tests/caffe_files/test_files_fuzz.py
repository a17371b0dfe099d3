"""Caffe's own files, damaged: what reads one returns, or says in a line what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import lmdb
import numpy as np
import pytest
from conftest import ROOT
from fuzzing import mutated_bytes, mutated_lines
from fuzzing_formats import mutated_message

from caffe_files import prototxt
from caffe_files.blobs import blob_shape, blob_values, store_blob
from caffe_files.caffe_log import read_caffe_log
from caffe_files.prototxt import message_text
from caffe_files.records import Records
from caffe_files.schema import caffe_messages

NET = (ROOT / "prototxt" / "alexnet_lesion" / "test.prototxt").read_bytes()
LEGACY = b"""name: 'old' input: 'data' input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: 'c' type: CONVOLUTION bottom: 'data' top: 'c' blobs_lr: 1 blobs_lr: 2 weight_decay: 1
convolution_param { num_output: 2 kernel_size: 3 } }
layers { name: 'l' type: SOFTMAX_LOSS bottom: 'c' top: 'l' loss_weight: 1 }
"""
FOUR = np.arange(4, dtype=np.float32)
SOLVER = b"""net: "n.prototxt" test_iter: 4 test_interval: 10 base_lr: 0.01 lr_policy: "multistep" gamma: 0.1
stepvalue: 10 stepvalue: 20 max_iter: 100 momentum: 0.9 weight_decay: 0.0005 snapshot: 50 snapshot_prefix: "a/b"
solver_mode: GPU solver_type: SGD
test_state { stage: "a" } random_seed: 3
"""
LOG = b"""I0101 10:00:00.000000  1234 solver.cpp:60] Solver scaffolding done.
I0101 10:00:00.000000  1234 solver.cpp:337] Iteration 0, Testing net (#0)
I0101 10:00:00.000000  1234 solver.cpp:404]     Test net output #0: lesion_loss = 3.1 (* 1 = 3.1 loss)
I0101 10:00:01.000000  1234 solver.cpp:228] Iteration 0 (25.3 iter/s, 3.95s/100 iters), loss = 4.56
I0101 10:00:01.000000  1234 solver.cpp:244]     Train net output #0: lesion_loss = 3.2 (* 1 = 3.2 loss)
I0101 10:00:01.000000  1234 sgd_solver.cpp:106] Iteration 0, lr = 0.001
I0101 10:00:02.000000  1234 solver.cpp:228] Iteration 100, loss = 4.26
I0101 10:00:02.000000  1234 sgd_solver.cpp:106] Iteration 100, lr = 0.001
I0101 10:00:03.000000  1234 solver.cpp:337] Iteration 100, Testing net (#0)
I0101 10:00:03.000000  1234 solver.cpp:404]     Test net output #0: accuracy = 0.5
"""


@pytest.mark.parametrize("read", [prototxt.read_net, prototxt.read_solver], ids=["net", "solver"])
def test_prototxts(fuzzer, read):
    seeds = [SOLVER] if read is prototxt.read_solver else [LEGACY, NET[:1500].rpartition(b"layer {")[0]]
    counts = fuzzer.run("some.prototxt", lambda path: message_text(read(path)), seeds, mutated_lines)
    assert min(counts.values()) > 0


def caffemodel():
    net = caffe_messages().NetParameter(name="n")
    for name in ("conv1", "fc"):
        layer = net.layer.add(name=name, type="Convolution", bottom=["data"], top=[name])
        store_blob(layer.blobs.add(), FOUR.reshape(2, 2))
        store_blob(layer.blobs.add(), FOUR[:2])
    return net


def old_caffemodel():
    net = caffe_messages().NetParameter(name="old")
    layer = net.layers.add(name="c", type=4, bottom=["data"], top=["c"])
    layer.blobs.add(num=1, channels=1, height=2, width=2, data=[1, 2, 3, 4])
    return net


def solverstate():
    state = caffe_messages().SolverState(iter=300, learned_net="a_iter_300.caffemodel", current_step=2)
    store_blob(state.history.add(), FOUR)
    return state


@pytest.mark.parametrize("kind", ["caffemodel", "solverstate", "binaryproto"])
def test_binary_files(fuzzer, kind):
    messages = {"caffemodel": [caffemodel(), old_caffemodel()], "solverstate": [solverstate()]}
    messages["binaryproto"] = [solverstate().history[0]]

    def read(path):
        if kind == "caffemodel":
            blobs = [blob for layer in prototxt.read_caffemodel(path).layer for blob in layer.blobs]
        elif kind == "solverstate":
            blobs = prototxt.read_solverstate(path).history
        else:
            blobs = [prototxt.read_blob(path)]
        for blob in blobs:
            blob_values(blob), blob_shape(blob, 2)

    seeds = [message.SerializeToString() for message in messages[kind]]
    parse = type(messages[kind][0]).FromString
    fuzzer.run(f"some.{kind}", read, seeds, lambda chance, data: mutated_message(chance, parse(data)))


@pytest.mark.parametrize("mutate", [mutated_bytes, mutated_lines])
def test_caffe_logs(fuzzer, mutate):
    counts = fuzzer.run("caffe.log", lambda path: read_caffe_log(path).columns, [LOG], mutate)
    assert counts["read"] > 0


def test_records_of_an_lmdb(fuzzer):
    datum = caffe_messages().Datum(channels=3, height=2, width=2, data=bytes(12), label=1, float_data=[0.5])
    folder = fuzzer.folder / "the image_lmdb"

    def read(path: Path):
        with lmdb.open(str(folder), map_size=1 << 24, sync=False) as environment, environment.begin(
            write=True
        ) as writing:
            writing.put(b"00000000", path.read_bytes())
        records = Records(str(folder))
        try:
            records.datum(0)
        finally:
            records.close()

    fuzzer.run("image_lmdb", read, [datum.SerializeToString()], lambda chance, data: mutated_message(chance, datum))
