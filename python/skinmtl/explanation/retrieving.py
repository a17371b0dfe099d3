"""Each query's nearest training images, and whether they share a label with it: the right half of Figure 3."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from skinmtl.data.seen import KEY, marks, n_trained, require_unseen
from skinmtl.engines.engine import Engine
from skinmtl.explanation.extracting import difference, feature_net, feature_record, features_of
from skinmtl.explanation.features_file import REMEDY, Features
from skinmtl.explanation.neighbours import nearest
from skinmtl.scores.crops import CUTS
from skinmtl.scores.forward import Protocol
from skinmtl.scores.tables import columns

COLUMNS = ("query", "rank", "neighbour", "distance", "shared_lesion", "shared_location")
QUERIES = 256  # at a time, where all pairs of labels are looked at
BATCH = 10  # crops a forward pass
KINDS = ("lesion", "location", "either")


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest training images of M queries, nearest first.

    query      M names
    neighbour  (M, k) int64, rows of the training features
    distance   (M, k) float64, Euclidean
    shared     "lesion", "location", "either" -> (M, k) bool, whether the neighbour shares one; None without labels
    """

    query: list[str]
    neighbour: np.ndarray
    distance: np.ndarray
    shared: dict[str, np.ndarray] | None = None


def retrieve(
    training: Features, queries: Features, k: int, training_path: Path, queries_path: Path, allow_trained: bool = False
) -> Neighbours:
    """InputError where the two files cannot be compared, or have an image in common, which would find itself, and
    where the net was trained on queries, unless that is allowed."""
    unlike = difference(training.protocol, queries.protocol)
    if unlike:
        raise InputError(f"{queries_path}: {unlike} ({training_path}); extract both alike")
    for kind in ("lesion_names", "location_names"):
        if getattr(training, kind) != getattr(queries, kind):
            raise InputError(f"{queries_path}: {kind} other than in {training_path}; extract both with one manifest")
    known = set(training.image)
    twice = [name for name in queries.image if name in known]
    if twice:
        more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
        raise InputError(
            f"{queries_path}: {twice[0]!r}{more}: in {training_path} too, as training images, and would find "
            "themselves; extract two subsets that have no image in common"
        )
    record = queries.protocol.get(KEY)
    if isinstance(record, dict) and n_trained(queries.protocol):
        require_unseen(record, str(queries_path), allow_trained)
    found, distance = nearest(training.features, queries.features, k)
    return Neighbours(list(queries.image), found, distance, _shared(training, queries, found))


def retrieve_images(
    training: Features,
    paths: Sequence[Path],
    deploy: Path,
    weights: Path,
    engine: Engine,
    k: int,
    training_path: Path,
) -> Neighbours:
    """The same for image files without labels. They are tested as the training images were.

    InputError where the net, its weights or the precision are not those of the training features; the engine may be
    another.
    """
    snapshot = feature_net(deploy, weights, engine)
    try:
        mean = tuple(float(value) for value in training.protocol["mean"])
        short_side, crops = (int(training.protocol[name]) for name in ("short_side", "crops"))
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{training_path}: its protocol has no mean, short_side and crops; {REMEDY}") from None
    if crops not in CUTS:
        raise InputError(f"{training_path}: its features are of {crops} crops; {REMEDY}")
    protocol = Protocol(short_side, mean, BATCH, engine, 1, crops)
    unlike = difference(training.protocol, feature_record(snapshot, protocol))
    if unlike:
        raise InputError(
            f"{weights}: {unlike} ({training_path}); give the net, the weights and the precision that made them"
        )
    found, distance = nearest(training.features, features_of(snapshot, paths, protocol), k)
    return Neighbours([str(path) for path in paths], found, distance)


def write_neighbours(path: Path, training: Features, neighbours: Neighbours) -> None:
    """A line for each query and rank, from 1; what is shared is 0 or 1, and empty where the query has no labels."""
    with new_file(path) as partial, open(str(partial), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for m, query in enumerate(neighbours.query):
            for rank, (n, distance) in enumerate(zip(neighbours.neighbour[m], neighbours.distance[m])):
                shared = ["", ""]
                if neighbours.shared is not None:
                    shared = [int(neighbours.shared[kind][m, rank]) for kind in KINDS[:2]]
                writer.writerow([query, rank + 1, training.image[n], f"{distance:.9g}", *shared])


def summary(training: Features, queries: Features, neighbours: Neighbours) -> dict[str, Any]:
    """Figures for JSON. `precision`[kind][r - 1] is the share of the first r neighbours that share a label with their
    query, over all queries; `chance`[kind] is what training images drawn at random would give. `n_same` counts
    neighbours at distance 0: a picture that is in the data twice, or features that say nothing. `seen` are the marks
    of queries that the net has seen in its training.
    """
    ranks = np.arange(1, neighbours.neighbour.shape[1] + 1)
    return {
        "n_queries": len(queries.image),
        "n_training": len(training.image),
        "k": len(ranks),
        "precision": {kind: (hits.mean(axis=0).cumsum() / ranks).tolist() for kind, hits in neighbours.shared.items()},
        "chance": _chance(training, queries),
        "n_same": int((neighbours.distance == 0).sum()),
        "seen": marks(queries.protocol),
    }


def summary_table(figures: dict[str, Any]) -> str:
    """What `summary` returns, as text."""
    rows = [["neighbours that share", *KINDS]]
    for rank in range(figures["k"]):
        rows.append([f"precision at {rank + 1}", *(f"{figures['precision'][kind][rank]:.3f}" for kind in KINDS)])
    rows.append(["random training images", *(f"{figures['chance'][kind]:.3f}" for kind in KINDS)])
    lines = [*columns(rows), "", f"{figures['n_queries']} queries among {figures['n_training']} training images"]
    if figures["n_same"]:
        lines.append(f"{figures['n_same']} neighbours at distance 0: a picture that is there twice?")
    return "\n".join([*lines, *(f"note: {mark}" for mark in figures["seen"])])


def query_table(training: Features, neighbours: Neighbours) -> str:
    """Each query's neighbours with their distances and labels, as text."""
    blocks = []
    for query, found, distances in zip(neighbours.query, neighbours.neighbour, neighbours.distance):
        rows = [["image", "distance", "location", "lesions"]]
        for n, distance in zip(found, distances):
            lesions = [name for name, has in zip(training.lesion_names, training.lesion_labels[n]) if has]
            location = training.location_names[training.location_labels[n]]
            rows.append([training.image[n], f"{distance:.4g}", location, ", ".join(lesions)])
        same = ["distance 0: the query itself, or a copy of it"] if 0 in distances else []
        blocks.append("\n".join([query, *columns(rows), *same]))
    return "\n\n".join(blocks)


def _shared(training: Features, queries: Features, found: np.ndarray) -> dict[str, np.ndarray]:
    """kind -> (M, k) bool."""
    lesion = (training.lesion_labels[found] & queries.lesion_labels[:, None]).any(axis=2)
    location = training.location_labels[found] == queries.location_labels[:, None]
    return {"lesion": lesion, "location": location, "either": lesion | location}


def _chance(training: Features, queries: Features) -> dict[str, float]:
    """kind -> the share of all pairs of a query and a training image."""
    pairs = dict.fromkeys(KINDS, 0)
    lesions = training.lesion_labels.T.astype(np.float32)
    for start in range(0, len(queries.image), QUERIES):
        part = slice(start, start + QUERIES)
        lesion = queries.lesion_labels[part].astype(np.float32) @ lesions > 0
        location = queries.location_labels[part, None] == training.location_labels
        for kind, shares in zip(KINDS, (lesion, location, lesion | location)):
            pairs[kind] += int(shares.sum())
    return {kind: count / (len(queries.image) * len(training.image)) for kind, count in pairs.items()}
