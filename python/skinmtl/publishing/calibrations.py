"""The calibration of a model folder: which one may be put there, and whether the one that is there fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.scores.calibration_file import Calibration, read_calibration
from skinmtl.scores.chosen_thresholds import TEST
from skinmtl.scores.mask_net import mask_net_of
from skinmtl.training.trained_net import TrainedNet

CALIBRATION = "calibration.json"
REMEDY = "fetch the folder again, or make it anew with export.py"


def chosen_calibration(
    path: Path | None, source: TrainedNet, labels: dict[str, list[str]], record: dict[str, Any]
) -> Calibration | None:
    """The calibration in the file that is asked for. InputError where it is of another net, of images that were shown
    to it otherwise than `record`, of model.json, says, or was fitted on the test images."""
    if path is None:
        return None
    if mask_net_of(source.deploy) is not None:
        raise InputError(f"{path}: {source.deploy} draws lesions, which are not calibrated; leave --calibration out")
    found = read_calibration(path)
    _check(path, found, labels, sha256(source.weights))
    for name in ("short_side", "crop", "crops", "mean"):
        if name in found.same and not np.allclose(found.same[name] or np.nan, record[name], rtol=1e-6):
            raise InputError(
                f"{path}: is of a {name} of {found.same[name]}, the model's is {record[name]}; fit it anew"
            )
    if found.fitted_on == TEST:
        raise InputError(
            f"{path}: was fitted on {TEST}, so that no figure of them would be true; fit it with calibrate.py on "
            "scores of --subset validation"
        )
    return found


def folder_calibration(folder: Path, weights_sha256: str, labels: dict[str, list[str]]) -> Calibration:
    """The one that a model folder has. InputError where it is not of its weights and labels."""
    found = read_calibration(folder / CALIBRATION, REMEDY)
    _check(folder / CALIBRATION, found, labels, weights_sha256)
    return found


def _check(path: Path, calibration: Calibration, labels: dict[str, list[str]], weights_sha256: str) -> None:
    if calibration.weights != weights_sha256:
        raise InputError(f"{path}: is of other weights; make it with calibrate.py from scores of these")
    if {head: list(one.names) for head, one in calibration.heads.items()} != labels:
        raise InputError(f"{path}: its labels are not those of the net; make it with calibrate.py from scores of these")
