"""Features of images: what a net's heads stand on, pool5 of a ResNet.

The paper says no more than that retrieval takes "the features of pool5" and the Euclidean distance. Here an image is
resized as for scoring, and its features are those of the centre crop: one pass an image, the plain reading. The mean
over the ten crops is the other choice; it sees the image's ends too and costs ten times as much.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.provenance import made_by
from skinmtl.data.manifest import Manifest
from skinmtl.data.seen import KEY, UNKNOWN
from skinmtl.engines.engine import Engine
from skinmtl.engines.snapshot import Snapshot, checked_snapshot
from skinmtl.explanation.features_file import Features, write_features
from skinmtl.nets.label_names import check_manifest
from skinmtl.nets.net_blobs import blobs_of
from skinmtl.scores.forward import Protocol, averaged_outputs, check_side, kept_outputs, record

DECIDES = (
    "blob",
    "short_side",
    "resizing",
    "crop",
    "crops",
    "mean",
    "net",
    "net_sha256",
    "weights_sha256",
    "precision",
)
BEFORE = {"precision": "fp32", "resizing": "not said"}  # of files from when there was no other, or none was named


def extract(
    deploy: Path,
    weights: Path,
    manifest: Manifest,
    image_folder: Path,
    protocol: Protocol,
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
) -> Features:
    """Writes to `out`, and returns, the features (N, C) of the manifest's images, in its order, with their labels.

    `trained_on` is what `data.seen.seen` says of the images. What a stopped run has made for the file `out` is kept
    beside it, and used where everything is still the same.
    """
    check_manifest(manifest, deploy)
    snapshot = feature_net(deploy, weights, protocol.engine)
    made_how = feature_record(snapshot, protocol)
    blobs = [made_how["blob"]]
    with kept_outputs(snapshot, blobs, manifest, image_folder, protocol, made_how, out, "extracting") as (values,):
        features = Features(
            image=[row.image for row in manifest.rows],
            features=values,
            lesion_labels=manifest.lesion_labels(),
            lesion_names=list(manifest.lesion_names),
            location_labels=manifest.location_labels(),
            location_names=list(manifest.location_names),
            protocol={**made_how, KEY: trained_on, **made_by(arguments)},
        )
        write_features(out, features)
    return features


def features_of(snapshot: Snapshot, paths: Sequence[Path], protocol: Protocol) -> np.ndarray:
    """(M, C) float32: the features of image files. InputError has a line for each that cannot be used."""

    def refuse(faults: dict[int, str]) -> None:
        raise InputError("\n".join(f"{paths[n]}: {fault}; give another image" for n, fault in sorted(faults.items())))

    check_side(snapshot, protocol)
    return np.stack(
        list(averaged_outputs(snapshot, [blobs_of(snapshot.deploy).features], paths, protocol, refuse, "extracting"))
    )


def feature_net(deploy: Path, weights: Path, engine: Engine) -> Snapshot:
    """A snapshot whose net has features of (N, C, 1, 1) or (N, C). InputError where not."""
    snapshot = checked_snapshot(deploy, weights, engine)
    n_features(snapshot)
    return snapshot


def n_features(snapshot: Snapshot) -> int:
    """C, of a snapshot whose net has features of (N, C, 1, 1) or (N, C). InputError where not."""
    deploy = snapshot.deploy
    blob = blobs_of(deploy).features
    shape = snapshot.shapes.tops.get(blob)
    if shape is None:
        raise InputError(f"{deploy}: has no blob {blob}; give a deploy.prototxt of make_prototxt.py")
    if len(shape) not in (2, 4) or shape[2:] not in ([], [1, 1]):
        found = " x ".join(map(str, shape[1:]))
        raise InputError(f"{deploy}: its blob {blob} is {found}, no vector; give a deploy.prototxt of make_prototxt.py")
    return shape[1]


def feature_record(snapshot: Snapshot, protocol: Protocol) -> dict[str, Any]:
    """What decides the features, for the file that they are written to."""
    return {"blob": blobs_of(snapshot.deploy).features, **record(snapshot, protocol)}


def difference(training: dict[str, Any], queries: dict[str, Any]) -> str:
    """The first thing in two records for which features cannot be compared, in words; nothing where they can.

    The engine is left out: the same net and weights in another engine of the same precision differ by rounding alone.
    """
    for key in DECIDES:
        ours, theirs = (record.get(key, BEFORE.get(key)) for record in (training, queries))
        if ours != theirs:
            return f"{key} is {theirs}, where the training images have {ours}"
    return ""
