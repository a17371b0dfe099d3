#!/bin/sh
# The image says for itself that Caffe starts, that what the tools import is there, that OpenBLAS does the work, and
# that layers in Python run in the caffe program.
set -eu

caffe --version
pytest --version
python3 - <<'PYTHON'
import caffe, cv2, google.protobuf, jinja2, lmdb, matplotlib, numpy, scipy.stats, sklearn.metrics, tqdm
numpy.ones((64, 64)).dot(numpy.ones((64, 64)))
loaded = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if ".so" in line}
assert any("/libopenblas" in path for path in loaded), "OpenBLAS is not loaded"
reference = [path for path in loaded if "/libblas" in path and "/openblas-pthread/" not in path]
assert not reference, "the reference BLAS is loaded: %s" % reference
print("OpenBLAS is loaded")
PYTHON

# a layer of type "Python" in the caffe program itself
probe=$(mktemp -d)
cat >"$probe/probe.py" <<'PYTHON'
import caffe, cv2, lmdb, numpy

class Probe(caffe.Layer):
    def setup(self, bottom, top): pass
    def reshape(self, bottom, top): top[0].reshape(1)
    def forward(self, bottom, top): pass
    def backward(self, top, propagate_down, bottom): pass
PYTHON
echo 'layer { name: "p" type: "Python" top: "p" python_param { module: "probe" layer: "Probe" } }' \
    >"$probe/probe.prototxt"
PYTHONPATH=$probe GLOG_minloglevel=1 caffe time -model "$probe/probe.prototxt" -iterations 1
rm -r "$probe"
echo "layers in Python run in caffe"
