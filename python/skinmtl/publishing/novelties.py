"""The novelty.npz of a model folder: which one may be put there, whether the one that is there fits, and its use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.engines.snapshot import Snapshot
from skinmtl.explanation.extracting import difference, feature_record, n_features
from skinmtl.explanation.novelty import Novelty
from skinmtl.explanation.novelty_file import read_novelty
from skinmtl.publishing.calibrations import REMEDY
from skinmtl.scores.chosen_thresholds import TEST
from skinmtl.scores.forward import Protocol
from skinmtl.scores.mask_net import mask_net_of

NOVELTY = "novelty.npz"


def chosen_novelty(path: Path | None, snapshot: Snapshot, record: dict[str, Any]) -> Novelty | None:
    """The one in the file that is asked for. InputError where it is of another net, of images that were shown to it
    otherwise than `record`, of model.json, says, or its threshold was chosen on the test images."""
    if path is None:
        return None
    if mask_net_of(snapshot.deploy) is not None:
        raise InputError(
            f"{path}: {snapshot.deploy} draws lesions, and unlike photographs are told by nets of labels alone; leave "
            "--novelty out"
        )
    found = read_novelty(path)
    shown = Protocol(record["short_side"], tuple(record["mean"]), 1, snapshot.engine, 1, found.crops)
    precision = {"precision": found.protocol["precision"]} if "precision" in found.protocol else {}  # predict.py's too
    other = _width(found, snapshot) or difference(found.protocol, {**feature_record(snapshot, shown), **precision})
    if other:
        raise InputError(f"{path}: of another net, or shown otherwise: here {other}; make it anew with novelty.py")
    if found.fitted_on == TEST:
        raise InputError(
            f"{path}: its threshold was chosen on {TEST}, so that no figure of them would be true; make it with "
            "features of --subset validation"
        )
    return found


def folder_novelty(folder: Path, weights_sha256: str) -> Novelty:
    """The one that a model folder has. InputError where it is not of its weights."""
    found = read_novelty(folder / NOVELTY, REMEDY)
    if found.protocol["weights_sha256"] != weights_sha256:
        raise InputError(f"{folder / NOVELTY}: is of other weights; {REMEDY}")
    return found


def unusable(novelty: Novelty | None, snapshot: Snapshot, protocol: Protocol) -> str:
    """Why nothing is known of images that are shown to the net by this protocol; nothing where something is."""
    if novelty is None:
        return f"it has no {NOVELTY}, which export.py --novelty puts into a model folder"
    if novelty.crops > protocol.crops:
        return f"the features of its training images are of {novelty.crops} crops"
    shown = feature_record(snapshot, replace(protocol, crops=novelty.crops))
    other = _width(novelty, snapshot) or difference(novelty.protocol, shown)
    return other and f"here {other}"


def _width(novelty: Novelty, snapshot: Snapshot) -> str:
    """The same of how many features there are."""
    here, there = n_features(snapshot), novelty.reference.shape[1]
    return "" if here == there else f"there are {here} features, where the training images have {there}"


def cannot_tell(path: Path, why: str) -> str:
    """A line for whoever reads predictions of the model in `path`, of which nothing is known."""
    return f"{path}: cannot tell photographs that are unlike its training images: {why}"


def told_of_novelty(path: Path, novelty: Novelty, names_unlike: bool) -> str:
    """The same of a model that can."""
    does = "marks" if names_unlike else "names nothing in"
    return (
        f"{path}: {does} photographs that are further than {novelty.threshold:.4g} from its training images, chosen on "
        f"{len(novelty.validation)} {novelty.fitted_on}, of which it refuses {novelty.refused}"
    )
