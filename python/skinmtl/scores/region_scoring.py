"""Scores of a mask net on images: class, box and mask of the lesion in each, one look at the whole image."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Sequence

import numpy as np
from tqdm import tqdm

import skinmtl
from caffe_files.errors import InputError
from skinmtl.common.counting import counted
from skinmtl.common.parallel import ordered_map
from skinmtl.common.provenance import made_by
from skinmtl.data.bad_images import check_images_exist, refuse_bad_files
from skinmtl.data.manifest import Manifest, Row
from skinmtl.data.seen import KEY, UNKNOWN
from skinmtl.engines.snapshot import Snapshot, checked_snapshot
from skinmtl.images.resizing import RESIZING
from skinmtl.images.told import Told
from skinmtl.nets.dead_proposals import DEAD_PROPOSALS
from skinmtl.nets.label_names import check_manifest
from skinmtl.nets.net_record import read_net_record
from skinmtl.scores.forward import Protocol, states
from skinmtl.scores.mask_files import MaskFiles
from skinmtl.scores.mask_net import MaskNet, answers, check_shapes, heads_beside, mask_net_of
from skinmtl.scores.region_rows import arrays_of, row_of, row_width
from skinmtl.scores.resumable import ResumableRows, resumable_rows
from skinmtl.scores.scores_file import Scores, write_scores
from skinmtl.scores.scoring import check_heads, head_fields
from skinmtl.scores.square import LoadedSquare, Task, load_square

RULE = (
    "one answer an image: the best detection of a lesion, else the likeliest place; a class's score is its share of "
    "the lesion classes there; the mask is stretched over the box in the original image, lesion from 0.5 on"
)


class Places(NamedTuple):
    """Where images are, their true masks if any, and where the net's masks go."""

    images: Path
    masks: Path | None
    masks_out: Path


def score_regions(
    deploy: Path,
    weights: Path,
    manifest: Manifest,
    places: Places,
    protocol: Protocol,
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
) -> Scores:
    """Writes to `out`, and returns, what a mask net says of each image, rows in the manifest's order; with a mask head
    also the masks, IMAGE.png below `places.masks_out`, in the original size of the images.

    Of `protocol` the mean, the batch size, the engine and the workers are used. Where the manifest names masks, they
    are the truth that boxes and pixels are held against; the protocol says in how many images the proposals are dead.
    `trained_on` is what `data.seen.seen` says of the images. What a stopped run has made for the file `out` is kept
    beside it, and used where everything is still the same.
    """
    net = mask_net_of(deploy)
    if net is None:
        raise InputError(f"{deploy}: draws no lesions; score it as a net of labels")
    names = _class_names(deploy, net, manifest)
    snapshot = checked_snapshot(deploy, weights, protocol.engine)
    check_shapes(net, snapshot)
    heads = check_heads(snapshot, manifest, heads_beside(snapshot))
    check_images_exist(manifest, places.images)
    files = MaskFiles(places.masks_out) if net.has_mask else None
    made_how = _record(snapshot, protocol, net)
    others = sum(snapshot.shapes.tops[head][1] for head in heads)
    made_from = {**made_how, "skinmtl": skinmtl.__version__}
    items = [[*of_image, *_mask_state(row, places.masks)]
             for row, of_image in zip(manifest.rows, states(manifest, places.images))]  # fmt: skip
    with resumable_rows(out, made_from, items, row_width(net, others)) as rows:
        if files is not None:
            rows.keep_first(next((n for n, row in enumerate(manifest.rows) if not files.has(row.image)), len(items)))
        _score_rest(rows, snapshot, net, heads, manifest, places, protocol, files)
        arrays, dead, outputs = arrays_of(rows.done, net)
        if net.has_class:
            arrays["class_names"] = names
            arrays["class_labels"] = manifest.lesion_labels().argmax(axis=1).astype(np.int64)
        if files is not None:
            files.finish([row.image for row in manifest.rows])
            if places.masks is None:
                del arrays["mask_counts"]
        widths = np.cumsum([snapshot.shapes.tops[head][1] for head in heads])[:-1]
        beside = dict(zip(heads, np.split(outputs, widths, axis=1))) if heads else {}
        scores = Scores(
            image=[row.image for row in manifest.rows],
            protocol={**made_how, DEAD_PROPOSALS: dead, KEY: trained_on, **made_by(arguments)},
            **head_fields(manifest, beside),
            **arrays,
        )
        write_scores(out, scores)
        if files is not None:
            files.clear()
    return scores


def _score_rest(
    rows: ResumableRows,
    snapshot: Snapshot,
    net: MaskNet,
    heads: Sequence[str],
    manifest: Manifest,
    places: Places,
    protocol: Protocol,
    files: MaskFiles | None,
) -> None:
    """Adds the rows that are not done yet, and keeps their masks first."""
    first = len(rows.done)
    left = manifest.rows[first:]
    if first:
        tqdm.write(f"{counted(first, 'image')} {'was' if first == 1 else 'were'} done before: {len(left)} are left")
    if not left:
        return
    opened, mean = snapshot.open(), np.array(protocol.mean)
    loaded = _loaded(left, (snapshot.side, net.longest(snapshot.side)), places, protocol.workers, manifest, first)
    while True:
        batch = list(islice(loaded, protocol.batch_size))
        if not batch:
            return
        squares = [one.square for _, one in batch]
        for (row, one), (answer, others) in zip(batch, answers(opened, net, squares, mean, heads)):
            line = row_of(answer, (one.square.height, one.square.width), one.true_mask(), others)
            if not np.isfinite([answer.score, *answer.shares, *others]).all():
                raise InputError(
                    f"{snapshot.weights}: its outputs are NaN or infinite; training diverged, use a snapshot before"
                )
            if files is not None:
                files.keep(row.image, answer.mask)
            rows.append(line)


def _loaded(
    rows: Sequence[Row], sides: tuple[int, int], places: Places, workers: int, manifest: Manifest, first: int
) -> Iterator[tuple[Row, LoadedSquare]]:
    """Yields each image as the net sees it; `sides` are the square's and the image's longer one. After a bad file the
    rest is only read, and all faults are told at once; what is to be known of some is told at the end, on stderr."""
    tasks = (Task(places.images / row.image, *sides, _mask_of(row, places.masks)) for row in rows)
    told, faults = Told(), {}
    loaded = ordered_map(load_square, tasks, workers)
    for n, one in enumerate(tqdm(loaded, "scoring", len(rows), unit="image", disable=None)):
        row = rows[n]
        told.add(str(places.images / row.image), one.told)
        if one.problem:
            file = f"mask {_mask_of(row, places.masks)}" if one.of_mask else f"image {places.images / row.image}"
            faults[first + n] = f"{file}: {one.problem}"
        if not faults:
            yield row, one
    if faults:
        refuse_bad_files(manifest, faults)
    told.write()


def _class_names(deploy: Path, net: MaskNet, manifest: Manifest) -> list[str]:
    """The names of the net's classes. InputError unless the manifest has them, and one lesion an image."""
    check_manifest(manifest, deploy)
    record = read_net_record(deploy.parent)
    names = list(manifest.lesion_names)
    if not net.has_class:
        return []
    if len(names) != net.classes:
        raise InputError(f"{deploy}: has {net.classes} classes, {manifest.path} names {len(names)} lesions")
    several = [row for row in manifest.rows if len(row.lesions) != 1]
    if several:
        raise InputError(
            f"{manifest.path}:{several[0].line}: {len(several[0].lesions)} lesion names for one image "
            f"({counted(len(several), 'such image')}), where a mask net tells one; name the one that is drawn"
        )
    return (record and record.class_names) or names


def _record(snapshot: Snapshot, protocol: Protocol, net: MaskNet) -> dict[str, Any]:
    return {
        "side": snapshot.side,
        "long_side": net.longest(snapshot.side),
        "resizing": RESIZING,
        "views": 1,
        "heads": list(net.heads),
        "rule": RULE,
        "mean": list(protocol.mean),
        **snapshot.record(),
    }


def _mask_of(row: Row, folder: Path | None) -> Path | None:
    return folder / row.mask if folder is not None and row.mask else None


def _mask_state(row: Row, folder: Path | None) -> list[Any]:
    """What tells whether a mask is still the same."""
    path = _mask_of(row, folder)
    if path is None or not path.is_file():
        return []
    stat = path.stat()
    return [row.mask, stat.st_size, stat.st_mtime_ns]
