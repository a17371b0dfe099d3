"""The part of pycaffe_script.py that writes nets in Python."""

import caffe
from caffe import layers as L
from caffe import params as P
from google.protobuf import text_format


def look_at_written_nets(note):
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(shape=[{"dim": [2, 3, 8, 8]}, {"dim": 2}], ntop=2)
    n.conv = L.Convolution(
        n.data, num_output=4, kernel_size=3, weight_filler={"type": "xavier"}, param=[{"lr_mult": 1}, {"lr_mult": 2}]
    )
    n.relu = L.ReLU(n.conv, in_place=True)
    n.pool = L.Pooling(n.relu, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    one, two = L.Slice(n.pool, ntop=2, slice_point=2)
    n.together = L.Concat(two, one, L.Pooling(n.pool, pool=P.Pooling.AVE, kernel_size=1))
    n.silent = L.Silence(L.Dropout(n.together, in_place=True), ntop=0)
    scores = L.InnerProduct(n.relu, inner_product_param={"num_output": 2})
    n.loss = L.SoftmaxWithLoss(scores, n.label, loss_weight=2, name="the loss", include={"phase": caffe.TRAIN})
    n["odd/name"] = L.TanH(n.pool)
    note("written", text_format.MessageToString(n.to_proto()))
    small = L.ReLU(L.Input(shape={"dim": [1, 2]}))
    note("written by itself", [text_format.MessageToString(net) for net in (caffe.to_proto(small), small.to_proto())])
