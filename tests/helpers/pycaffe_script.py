"""A script as pycaffe's users write them; it runs on BVLC's pycaffe and on caffe_torch.pycaffe, and must find the same.

pycaffe_script.py FOLDER [WEIGHTS.h5]: works there, and writes what it found to FOLDER/found.npz; of weights that are
given, too.
"""

import os
import sys
from pathlib import Path

import caffe
import numpy as np
from pycaffe_calls import look_at_a_timer, look_at_all_samples, look_at_calls, look_at_rates, look_at_sequences
from pycaffe_hdf5 import look_at_hdf5
from pycaffe_images import look_at_images
from pycaffe_written import look_at_written_nets

NET = """
name: 'small'
layer { name: 'in' type: 'Input' top: 'image' top: 'label' input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 }
  shape { dim: 2 } } }
layer { name: 'conv' type: 'Convolution' bottom: 'image' top: 'conv' convolution_param { num_output: 4 kernel_size: 3
  pad: 1 } }
layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'bn' batch_norm_param { use_global_stats: false } }
layer { name: 'scale' type: 'Scale' bottom: 'bn' top: 'bn' scale_param { bias_term: true } }
layer { name: 'relu' type: 'ReLU' bottom: 'bn' top: 'bn' }
layer { name: 'pool' type: 'Pooling' bottom: 'bn' top: 'pool' pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: 'one' type: 'Convolution' bottom: 'pool' top: 'one' param { name: 'shared' } param { name: 'bias' }
  convolution_param { num_output: 4 kernel_size: 1 } }
layer { name: 'two' type: 'Convolution' bottom: 'one' top: 'two' param { name: 'shared' } param { name: 'bias' }
  convolution_param { num_output: 4 kernel_size: 1 } }
layer { name: 'sum' type: 'Eltwise' bottom: 'pool' bottom: 'two' top: 'sum' }
layer { name: 'global' type: 'Pooling' bottom: 'sum' top: 'global' pooling_param { pool: AVE global_pooling: true } }
layer { name: 'flat' type: 'Flatten' bottom: 'global' top: 'flat' }
layer { name: 'fc' type: 'InnerProduct' bottom: 'flat' top: 'fc' inner_product_param { num_output: 5 } }
layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'fc' bottom: 'label' top: 'loss' exclude { stage: 'deploy' } }
layer { name: 'weighed' type: 'Power' bottom: 'sum' top: 'weighed' power_param { power: 2 } loss_weight: 0.01
  exclude { stage: 'deploy' } }
layer { name: 'right' type: 'Accuracy' bottom: 'fc' bottom: 'label' top: 'right' include { phase: TEST
  not_stage: 'deploy' } }
layer { name: 'prob' type: 'Softmax' bottom: 'fc' top: 'prob' include { min_level: 1 } include { stage: 'deploy' } }
"""
PYTHON_NET = """
layer { name: 'in' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 3 } } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'x' top: 'y' inner_product_param { num_output: 2 } }
layer { name: 'cube' type: 'Python' bottom: 'y' top: 'z' python_param { module: 'pycaffe_script' layer: 'Cube' } }
layer { name: 'noise' type: 'DummyData' top: 'target' dummy_data_param { shape { dim: 2 dim: 2 }
  data_filler { value: 0.5 } } }
layer { name: 'loss' type: 'EuclideanLoss' bottom: 'z' bottom: 'target' top: 'loss' }
"""
SOLVER = """net: 'net.prototxt' base_lr: 0.05 lr_policy: 'step' gamma: 0.5 stepsize: 2 weight_decay: 0.01 iter_size: 2
clip_gradients: 5 max_iter: 5 snapshot_prefix: 'run' test_iter: 2 test_interval: 2 snapshot_after_train: true
"""
SOLVERS = {
    "SGD": "momentum: 0.9",
    "Nesterov": "momentum: 0.9",
    "AdaGrad": "",
    "RMSProp": "rms_decay: 0.9",
    "AdaDelta": "momentum: 0.9 delta: 1e-6",
    "Adam": "momentum: 0.9 momentum2: 0.99",
}
FOUND = {}


class Cube(caffe.Layer):
    """The third power of a number."""

    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data ** 3

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = 3 * bottom[0].data ** 2 * top[0].diff


def note(name, value):
    FOUND[name] = np.array(value)


def fill(net, seed=0):
    random = np.random.RandomState(seed)
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = random.standard_normal(blob.data.shape) * 0.5
    if "bn" in net.params:
        for blob in net.params["bn"]:
            blob.data[...] = np.abs(blob.data) + 0.5


def note_all(net, when):
    for name, blob in net.blobs.items():
        note(f"{when}:data:{name}", blob.data)
        note(f"{when}:diff:{name}", blob.diff)
    for name, blobs in net.params.items():
        for number, blob in enumerate(blobs):
            note(f"{when}:param:{name}:{number}", blob.data)
            note(f"{when}:param diff:{name}:{number}", blob.diff)


def describe(net, when):
    note(when + ":blobs", list(net.blobs))
    note(when + ":params", [f"{name} {[tuple(each.shape) for each in net.params[name]]}" for name in net.params])
    note(when + ":layers", [layer.type for layer in net.layers])
    note(when + ":blobs of layers", [len(layer.blobs) for layer in net.layers])
    note(when + ":names", list(net.layer_dict))
    note(when + ":tops", [f"{name} {tops}" for name, tops in net.top_names.items()])
    note(when + ":bottoms", [f"{name} {bottoms}" for name, bottoms in net.bottom_names.items()])
    note(when + ":in and out", [*net.inputs, "-", *net.outputs])
    note(when + ":shapes", [str(tuple(blob.shape)) for blob in net.blobs.values()])
    note(when + ":sides", [[b.num, b.channels, b.height, b.width, b.count] for b in net.blobs.values()])
    note(when + ":loss weights", [f"{name} {weight:g}" for name, weight in net.blob_loss_weights.items()])


def look_at_a_net(prototxt):
    net = caffe.Net(prototxt, caffe.TRAIN)
    describe(net, "train")
    fill(net)
    random = np.random.RandomState(1)
    image, label = random.standard_normal((2, 3, 8, 8)), np.array([1.0, 4.0])
    net.blobs["image"].data[...] = image
    net.blobs["label"].data[...] = label
    note("forward", [float(net.forward()["loss"]), float(net._forward(0, len(net.layers) - 1))])
    net.backward()
    note_all(net, "after a pass")
    found = net.forward(blobs=["conv"], image=image * 2, label=label)
    note("keys", sorted(found))
    note("conv", found["conv"])
    net.backward(diffs=["conv"])
    note_all(net, "diffs of params add up")
    net.clear_param_diffs()
    net.backward(start="fc", end="one")
    note_all(net, "a part backward")

    net.blobs["pool"].data[...] = 1
    note("a part forward", sorted(net.forward(start="one", end="two")))
    note_all(net, "from one to two")
    net.blobs["fc"].data[...] = [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]]
    net.forward(start="loss")
    net.backward(end="loss")
    note_all(net, "from the loss")
    for wrong in (dict(start="none"), dict(image=image), dict(image=image[:1], label=label)):
        try:
            net.forward(**wrong)
        except Exception:
            continue
        raise AssertionError(f"taken: {wrong}")

    net.blobs["image"].reshape(3, 3, 6, 10)
    net.blobs["label"].reshape(3)
    net.reshape()
    note("reshaped", [str(tuple(blob.shape)) for blob in net.blobs.values()])
    net.forward(image=random.standard_normal((3, 3, 6, 10)), label=np.arange(3))
    net.backward()
    note_all(net, "another shape")
    net.blobs["image"].reshape(1, 3, 8, 8)
    net.blobs["label"].reshape(1)
    net.forward(image=image[:1], label=label[:1])  # without a reshape of the net
    note_all(net, "a third shape")
    return net


def look_at_files(prototxt, net):
    net.save("saved.caffemodel")
    net.save("saved.caffemodel")
    test = caffe.Net(prototxt, caffe.TEST, weights="saved.caffemodel")
    old = caffe.Net(prototxt, "saved.caffemodel", caffe.TEST)
    deploy = caffe.Net(prototxt, caffe.TEST, level=1, stages=["deploy"], weights="saved.caffemodel")
    for when, each in (("test", test), ("old", old), ("deploy", deploy)):
        describe(each, when)
        names = {"image": np.full((2, 3, 8, 8), 0.5)}
        names["label"] = np.array([0, 3])
        for name, values in each.forward(**names).items():
            note(f"{when}:out:{name}", values)
    deploy.backward()
    note_all(deploy, "nothing to learn from")
    filled = caffe.Net(prototxt, caffe.TEST)
    filled.copy_from("saved.caffemodel")
    note_all(filled, "copied")
    images = np.random.RandomState(5).standard_normal((5, 3, 8, 8))
    for name, values in deploy.forward_all(blobs=["fc"], image=images, label=np.zeros(5)).items():
        note("all:" + name, values)

    sharer = caffe.Net(prototxt, caffe.TEST)
    sharer.share_with(net)
    net.params["fc"][1].data[...] += 10
    note("shared", sharer.params["fc"][1].data)
    sharer.params["one"][0].data[...] = 3
    note("shared back", net.params["two"][0].data)
    sharer.forward(image=images[:2], label=np.zeros(2))
    note_all(sharer, "sharer")


def look_at_a_python_layer():
    with open("python.prototxt", "w") as file:
        file.write("force_backward: true" + PYTHON_NET)
    net = caffe.Net("python.prototxt", caffe.TRAIN)
    fill(net)
    net.blobs["target"].data[0] = 2  # what is constant is filled once
    describe(net, "python")
    x = np.random.RandomState(3).standard_normal((2, 3))
    net.forward(x=x)
    note("gradient of the input", net.backward()["x"])
    note_all(net, "python")
    net.blobs["x"].reshape(1, 3)
    net.blobs["x"].data[...] = 7
    note("python to the end", net.forward(end="cube")["z"])


def a_solver(made_by, kind, prefix):
    with open("solver.prototxt", "w") as file:
        file.write(SOLVER.replace("run", prefix) + f"type: '{kind}' {SOLVERS[kind]}")
    solver = made_by("solver.prototxt")
    random = np.random.RandomState(7)
    for net in (solver.net, solver.test_nets[0]):
        net.blobs["image"].data[...] = random.standard_normal((2, 3, 8, 8))
        net.blobs["label"].data[...] = [2, 3]
    fill(solver.net)
    return solver


def look_at_solvers():
    for kind in SOLVERS:
        for made_by in (getattr(caffe, kind + "Solver"), caffe.get_solver):
            solver = a_solver(made_by, kind, kind)
            solver.step(1)
            note_all(solver.net, kind + " one step")
            solver.step(2)
            note_all(solver.net, kind + " three steps")
            note_all(solver.test_nets[0], kind + " tested")
            note(kind + " iter", solver.iter)
    solver.snapshot()
    weights = solver.net.params["fc"][0].data.copy()
    solver.solve()
    note_all(solver.net, "solved")
    again = a_solver(caffe.AdamSolver, "Adam", "Adam")
    again.restore("Adam_iter_3.solverstate")
    assert again.iter == 3 and (again.net.params["fc"][0].data == weights).all()
    again.step(2)
    note_all(again.net, "went on")
    resumed = a_solver(caffe.AdamSolver, "Adam", "Adam")
    resumed.solve("Adam_iter_3.solverstate")
    note_all(resumed.net, "resumed")
    note("files", sorted(map(str, Path().glob("*_iter_*"))))
    by_hand = a_solver(caffe.SGDSolver, "SGD", "hand")
    for _ in range(3):
        by_hand.net.clear_param_diffs()
        by_hand.net.forward()
        by_hand.net.backward()
        by_hand.apply_update()
    note_all(by_hand.net, "by hand")
    note("by hand iter", by_hand.iter)
    by_hand.test_nets[0].share_with(by_hand.net)
    note_all(by_hand.test_nets[0], "shared by hand")
    note("limit", by_hand.param.max_iter)


def main(folder, given=None):
    os.chdir(folder)
    caffe.set_mode_cpu()
    caffe.set_random_seed(1)
    with open("net.prototxt", "w") as file:
        file.write(NET)
    net = look_at_a_net("net.prototxt")
    look_at_files("net.prototxt", net)
    look_at_a_python_layer()
    look_at_solvers()
    look_at_calls(note, "net.prototxt", fill)
    look_at_rates(note, "net.prototxt")
    look_at_a_timer(note)
    look_at_all_samples(note)
    look_at_sequences(note)
    look_at_hdf5(note, "net.prototxt", fill, given)
    look_at_images(note, NET)
    look_at_written_nets(note)
    np.savez("found.npz", **FOUND)
    print(f"{len(FOUND)} findings")


if __name__ == "__main__":
    main(*sys.argv[1:])
