"""A script as pycaffe's users write them; it runs on BVLC's pycaffe and on caffe_torch.pycaffe, and must find the same.

pycaffe_script.py FOLDER: works there, and writes what it found to FOLDER/found.npz.
"""

import os
import sys

import caffe
import numpy as np

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


def main(folder):
    os.chdir(folder)
    caffe.set_mode_cpu()
    caffe.set_random_seed(1)
    with open("net.prototxt", "w") as file:
        file.write(NET)
    net = look_at_a_net("net.prototxt")
    look_at_files("net.prototxt", net)
    look_at_a_python_layer()
    np.savez("found.npz", **FOUND)
    print(f"{len(FOUND)} findings")


if __name__ == "__main__":
    main(sys.argv[1])
