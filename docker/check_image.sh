#!/bin/sh
# The image says for itself that Caffe starts, that what the tools import is there, and that OpenBLAS does the work.
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
