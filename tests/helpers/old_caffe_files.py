"""A net and its caffemodel in the form of before 2014, made with pycaffe's own messages; a program for .caffe's Python.

It is given a folder, and writes old.prototxt, old.caffemodel, new.caffemodel (by Caffe itself, from the old two) and
top.npy (the net's output, by Caffe, on the numbers of bottom.npy).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

NET = """
name: "old" input: "data" input_dim: 2 input_dim: 3 input_dim: 9 input_dim: 9
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2 weight_decay: 1
  weight_decay: 0 convolution_param { num_output: 4 kernel_size: 3 pad: 1 group: 1
  weight_filler { type: "gaussian" std: 0.1 } bias_filler { type: "constant" value: 0.2 } } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" relu_param { negative_slope: 0.1 } }
layers { name: "norm" type: LRN bottom: "conv" top: "norm" lrn_param { local_size: 3 alpha: 0.5 } }
layers { name: "pool" type: POOLING bottom: "norm" top: "pool" pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layers { name: "power" type: POWER bottom: "pool" top: "power" power_param { scale: 0.5 } }
layers { name: "sum" type: ELTWISE bottom: "pool" bottom: "power" top: "sum" eltwise_param { operation: SUM } }
layers { name: "slice" type: SLICE bottom: "sum" top: "one" top: "two" slice_param { slice_dim: 1 } }
layers { name: "concat" type: CONCAT bottom: "two" bottom: "one" top: "concat" concat_param { concat_dim: 1 } }
layers { name: "abs" type: ABSVAL bottom: "concat" top: "abs" }
layers { name: "left out" type: FLATTEN bottom: "abs" top: "flat" include { phase: TRAIN } }
layers { name: "fc" type: INNER_PRODUCT bottom: "abs" top: "fc" param: "shared w" param: "shared b"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.1 } } }
layers { name: "drop" type: DROPOUT bottom: "fc" top: "fc" dropout_param { dropout_ratio: 0.7 } }
layers { name: "prob" type: SOFTMAX bottom: "fc" top: "prob" }
"""


def main(folder):
    import caffe
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    (folder / "old.prototxt").write_text(NET)
    net = caffe.Net(str(folder / "old.prototxt"), caffe.TEST)
    old = caffe_pb2.NetParameter()
    text_format.Parse(NET, old)
    for layer in old.layers:
        for blob in net.params.get(layer.name, ()):
            sides = [1] * (4 - len(blob.data.shape)) + list(blob.data.shape)
            layer.blobs.add(
                num=sides[0], channels=sides[1], height=sides[2], width=sides[3], data=blob.data.ravel().tolist()
            )
    (folder / "old.caffemodel").write_bytes(old.SerializeToString())
    net = caffe.Net(str(folder / "old.prototxt"), caffe.TEST, weights=str(folder / "old.caffemodel"))
    net.save(str(folder / "new.caffemodel"))
    net.blobs["data"].data[...] = np.load(str(folder / "bottom.npy"))
    np.save(str(folder / "top.npy"), net.forward()["prob"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
