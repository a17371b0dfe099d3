"""A pipe in place of a file is refused by every reader at once, by its path: none waits for who never writes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from caffe_files.caffe_log import read_caffe_log
from caffe_files.errors import InputError
from caffe_files.prototxt import read_blob, read_caffemodel, read_net, read_solver, read_solverstate
from skinmtl.common.provenance import sha256
from skinmtl.data.dataset import read_summary
from skinmtl.data.manifest import read_manifest
from skinmtl.data.table import read_csv
from skinmtl.experiment.presets import read_preset
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.features_file import read_features
from skinmtl.nets.net_record import read_net_record
from skinmtl.pretrained.checkpoint import read_checkpoint
from skinmtl.publishing.metrics_files import read_metrics
from skinmtl.publishing.model_folder import read_labels, read_model_folder
from skinmtl.scores.scores_file import read_scores
from skinmtl.training.log_file import read_log
from skinmtl.training.run_folder import RunFolder


def labels_beside(path: Path) -> None:
    path.with_name("lesions.txt").write_text("a\n")
    read_manifest(path)


READERS = {
    "deploy.prototxt": read_net,
    "solver.prototxt": read_solver,
    "weights.caffemodel": read_caffemodel,
    "x.solverstate": read_solverstate,
    "mean.binaryproto": read_blob,
    "caffe.log": read_caffe_log,
    "any": sha256,
    "dataset.json": lambda path: read_summary(path.parent),
    "manifest.csv": labels_beside,
    "folds.csv": lambda path: list(read_csv(path, ("image", "fold"))),
    "attention.npz": AttentionFile,
    "features.npz": read_features,
    "scores.npz": read_scores,
    "net.json": lambda path: read_net_record(path.parent),
    "weights.pth": read_checkpoint,
    "metrics.json": lambda path: read_metrics([path], Path(__file__)),
    "lesions.txt": read_labels,
    "model.json": lambda path: read_model_folder(path.parent),
    "log.csv": read_log,
    "args.json": lambda path: RunFolder(path.parent).read_args(),
    "preset.yaml": lambda path: read_preset(str(path)),
}


@pytest.fixture(autouse=True)
def no_waiting():
    """A reader that waits fails the test."""

    def wake(number, frame):
        raise AssertionError("waits for the pipe")

    before = signal.signal(signal.SIGALRM, wake)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused(name, tmp_path):
    os.mkfifo(str(tmp_path / name))
    with pytest.raises(InputError, match=f"{name}: is a pipe"):
        READERS[name](tmp_path / name)
