"""Nets as others publish them for Caffe, small and from a description of our own: deploy prototxts, and random weights.

Each is a function that gives the text of a deploy.prototxt; NETS says what of it a trunk takes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from google.protobuf import text_format

from caffe_files.blobs import store_blob
from caffe_files.prototxt import read_net
from caffe_files.schema import caffe_messages
from skinmtl.nets.layer_shapes import top_shapes


class Writer:
    """Layers as text, one a line; each method returns its top."""

    def __init__(self, name, head):
        self.lines = [f"name: '{name}'", head]

    def layer(self, name, kind, bottoms, settings="", top=None):
        names = [bottoms] if isinstance(bottoms, str) else bottoms
        bottom = " ".join(f"bottom: '{each}'" for each in names)
        self.lines.append(f"layer {{ name: '{name}' type: '{kind}' {bottom} top: '{top or name}' {settings} }}")
        return top or name

    def conv(self, name, bottom, channels, kernel=3, stride=1, more="", pad=None):
        pad = kernel // 2 if pad is None else pad
        size = f"kernel_size: {kernel} stride: {stride} pad: {pad}"
        return self.layer(name, "Convolution", bottom, f"convolution_param {{ num_output: {channels} {size} {more} }}")

    def relu(self, blob, name=None):
        return self.layer(name or f"{blob}/relu", "ReLU", blob, top=blob)

    def bn(self, blob, name, top=None):
        """BatchNorm and Scale, in place or on a blob of their own."""
        top = self.layer(f"{name}/bn", "BatchNorm", blob, "batch_norm_param { use_global_stats: true }", top or blob)
        return self.layer(f"{name}/scale", "Scale", top, "scale_param { bias_term: true }", top)

    def pool(self, name, bottom, kind="MAX", kernel=3, stride=2, more=""):
        size = f"kernel_size: {kernel} stride: {stride}" if kernel else "global_pooling: true"
        return self.layer(name, "Pooling", bottom, f"pooling_param {{ pool: {kind} {size} {more} }}")

    def full(self, name, bottom, outputs):
        return self.layer(name, "InnerProduct", bottom, f"inner_product_param {{ num_output: {outputs} }}")

    def text(self, *last):
        return "\n".join([*self.lines, *last, ""])


def dims(side, name="data"):
    return f"input: '{name}' input_dim: 1 input_dim: 3 input_dim: {side} input_dim: {side}"


def thin_resnet(side=64, widths=(8, 12, 16, 24), blocks=(1, 1, 1, 2), stem=8):
    """A ResNet of bottleneck blocks with half of each width, biases in all convolutions, and no pool of its own."""
    net = Writer("Thin_ResNet", dims(side))
    blob = net.relu(net.bn(net.conv("stem_conv", "data", stem, 7, 2), "stem"))
    blob = net.pool("stem_pool", blob)
    for stage, (width, count) in enumerate(zip(widths, blocks), 1):
        for number in range(count):
            at = f"layer{stage}_unit{number}"
            stride = 2 if number == 0 and stage > 1 else 1
            skip = blob
            if number == 0:
                skip = net.bn(net.conv(f"{at}_proj", blob, 4 * width, 1, stride), f"{at}_proj")
            inside = net.relu(net.bn(net.conv(f"{at}_conv1", blob, width, 1, stride), f"{at}_1"))
            inside = net.relu(net.bn(net.conv(f"{at}_conv2", inside, width, 3), f"{at}_2"))
            inside = net.bn(net.conv(f"{at}_conv3", inside, 4 * width, 1), f"{at}_3")
            blob = net.relu(net.layer(f"{at}_sum", "Eltwise", [skip, inside]))
    return net.text()


def vgg(side=32):
    """Convolutions with biases, and fully connected layers on what is left of the places; the layers of before 2014."""

    def old(name, kind, bottom, top=None, more=""):
        return f"layers {{ name: '{name}' type: {kind} bottom: '{bottom}' top: '{top or name}' {more} }}"

    learned = "blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0"
    lines, blob = ["name: 'VGG_like'", dims(side)], "data"
    for stage, channels in enumerate((4, 6, 8), 1):
        for number in (1, 2):
            name = f"conv{stage}_{number}"
            size = f"num_output: {channels} kernel_size: 3 pad: 1"
            lines.append(old(name, "CONVOLUTION", blob, more=f"{learned} convolution_param {{ {size} }}"))
            lines.append(old(f"relu{stage}_{number}", "RELU", name, name))
            blob = name
        lines.append(old(f"pool{stage}", "POOLING", blob, more="pooling_param { pool: MAX kernel_size: 2 stride: 2 }"))
        blob = f"pool{stage}"
    for name in ("fc6", "fc7"):
        lines.append(old(name, "INNER_PRODUCT", blob, more=f"{learned} inner_product_param {{ num_output: 20 }}"))
        lines += [old(f"relu{name[2]}", "RELU", name, name), old(f"drop{name[2]}", "DROPOUT", name, name)]
        blob = name
    lines.append(old("fc8", "INNER_PRODUCT", blob, more="inner_product_param { num_output: 10 }"))
    return "\n".join([*lines, old("prob", "SOFTMAX", "fc8"), ""])


def googlenet(side=64):
    """Inception modules: four branches, slashes in names, LRN, an average over all places with a kernel of numbers."""
    shape = f"input_param {{ shape {{ dim: [10, 3, {side}, {side}] }} }}"
    net = Writer("GoogLeNet-like", f"layer {{ name: 'image' type: 'Input' top: 'image' {shape} }}")
    blob = net.pool("pool1/3x3_s2", net.relu(net.conv("conv1/7x7_s2", "image", 8, 7, 2)))
    blob = net.layer("pool1/norm1", "LRN", blob, "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")
    for module in ("3a", "3b"):
        at = f"inception_{module}"
        branches = [
            net.relu(net.conv(f"{at}/1x1", blob, 6, 1)),
            net.relu(net.conv(f"{at}/3x3", net.relu(net.conv(f"{at}/3x3_reduce", blob, 4, 1)), 8)),
            net.relu(net.conv(f"{at}/5x5", net.relu(net.conv(f"{at}/5x5_reduce", blob, 2, 1)), 4, 5)),
            net.relu(net.conv(f"{at}/pool_proj", net.pool(f"{at}/pool", blob, stride=1, more="pad: 1"), 4, 1)),
        ]
        blob = net.layer(f"{at}/output", "Concat", branches)
        blob = net.pool(f"pool_{module}", blob) if module == "3a" else blob
    sides = -(-(-(-(side // 2 - 3) // 2) + 1 - 3) // 2) + 1
    blob = net.pool("pool5/whole", blob, "AVE", sides, 1)
    net.layer("pool5/drop", "Dropout", blob, "dropout_param { dropout_ratio: 0.4 }", blob)
    net.layer("prob", "Softmax", net.full("loss3/classifier", blob, 10))
    return net.text()


def densenet(side=64):
    """Blocks in which each layer sees all before it; BatchNorm and Scale write blobs of their own."""
    shape = f"input: 'data' input_shape {{ dim: 1 dim: 3 dim: {side} dim: {side} }}"
    net = Writer("DENSE_NET", shape)
    first = net.conv("conv1", "data", 8, 7, 2, "bias_term: false")
    blob = net.pool("pool1", net.relu(net.bn(first, "conv1", "conv1/bn")), more="pad: 1 round_mode: FLOOR")
    for block in (2, 3):
        for number in (1, 2):
            at = f"conv{block}_{number}"
            inside = net.conv(
                f"{at}/x1", net.relu(net.bn(blob, f"{at}/x1", f"{at}/x1/bn")), 8, 1, 1, "bias_term: false"
            )
            inside = net.conv(
                f"{at}/x2", net.relu(net.bn(inside, f"{at}/x2", f"{at}/x2/bn")), 4, 3, 1, "bias_term: false"
            )
            blob = net.layer(f"concat_{block}_{number}", "Concat", [blob, inside])
        end = net.relu(net.bn(blob, f"blk{block}", f"blk{block}/bn"))
        blob = net.pool("pool2", net.conv("conv2_blk", end, 8, 1), "AVE", 2) if block == 2 else end
    net.layer("prob", "Softmax", net.conv("fc6", net.pool("pool5", blob, "AVE", 0), 10, 1))
    return net.text()


def se_resnet(side=64):
    """A residual block whose branch is weighted by channel: squeezed, excited, and scaled from axis 0 on."""
    net = Writer("SE-like", dims(side))
    blob = net.pool("pool1", net.relu(net.bn(net.conv("conv1/7x7", "data", 8, 7, 2), "conv1")))
    for at in ("conv2_1", "conv2_2"):
        inside = net.relu(net.bn(net.conv(f"{at}/1x1", blob, 8, 1, 1, "bias_term: false"), f"{at}/1x1"))
        inside = net.bn(net.conv(f"{at}/3x3", inside, 8, 3, 1, "bias_term: false"), f"{at}/3x3")
        down = net.relu(net.full(f"{at}/down", net.pool(f"{at}/squeeze", inside, "AVE", 0), 4))
        gate = net.layer(f"{at}/gate", "Sigmoid", net.full(f"{at}/up", down, 8))
        scaled = net.layer(f"{at}/scaled", "Scale", [inside, gate], "scale_param { axis: 0 }")
        blob = net.relu(net.layer(at, "Eltwise", [blob, scaled]))
    net.layer("prob", "Softmax", net.full("classifier", net.pool("pool5/whole", blob, "AVE", side // 4, 1), 10))
    return net.text()


def squeezenet(side=48):
    """Fire modules; the classifier is a convolution, averaged over all places."""
    net = Writer("SqueezeNet", dims(side))
    blob = net.pool("pool1", net.relu(net.conv("conv1", "data", 8, 3, 2, pad=0), "relu_conv1"))
    for at in ("fire2", "fire3"):
        squeezed = net.relu(net.conv(f"{at}/squeeze1x1", blob, 4, 1))
        both = [net.relu(net.conv(f"{at}/expand{k}x{k}", squeezed, 8, k)) for k in (1, 3)]
        blob = net.layer(f"{at}/concat", "Concat", both)
    blob = net.layer("drop3", "Dropout", blob, top=blob)
    net.layer("prob", "Softmax", net.pool("pool10", net.relu(net.conv("conv10", blob, 10, 1)), "AVE", 0))
    return net.text()


def mobilenet(side=64):
    """Convolutions in as many groups as channels, then 1 x 1; statistics that are said to have no learning rate."""
    net = Writer("MOBILENET", dims(side))
    blob = net.relu(net.bn(net.conv("conv1", "data", 8, 3, 2, "bias_term: false"), "conv1"))
    channels = 8
    for number, stride in ((2, 1), (3, 2)):
        more = f"bias_term: false group: {channels} engine: CAFFE"
        blob = net.relu(net.bn(net.conv(f"conv{number}/dw", blob, channels, 3, stride, more), f"conv{number}/dw"))
        channels *= 2
        blob = net.relu(
            net.bn(net.conv(f"conv{number}/sep", blob, channels, 1, 1, "bias_term: false"), f"conv{number}")
        )
    blob = net.pool("pool6", blob, "AVE", 0)
    net.layer("prob", "Softmax", net.conv("fc7", blob, 10, 1))
    statistics = "name: 'conv1/bn' type: 'BatchNorm'"
    fixed = "param { lr_mult: 0 decay_mult: 0 } " * 3
    return net.text().replace(statistics, f"{statistics} {fixed}")


class Taken(NamedTuple):
    """What a trunk takes of a net: the blob of the features, its numbers, and whether it has many places; another crop
    than the published one, and which layers' weights do not fit there."""

    make: object
    side: int
    features: str
    numbers: int
    spatial: bool
    maps: str | None
    other_crop: int
    of_one_crop: tuple = ()


NETS = {
    "thin_resnet": Taken(thin_resnet, 64, "layer4_unit1_sum", 96, True, "layer4_unit1_sum", 96),
    "vgg": Taken(vgg, 32, "fc7", 20, False, None, 48, ("fc6",)),
    "googlenet": Taken(googlenet, 64, "pool5/whole", 22, False, "inception_3b/output", 96),
    "densenet": Taken(densenet, 64, "blk3/bn", 16, True, "blk3/bn", 96),
    "se_resnet": Taken(se_resnet, 64, "pool5/whole", 8, False, "conv2_2", 96),
    "squeezenet": Taken(squeezenet, 48, "fire3/concat", 16, True, "fire3/concat", 64),
    "mobilenet": Taken(mobilenet, 64, "pool6", 32, False, "conv3/sep", 96),
}


def write_net(name, folder, **settings):
    """Writes a net's deploy.prototxt; returns its path."""
    path = folder / f"{name}.prototxt"
    path.write_text(NETS[name].make(**settings), encoding="utf-8")
    return path


def write_weights(deploy, path, seed=1):
    """Writes random weights of the whole net, so that nothing dies out on the way, and returns the path."""
    random, net = np.random.RandomState(seed), read_net(deploy)
    model = caffe_messages().NetParameter(name=net.name)
    shapes = {}
    for layer in net.layer:
        if layer.type == "Input":
            shapes[layer.top[0]] = (1, *layer.input_param.shape[0].dim[1:])
    if net.input:
        shapes[net.input[0]] = tuple(net.input_dim) or tuple(net.input_shape[0].dim)
    for layer in net.layer:
        if layer.type == "Input":
            continue
        bottoms = [shapes[name] for name in layer.bottom]
        shapes.update(zip(layer.top, top_shapes(layer, bottoms)))
        stored = model.layer.add(name=layer.name, type=layer.type)
        for values in _weights(layer, bottoms, random):
            store_blob(stored.blobs.add(), values.astype(np.float32))
    path.write_bytes(model.SerializeToString())
    return path


def _weights(layer, bottoms, random):
    channels = bottoms[0][1]
    if layer.type == "BatchNorm":
        return [random.normal(0, 0.2, channels), random.uniform(0.5, 1.5, channels), np.ones(1)]
    if layer.type == "Scale" and len(bottoms) == 1:
        return [random.uniform(0.7, 1.3, channels), random.normal(0, 0.1, channels)]
    if layer.type == "Convolution":
        settings = layer.convolution_param
        inputs, side = channels // settings.group, settings.kernel_size[0]
        shape = (settings.num_output, inputs, side, side)
        fan_in, biased = inputs * side * side, settings.bias_term
        fan_in *= 3600 if channels == 3 else 1  # pixels less their mean are about 60
    elif layer.type == "InnerProduct":
        fan_in, biased = int(np.prod(bottoms[0][1:])), True
        shape = (layer.inner_product_param.num_output, fan_in)
    else:
        return []
    weights = random.normal(0, (2 / fan_in) ** 0.5, shape)
    return [weights, *([random.normal(0, 0.1, shape[0])] if biased else [])]


def parsed(text):
    """The NetParameter of a text."""
    return text_format.Parse(text, caffe_messages().NetParameter())
