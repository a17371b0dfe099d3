"""The part of pycaffe_script.py that looks at weights in HDF5."""

import caffe
import h5py
import numpy as np


def look_at_hdf5(note, prototxt, fill, given):
    net = caffe.Net(prototxt, caffe.TRAIN)
    fill(net, 4)
    net.save_hdf5("weights.h5")
    net.save_hdf5("weights.h5")
    parts = []
    with h5py.File("weights.h5", "r") as file:
        file.visititems(lambda name, each: parts.append([name, str(getattr(each, "shape", "")), each.name]))
        note("type of the file's numbers", str(file["data/fc/0"].dtype))
    note("parts of the file", sorted(parts))
    of_file = caffe.Net(prototxt, caffe.TRAIN)
    of_file.load_hdf5("weights.h5")
    note_params(note, of_file, "hdf5")
    opened = caffe.Net(prototxt, caffe.TEST, weights="weights.h5")
    note_params(note, opened, "opened")
    with h5py.File("weights.h5", "r+") as file:
        del file["data/conv"]
        file["data/none/0"] = np.ones(3)
        values = file["data/fc/1"][...] * 2
        del file["data/fc/1"]
        file["data/fc/1"] = values.astype(np.float64)
        del file["data/bn/2"]
        file["data/bn/2"] = np.array([3])
    of_file.load_hdf5("weights.h5")
    note_params(note, of_file, "changed")
    net.save_hdf5("weights.h5")
    if given:
        of_file.load_hdf5(given)
        note_params(note, of_file, "given:hdf5")


def note_params(note, net, when):
    for name, blobs in net.params.items():
        for number, blob in enumerate(blobs):
            note(f"{when}:{name}:{number}", blob.data)
