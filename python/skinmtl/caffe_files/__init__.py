"""Caffe's file formats: prototxt, caffemodel, Datum."""
