"""Scores of a snapshot on images: the ten-crop test, one forward pass an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.provenance import made_by
from skinmtl.data.manifest import Manifest
from skinmtl.data.seen import KEY, UNKNOWN
from skinmtl.engines.snapshot import MAKE_ANOTHER, Snapshot, checked_snapshot
from skinmtl.nets.label_names import check_manifest
from skinmtl.scores.forward import Protocol, kept_outputs, record
from skinmtl.scores.scores_file import Scores, write_scores

HEADS = ("lesion_prob", "location_prob")


def score(
    deploy: Path,
    weights: Path,
    manifest: Manifest,
    image_folder: Path,
    protocol: Protocol,
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
) -> Scores:
    """Writes to `out`, and returns, probabilities averaged over ten crops, for the heads that the net has.

    lesion_scores (N, P) from `lesion_prob`, location_scores (N, Q) from `location_prob`, rows in the manifest's order.
    `trained_on` is what `data.seen.seen` says of the images. What a stopped run has made for the file `out` is kept
    beside it, and used where everything is still the same.
    """
    check_manifest(manifest, deploy)
    snapshot = checked_snapshot(deploy, weights, protocol.engine)
    heads = _heads(snapshot, manifest)
    made_how = record(snapshot, protocol)
    with kept_outputs(snapshot, heads, manifest, image_folder, protocol, made_how, out, "scoring") as outputs:
        scores = _scores(manifest, dict(zip(heads, outputs)), {**made_how, KEY: trained_on, **made_by(arguments)})
        write_scores(out, scores)
    return scores


def _scores(manifest: Manifest, scores: dict[str, np.ndarray], protocol: dict[str, Any]) -> Scores:
    lesions, locations = (head in scores for head in HEADS)
    return Scores(
        image=[row.image for row in manifest.rows],
        lesion_scores=scores.get("lesion_prob"),
        location_scores=scores.get("location_prob"),
        lesion_labels=manifest.lesion_labels() if lesions else None,
        location_labels=manifest.location_labels() if locations else None,
        lesion_names=list(manifest.lesion_names) if lesions else None,
        location_names=list(manifest.location_names) if locations else None,
        protocol=protocol,
    )


def _heads(snapshot: Snapshot, manifest: Manifest) -> list[str]:
    """The heads that the net has, each with as many outputs as the manifest names labels."""
    tops = snapshot.shapes.tops
    counts = {"lesion_prob": len(manifest.lesion_names), "location_prob": len(manifest.location_names)}
    if not any(head in tops for head in counts):
        raise InputError(f"{snapshot.deploy}: has neither lesion_prob nor location_prob; {MAKE_ANOTHER}")
    for head, count in counts.items():
        if head in tops and tops[head][1] != count:
            raise InputError(
                f"{snapshot.deploy}: {head} has {tops[head][1]} outputs, {manifest.path} names {count} labels"
            )
    return [head for head in HEADS if head in tops]
