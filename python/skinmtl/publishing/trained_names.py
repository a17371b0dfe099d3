"""Where the label names of a trained net are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.data.dataset import read_summary
from skinmtl.data.manifest import Manifest
from skinmtl.engines.snapshot import MAKE_ANOTHER, Snapshot
from skinmtl.nets.label_names import check_manifest, names_file, read_label_names
from skinmtl.nets.net_record import NET_FILE, read_net_record
from skinmtl.publishing.model_folder import OUTPUTS, check_widths
from skinmtl.scores.mask_net import MaskNet, mask_net_of
from skinmtl.training.trained_net import TrainedNet


def label_names(source: TrainedNet, snapshot: Snapshot, manifest: Manifest | None) -> dict[str, list[str]]:
    """Each head's names: of net.json beside the net, else of the manifest, else of the training data.

    InputError where they contradict each other, are not as many as the head has outputs, or are nowhere.
    """
    heads = [head for head, output in OUTPUTS.items() if output in snapshot.shapes.tops]
    if not heads and mask_net_of(source.deploy) is None:
        raise InputError(f"{source.deploy}: has neither lesion_prob nor location_prob; {MAKE_ANOTHER}")
    if manifest is not None:
        check_manifest(manifest, source.deploy)
    beside = names_file(source.deploy.parent)
    known: list[tuple[Path, Any]] = [(beside, read_label_names(source.deploy.parent))]
    if manifest is not None:
        known.append((manifest.path, {f"{head}_names": list(getattr(manifest, f"{head}_names")) for head in heads}))
    if source.train_data is not None:
        known.append((source.train_data / "dataset.json", read_summary(source.train_data)))
    names = {}
    for head in heads:
        there = [(path, each[f"{head}_names"]) for path, each in known if f"{head}_names" in each]
        if not there:
            raise InputError(
                f"{source.deploy}: no names of its {head} labels: none in {beside}; give the --manifest that "
                "it was trained on"
            )
        names[head] = there[0][1]
        check_widths(snapshot, {head: names[head]}, {head: there[0][0]})
        for path, other in there[1:]:
            if other != names[head]:
                raise InputError(f"{path}: other {head} names than {there[0][0]}; give what the net was trained on")
    return names


def class_names_of(net: TrainedNet, drawn: MaskNet, manifest: Manifest | None = None) -> list[str]:
    """The names of a mask net's classes: of net.json beside it, else of the manifest, else of the training data.

    InputError where they contradict each other, are not as many as the classes, or are nowhere.
    """
    beside = net.deploy.parent / NET_FILE
    record = read_net_record(net.deploy.parent)
    known = [] if record is None or record.class_names is None else [(beside, record.class_names)]
    if manifest is not None:
        known.append((manifest.path, list(manifest.lesion_names)))
    if net.train_data is not None:
        known.append((net.train_data / "dataset.json", read_summary(net.train_data)["lesion_names"]))
    if not known:
        raise InputError(f"{beside}: has no names of the classes; give export.py the --manifest of the training")
    source, names = known[0]
    if len(names) != drawn.classes:
        raise InputError(f"{source}: {len(names)} names, {net.deploy} has {drawn.classes} classes; make both anew")
    for other, listed in known[1:]:
        if listed != names:
            raise InputError(f"{other}: other names of classes than {source}; give what the net was trained on")
    return names
