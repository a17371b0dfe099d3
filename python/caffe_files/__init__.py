"""Caffe's file formats: prototxt, caffemodel, Datum, and its log."""
