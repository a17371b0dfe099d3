"""What real BVLC Caffe makes of a net: pycaffe in a process of its own, since PyTorch's Python is another.

As a program (in .caffe's Python) it reads a line for each net: a JSON list of the prototxt, the phase, the .npz of
inputs, weights and gradients of tops, and the .npz to write; or of prototxt and phase alone, where a process that ends
with the net tells whether Caffe runs it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

PYTHON = Path(__file__).resolve().parents[2] / ".caffe/bin/python3"


class Reference:
    """Runs nets in pycaffe: `answer(prototxt, ...)` returns blobs, and gradients where top gradients were given."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.start()

    def start(self):
        environment = {
            **os.environ,
            "GLOG_minloglevel": "2",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "python"),
        }
        self.process = subprocess.Popen(
            [str(PYTHON), __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def answer(self, prototxt, phase, arrays):
        """arrays: blob:NAME, weight:LAYER:NUMBER and gradient:NAME. Returns the same kinds, as Caffe has them.

        With gradients also gradient:NAME of every blob and weight_gradient:LAYER:NUMBER.
        """
        folder = Path(self.folder.name)
        (folder / "net.prototxt").write_text(prototxt)
        np.savez(str(folder / "in.npz"), **arrays)
        request = [str(folder / "net.prototxt"), phase, str(folder / "in.npz"), str(folder / "out.npz")]
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline():
            said = self.process.stderr.read()[-2000:]
            self.process.wait()
            self.start()
            raise AssertionError(f"Caffe gave up: {said}\n{prototxt}")
        with np.load(str(folder / "out.npz")) as archive:
            return dict(archive.items())

    def refusal(self, prototxt, phase="TEST"):
        """What Caffe dies of where it builds and runs a net; "" where it does not."""
        path = Path(self.folder.name) / "net.prototxt"
        path.write_text(prototxt)
        self.process.stdin.write(json.dumps([str(path), phase]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        self.folder.cleanup()


def answer(caffe, prototxt, phase, given, out):
    net = caffe.Net(prototxt, getattr(caffe, phase))
    for key, value in np.load(given).items():
        kind, _, name = key.partition(":")
        if kind == "blob":
            net.blobs[name].data[...] = value
        elif kind == "weight":
            layer, _, number = name.rpartition(":")
            net.params[layer][int(number)].data[...] = value
        else:
            net.blobs[name].diff[...] = value
    net.forward()
    found = {f"blob:{name}": blob.data.copy() for name, blob in net.blobs.items()}
    if any(key.startswith("gradient:") for key in np.load(given)):
        net.backward()
        found.update((f"gradient:{name}", blob.diff.copy()) for name, blob in net.blobs.items())
    for layer, blobs in net.params.items():
        for number, blob in enumerate(blobs):
            found[f"weight:{layer}:{number}"] = blob.data.copy()
            found[f"weight_gradient:{layer}:{number}"] = blob.diff.copy()
    np.savez(out, **found)


def refusal(caffe, prototxt, phase):
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 2)
            try:
                caffe.Net(prototxt, getattr(caffe, phase)).forward()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        said.seek(0)
        text = said.read().decode(errors="replace")
    found = re.search(r"^F\d{4} .*?\] (.*)", text, re.MULTILINE)
    return (found.group(1) if found else text or f"status {status}") if status else ""


if __name__ == "__main__":
    import caffe

    caffe.set_mode_cpu()
    for line in sys.stdin:
        request = json.loads(line)
        if len(request) == 2:
            print(json.dumps(refusal(caffe, *request)), flush=True)
            continue
        answer(caffe, *request)
        print("done", flush=True)
