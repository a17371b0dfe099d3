"""Scores of a snapshot on images: the ten-crop test through pycaffe, one forward pass an image."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

import numpy as np
from tqdm import tqdm

import skinmtl
from skinmtl.caffe_files.prototxt import read_net
from skinmtl.common.errors import InputError
from skinmtl.common.parallel import ordered_map
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data import images
from skinmtl.data.bad_images import check_images_exist, refuse_bad_images
from skinmtl.data.manifest import Manifest
from skinmtl.nets.label_names import check_manifest
from skinmtl.nets.net_probe import NetShapes, net_shapes
from skinmtl.nets.weights import require_all_filled
from skinmtl.scores.crops import CROPS, ten_crops
from skinmtl.scores.resumable import resumable_rows
from skinmtl.scores.scores_file import Scores, write_scores

HEADS = ("lesion_prob", "location_prob")
MAKE_ANOTHER = "give a deploy.prototxt of make_prototxt.py"


@dataclass(frozen=True)
class Protocol:
    """How images are tested: resized to `short_side`, less `mean` (B, G, R), `batch_size` crops a forward pass."""

    short_side: int
    mean: tuple[float, ...]
    batch_size: int
    gpu: int | None
    workers: int


def mean_of(deploy: Path) -> tuple[float, ...]:
    """The mean (B, G, R) that the net was trained with, from the test.prototxt beside its deploy.prototxt."""
    read_net(deploy)  # where it is missing, that is what to say
    beside = deploy.with_name("test.prototxt")
    if beside.is_file():
        for layer in read_net(beside).layer:
            mean = tuple(layer.transform_param.mean_value)
            if mean:
                return mean if len(mean) == 3 else mean * 3
    raise InputError(f"{beside}: no mean_value to read there; give --mean B G R")


def score(
    deploy: Path,
    weights: Path,
    manifest: Manifest,
    image_folder: Path,
    protocol: Protocol,
    out: Path,
    arguments: dict[str, Any],
) -> Scores:
    """Writes to `out`, and returns, probabilities averaged over ten crops, for the heads that the net has.

    lesion_scores (N, P) from `lesion_prob`, location_scores (N, Q) from `location_prob`, rows in the manifest's order.
    What a stopped run has made for the file `out` is kept beside it, and used where everything is still the same.
    """
    check_manifest(manifest, deploy)
    shapes = net_shapes(deploy, protocol.gpu)
    crop = _check_net(deploy, shapes, manifest, protocol)
    require_all_filled(deploy, weights, shapes)
    check_images_exist(manifest, image_folder)
    heads = {head: shapes.tops[head][1] for head in HEADS if head in shapes.tops}
    record = _record(deploy, weights, crop, protocol)
    made_from = {**record, "skinmtl": skinmtl.__version__}
    with resumable_rows(out, made_from, _states(manifest, image_folder), sum(heads.values())) as rows:
        remaining = replace(manifest, rows=manifest.rows[len(rows.done) :])
        if rows.done:
            tqdm.write(f"{len(rows.done)} images were scored before: {len(remaining.rows)} are left")
        net = _open_net(deploy, weights, protocol.gpu)
        for row in _averages(
            net, list(heads), _all_crops(remaining, image_folder, crop, protocol), protocol.batch_size
        ):
            if not np.isfinite(row).all():
                raise InputError(f"{weights}: its scores are NaN or infinite; training diverged, use a snapshot before")
            rows.append(row)
        columns = np.split(np.stack(rows.done), np.cumsum(list(heads.values()))[:-1], axis=1)
        scores = _scores(manifest, dict(zip(heads, columns)), {**record, **made_by(arguments)})
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


def _states(manifest: Manifest, image_folder: Path) -> list[list[Any]]:
    """Name, size and time of change of each image: what a stopped run has scored must still be the same."""
    stats = ((row.image, (image_folder / row.image).stat()) for row in manifest.rows)
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def _check_net(deploy: Path, shapes: NetShapes, manifest: Manifest, protocol: Protocol) -> int:
    """Returns the side of the net's square input."""
    shape = shapes.tops.get("data", [])
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        raise InputError(f"{deploy}: no square 3-channel input 'data'; {MAKE_ANOTHER}")
    if shape[2] > protocol.short_side:
        raise InputError(f"{deploy}: takes {shape[2]} pixels a side; give a --short-side of at least that")
    counts = {"lesion_prob": len(manifest.lesion_names), "location_prob": len(manifest.location_names)}
    if not any(head in shapes.tops for head in counts):
        raise InputError(f"{deploy}: has neither lesion_prob nor location_prob; {MAKE_ANOTHER}")
    for head, count in counts.items():
        if head in shapes.tops and shapes.tops[head][1] != count:
            raise InputError(
                f"{deploy}: {head} has {shapes.tops[head][1]} outputs, {manifest.path} names {count} labels"
            )
    return shape[2]


def _pycaffe() -> ModuleType:
    """pycaffe, quiet but for errors; imported here alone, since only scoring needs it."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    import caffe

    return caffe


def _open_net(deploy: Path, weights: Path, gpu: int | None) -> Any:
    caffe = _pycaffe()
    if gpu is None:
        caffe.set_mode_cpu()
    else:
        caffe.set_mode_gpu()
        caffe.set_device(gpu)
    return caffe.Net(str(deploy), caffe.TEST, weights=str(weights))


def _all_crops(manifest: Manifest, image_folder: Path, crop: int, protocol: Protocol) -> Iterator[np.ndarray]:
    """Yields the crops (3, crop, crop) of all images. After a bad image the rest is only read, to name all bad ones."""
    tasks = ((image_folder / row.image, protocol.short_side) for row in manifest.rows)
    mean = np.array(protocol.mean)
    faults = {}
    loaded = ordered_map(images.load, tasks, protocol.workers)
    for n, one in enumerate(tqdm(loaded, "scoring", len(manifest.rows), unit="image", disable=None)):
        if one.problem:
            faults[n] = one.problem
        if not faults:
            yield from ten_crops(one.pixels, crop, mean)
    refuse_bad_images(manifest, image_folder, faults)


def _averages(net: Any, heads: list[str], crops: Iterator[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
    """Yields for each image its heads' outputs, one after the other, averaged over its crops."""
    outputs = []
    while True:
        batch = list(islice(crops, batch_size))
        if not batch:
            return
        if net.blobs["data"].shape[0] != len(batch):
            net.blobs["data"].reshape(len(batch), *batch[0].shape)
        net.blobs["data"].data[...] = batch
        net.forward()
        outputs.extend(np.concatenate([net.blobs[head].data for head in heads], axis=1))
        while len(outputs) >= CROPS:
            yield np.mean(outputs[:CROPS], axis=0)
            del outputs[:CROPS]


def _record(deploy: Path, weights: Path, crop: int, protocol: Protocol) -> dict[str, Any]:
    """What decides the scores."""
    return {
        "short_side": protocol.short_side,
        "crop": crop,
        "crops": CROPS,
        "mean": list(protocol.mean),
        "net": read_net(deploy).name,
        "net_sha256": sha256(deploy),
        "weights": str(weights),
        "weights_sha256": sha256(weights),
        "engine": f"caffe {_pycaffe().__version__}",
    }
