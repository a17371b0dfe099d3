"""caffe.proto.caffe_pb2: Caffe's messages by name, and the phases."""

from caffe_files.schema import caffe_messages

TRAIN, TEST = 0, 1
globals().update(vars(caffe_messages()))
