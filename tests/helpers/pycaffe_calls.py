"""The part of pycaffe_script.py that looks at what a script may have called, at rates and times."""

import time

import caffe
import numpy as np

ALL = """force_backward: true
layer { name: 'in' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 3 } } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'x' top: 'y' inner_product_param { num_output: 2 } }
layer { name: 'tanh' type: 'TanH' bottom: 'y' top: 'z' }
"""
SEQUENCES = """force_backward: true
layer { name: 'in' type: 'Input' top: 'x' top: 'on' input_param { shape { dim: 2 dim: 3 dim: 4 }
  shape { dim: 2 dim: 3 } } }
layer { name: 'memory' type: 'LSTM' bottom: 'x' bottom: 'on' top: 'y' recurrent_param { num_output: 2 } }
"""
POLICIES = {
    "fixed": "",
    "step": "gamma: 0.5 stepsize: 2",
    "exp": "gamma: 0.5",
    "multistep": "gamma: 0.5 stepvalue: 1 stepvalue: 3",
    "inv": "gamma: 0.5 power: 0.75",
}


def look_at_calls(note, prototxt, fill):
    with open("calls.prototxt", "w") as file:
        file.write(f"net: '{prototxt}' base_lr: 0.05 lr_policy: 'fixed' momentum: 0.9 iter_size: 2 max_iter: 3")
    solver = caffe.SGDSolver("calls.prototxt")
    net, calls = solver.net, []
    fill(net)
    net.blobs["image"].data[...] = np.random.RandomState(3).standard_normal(net.blobs["image"].data.shape)
    for when in ("before_forward", "after_forward", "before_backward", "after_backward"):
        getattr(net, when)(lambda place, when=when: calls.append(f"{when} {place}"))
    net.forward()
    net.backward()
    net.forward(end="bn")
    net.backward(start="two", end="one")
    note("calls", calls)

    def on_gradients():
        calls.append(f"gradients of {solver.iter}")
        net.params["fc"][0].diff[...] *= 3

    solver.add_callback(lambda: calls.append(f"start of {solver.iter}"), on_gradients)
    solver.step(2)
    note("calls of steps", calls)
    note("changed by a call", net.params["fc"][0].data)

    seen, last = [], len(net.layers) - 1
    net.after_forward(lambda place: seen.append(float(net.blobs["loss"].data)) if place == last else None)
    solver.step(1)
    note("losses of both passes", seen)

    def fault(place):
        raise KeyError(place)

    net.before_forward(fault)
    try:
        net.forward()
    except KeyError:
        return
    raise AssertionError("a fault of a callback is the script's")


def look_at_all_samples(note):
    with open("all.prototxt", "w") as file:
        file.write(ALL)
    net = caffe.Net("all.prototxt", caffe.TEST)
    random = np.random.RandomState(8)
    net.params["fc"][0].data[...] = random.standard_normal((2, 3))
    x, of_z = random.standard_normal((5, 3)), random.standard_normal((5, 2))
    blobs, diffs = net.forward_backward_all(blobs=["y"], diffs=["y"], x=x, z=of_z)
    for name, values in [*blobs.items(), *((f"diff of {name}", each) for name, each in diffs.items())]:
        note("all samples: " + name, values)


def look_at_sequences(note):
    for kind in ("LSTM", "RNN"):
        with open("sequences.prototxt", "w") as file:
            file.write(SEQUENCES.replace("LSTM", kind))
        net = caffe.Net("sequences.prototxt", caffe.TRAIN)
        random = np.random.RandomState(9)
        for blob in net.params["memory"]:
            blob.data[...] = random.standard_normal(blob.data.shape)
        for number in range(3):  # each pass goes on from the one before
            on = np.ones((2, 3)) if number else np.zeros((2, 3))
            note(f"{kind} {number}", net.forward(x=random.standard_normal((2, 3, 4)), on=on)["y"])
            net.backward(y=np.ones((2, 3, 2)))
            for blob, values in enumerate(net.params["memory"]):
                note(f"{kind} {number} diff {blob}", values.diff)
            note(f"{kind} {number} diff of x", net.blobs["x"].diff)


def look_at_rates(note, prototxt):
    for policy, settings in POLICIES.items():
        with open("rates.prototxt", "w") as file:
            file.write(f"net: '{prototxt}' base_lr: 0.05 lr_policy: '{policy}' {settings}")
        solver = caffe.SGDSolver("rates.prototxt")
        rates = [solver.lr]
        for _ in range(4):
            solver.step(1)
            rates.append(solver.lr)
        solver.param.base_lr = 0.5
        rates += [solver.lr, solver.param.base_lr]
        solver.step(1)
        note("rates of " + policy, [*rates, solver.lr])
        try:
            solver.lr = 1
        except AttributeError:
            continue
        raise AssertionError("a rate was written")


def look_at_a_timer(note):
    timer = caffe.Timer()
    note("never started", timer.ms)
    timer.start()
    time.sleep(0.02)
    timer.stop()
    first = timer.ms
    timer.start()
    time.sleep(0.06)
    assert 20 <= int(first) < int(timer.ms), (first, timer.ms)  # Caffe's are whole
    assert timer.ms == timer.ms, "it goes on"
    note("parallel", [caffe.solver_count(), caffe.solver_rank()])
