"""A net with LesionData, and labels of a Data layer beside it, as the drivers of a training are given it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from made_lesions import TOPS, lesion_layer, lesion_records, write_lesion_lmdbs

from caffe_files.schema import caffe_messages
from skinmtl.layers.lesion_data import LesionSamples
from skinmtl.training.losses import Loss
from skinmtl.training.snapshots import Snapshot

BATCH, N = 2, 5
SIZES = ((40, 60), (60, 40), (90, 81), (64, 64), (33, 200))
REST = """
layer {{ name: "lesion_label" type: "Data" top: "lesion_label" data_param {{
         source: "{0}" batch_size: {1} backend: LMDB }} }}
layer {{ name: "small" type: "Power" bottom: "data" top: "small" power_param {{ scale: 0.001 }} }}
layer {{ name: "fc_lesion" type: "InnerProduct" bottom: "small" top: "fc_lesion" inner_product_param {{
        num_output: 2 weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "lesion_loss" type: "SigmoidCrossEntropyLoss" top: "lesion_loss"
        bottom: "fc_lesion" bottom: "lesion_label" }}
layer {{ name: "unused" type: "Silence"
        bottom: "window" bottom: "box" bottom: "mask" bottom: "draw" bottom: "class_label" }}
"""


class DrivenLesions:
    """Nets of five records in batches of two, tested in batches of five; `solver` is what a driver is made with."""

    def __init__(self, folder, kind="SGD"):
        self.folder = folder
        self.source = write_lesion_lmdbs(folder / "set", lesion_records(SIZES))
        for split, batch, workers in (("train", BATCH, 2), ("test", N, 1)):
            layer = lesion_layer(self.source, batch, workers=workers, augment=5, seed=99)
            text = f'name: "toy" {layer} {REST.format(self.source.with_name("lesion_lmdb"), batch)}'
            (folder / f"{split}.prototxt").write_text(text)
        losses = (Loss("lesion", "lesion_loss", 1.0),)
        self.inputs = SimpleNamespace(
            train_net=folder / "train.prototxt",
            test_net=folder / "test.prototxt",
            names={"lesion": ["a", "b"]},
            losses=losses,
            test_losses=losses,
            proposals=None,
            batch_size=BATCH,
            test_passes=1,
        )
        solver = caffe_messages().SolverParameter(base_lr=0.01, lr_policy="fixed", momentum=0.9, type=kind)
        self.solver = (solver, self.inputs, folder / "solver.prototxt", folder / "toy", 100)

    def expected(self, passes, seed):
        """The tops of passes of the training, as `seed` draws them; the image as it is before the mean."""
        reader = LesionSamples(str(self.source), 64, 5, False, True)
        visits = range(passes[0] * BATCH, (passes[-1] + 1) * BATCH)
        parts = zip(*(reader.sample(visit, seed) for visit in visits))
        return dict(zip(TOPS, map(np.stack, parts)))

    def snapshot(self, stem, iteration):
        """The files that a driver has written."""
        return Snapshot(stem, iteration, {})


def assert_as_large_as_said(solver, stem):
    """A snapshot's two files are about as large as the solver says beforehand, but for a MiB that it adds."""
    written = sum(stem.with_name(stem.name + suffix).stat().st_size for suffix in (".caffemodel", ".solverstate"))
    assert 0.98 < (solver.snapshot_bytes() - (1 << 20)) / written < 1.02


def assert_shown(blobs, expected):
    """What a pass showed is what is expected, and the labels of the Data layer are those of the same records."""
    for top in TOPS[1:]:
        np.testing.assert_array_equal(blobs[top], expected[top].astype(np.float32), err_msg=top)
    differences = expected["data"] - blobs["data"]
    np.testing.assert_allclose(differences, np.broadcast_to(differences[:1, :, :1, :1], differences.shape), atol=1e-4)
    classes = 1 + blobs["lesion_label"].reshape(len(blobs["data"]), -1).argmax(axis=1)
    np.testing.assert_array_equal(classes, blobs["class_label"])
