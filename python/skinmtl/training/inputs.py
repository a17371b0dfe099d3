"""What a training is given: nets and data sets, checked before Caffe sees them.

Caffe ends the process where something is wrong, and says nothing where a set is tested in part, or an image is both
trained on and watched.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.inputs import own_file
from caffe_files.lmdb_open import open_lmdb
from skinmtl.common.provenance import sha256
from skinmtl.data.dataset import read_summary
from skinmtl.data.lmdb_digest import check_unchanged
from skinmtl.data.table import read_csv
from skinmtl.engines.engine import Engine
from skinmtl.nets.allowed_layers import read_given_net
from skinmtl.nets.data_layers import DataLayer, check_stored, data_layer
from skinmtl.nets.dead_proposals import ProposalScores, proposal_scores
from skinmtl.nets.label_names import names_of, read_label_names
from skinmtl.nets.net_record import NetRecord, read_net_record
from skinmtl.training.losses import Loss, losses_of

HEADS = ("lesion", "location")
CAFFE = Engine()


@dataclass(frozen=True)
class TrainingInputs:
    """Nets and data that fit each other.

    names       head -> its label names, for the heads that the nets have
    n_images    images to train on, each stored in `copies` records
    n_watched   images of the validation set, of `n_groups` patients or cases; None where the manifest has changed
    n_watched_of  head -> how many of them have each label
    batch_size  images a forward pass of the training net
    cycle       passes after which every layer of the training net that reads records is at record 0 again
    test_passes forward passes of the test net that see every validation record once
    notes       what is to be told of the data
    losses, test_losses  of the two nets
    mask_net    net.json of a net that finds boxes and masks; None of others
    proposals   where the test net has its proposals' scores; None of a net without
    """

    train_net: Path
    test_net: Path
    train_data: Path
    test_data: Path
    names: dict[str, list[str]]
    n_images: int
    copies: int
    n_watched: int
    n_groups: int | None
    n_watched_of: dict[str, list[int]]
    batch_size: int
    cycle: int
    test_passes: int
    notes: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    test_losses: tuple[Loss, ...] = ()
    mask_net: NetRecord | None = None
    proposals: ProposalScores | None = None

    @property
    def one_lesion(self) -> bool:
        """Whether the lesions are one choice, by a softmax."""
        return any(loss.kind == "WeightedSoftmaxLoss" and loss.name == "lesion" for loss in self.losses)


def check_inputs(net_folder: Path, watch_test_fold: bool, engine: Engine = CAFFE) -> TrainingInputs:
    """Reads the nets of a folder of make_prototxt.py, and their data sets. InputError where they do not fit, or where
    the engine cannot open the LMDBs."""
    train_net, test_net = net_folder / "train.prototxt", net_folder / "test.prototxt"
    nets = {path: read_given_net(path, engine.allowed, reads_data=True) for path in (train_net, test_net)}
    record = read_net_record(net_folder)
    mask_net = record if record and record.is_mask_net else None
    heads = _heads(train_net, nets[train_net], mask_net)
    if _heads(test_net, nets[test_net], mask_net) != heads:
        raise InputError(f"{test_net}: other heads than in {train_net}; make both with make_prototxt.py")
    layers = {path: _data_layers(path, net) for path, net in nets.items()}
    train_data, test_data = (layers[path][0].source.parent for path in nets)
    locks = engine.name == "caffe"
    notes = _check_data(train_net, layers[train_net], train_data, locks)
    notes += _check_data(test_net, layers[test_net], test_data, locks)
    notes += _repeated(train_data)
    names = names_of(train_data, test_data)
    if mask_net:
        _check_classes(net_folder, mask_net, names["lesion_names"], train_data)
    _check_names(net_folder, nets[train_net], heads, names, train_data)
    _check_watched(train_data, test_data, watch_test_fold)
    training, watched = read_summary(train_data), read_summary(test_data)
    n_train, n_test = int(training["n_records"]), int(watched["n_records"])
    batch = layers[test_net][0].batch_size
    if n_test % batch:
        raise InputError(
            f"{test_net}: batches of {batch} do not divide the {n_test} records of {test_data}; "
            "make the net again without --test-batch-size"
        )
    return TrainingInputs(
        train_net=train_net,
        test_net=test_net,
        train_data=train_data,
        test_data=test_data,
        names={head: names[f"{head}_names"] for head in heads},
        n_images=training["n_images"],
        copies=training["copies"],
        n_watched=watched["n_images"],
        n_groups=_count_groups(test_data, watched),
        n_watched_of={head: _per_label(watched, head, len(names[f"{head}_names"])) for head in heads},
        batch_size=layers[train_net][0].batch_size,
        cycle=n_train // math.gcd(n_train, layers[train_net][0].batch_size),
        test_passes=n_test // batch,
        notes=tuple(notes),
        losses=losses_of(train_net, nets[train_net], "TRAIN"),
        test_losses=losses_of(test_net, nets[test_net], "TEST"),
        mask_net=mask_net,
        proposals=proposal_scores(nets[test_net], test_net),
    )


def _heads(path: Path, net: Message, mask_net: NetRecord | None) -> dict[str, int]:
    """Head -> number of outputs; a mask net may have none."""
    tops = {top: layer for layer in net.layer for top in layer.top}
    heads = {}
    for head in HEADS:
        needed = (f"fc_{head}", f"{head}_label", f"{head}_loss")
        there = [name for name in needed if name in tops]
        if there and len(there) < len(needed):
            missing = next(name for name in needed if name not in tops)
            raise InputError(f"{path}: has {there[0]} but no {missing}; make the net with make_prototxt.py")
        if there:
            heads[head] = tops[f"fc_{head}"].inner_product_param.num_output
    if not heads and mask_net is None:
        raise InputError(f"{path}: has neither lesion_loss nor location_loss; make the net with make_prototxt.py")
    return heads


def _data_layers(path: Path, net: Message) -> list[DataLayer]:
    """The layers that read LMDBs, that of the images first; all read as many records of one data set a pass."""
    layers = [found for found in (data_layer(layer, path) for layer in net.layer) if found]
    layers.sort(key=lambda layer: layer.name != "data")
    if not layers or layers[0].name != "data":
        raise InputError(f"{path}: no layer 'data' that reads images; make the net with make_prototxt.py")
    for layer in layers[1:]:
        if layer.batch_size != layers[0].batch_size or layer.source.parent != layers[0].source.parent:
            raise InputError(
                f"{path}: {layer.name} reads other records than {layers[0].name}; make the net with make_prototxt.py"
            )
    if not layers[0].batch_size:
        raise InputError(f"{path}: data has no batch_size; make the net with make_prototxt.py")
    return layers


def _check_data(net: Path, layers: list[DataLayer], folder: Path, locks: bool) -> list[str]:
    """InputError unless the LMDBs are there, as they were written, large enough for the crop, and can be opened, if
    need be with a lock, as Caffe does. Returns what is to be told of them."""
    if not folder.is_dir():
        raise InputError(f"{folder}: not there, but {net} reads it; run from where it was made for, or build it")
    summary = read_summary(folder)
    if summary["short_side"][0] < layers[0].crop:
        raise InputError(
            f"{folder}: has images of {summary['short_side'][0]} pixels, from which {net} cannot crop "
            f"{layers[0].crop}; store larger images"
        )
    if layers[0].scales:
        check_stored(folder, summary, layers[0].scales)
    sources = [source for layer in layers for source in layer.sources]
    for source in sources:
        entries = _entries(source, locks)
        if entries != summary["n_records"]:
            raise InputError(
                f"{source}: {entries} records, dataset.json says {summary['n_records']}; build the LMDBs again"
            )
    return check_unchanged(sources, summary)


def _repeated(folder: Path) -> list[str]:
    """A line where images of rare lesions are stored more often than others."""
    summary = read_summary(folder)
    if "balance" not in summary:
        return []
    share = f"{100 * summary['balance']['threshold']:g} %"
    return [
        f"{folder}: images of lesions below {share} are repeated, {summary['n_records']} records of "
        f"{summary['n_images']} images"
    ]


def _entries(folder: Path, locks: bool) -> int:
    with open_lmdb(folder) as environment:
        entries = environment.stat()["entries"]
    lock = folder / "lock.mdb"
    if locks:
        own_file(lock)  # LMDB makes it its own, whatever it is
    read_only_disk = os.statvfs(str(folder)).f_flag & os.ST_RDONLY
    if locks and not read_only_disk and not os.access(str(lock if lock.exists() else folder), os.W_OK):
        raise InputError(f"{folder}: Caffe locks what it reads and may not write there; make the folder writable")
    return entries


def _check_names(
    net_folder: Path, net: Message, heads: dict[str, int], names: dict[str, list[str]], data: Path
) -> None:
    """InputError unless the net has an output a name, and was made for these names."""
    made_for = read_label_names(net_folder)
    for head, outputs in heads.items():
        kind = f"{head}_names"
        if outputs != len(names[kind]):
            raise InputError(
                f"{net_folder}: fc_{head} has {outputs} outputs, {data} has {len(names[kind])} {kind}; "
                "make the net for this data"
            )
        if made_for.get(kind, names[kind]) != names[kind]:
            raise InputError(f"{net_folder}: made for other {kind} than {data} has; make the net for this data")


def _check_classes(net_folder: Path, net: NetRecord, names: list[str], data: Path) -> None:
    """InputError unless a mask net has a class for each lesion of its data, and was made for these names."""
    if "class" not in net.heads:
        return
    if net.classes != len(names):
        raise InputError(
            f"{net_folder}: tells {net.classes} classes, {data} has {len(names)} lesion_names; make the net for this "
            "data"
        )
    if net.class_names not in (None, names):
        raise InputError(f"{net_folder}: made for other classes than {data} has; make the net for this data")


def _check_watched(train_data: Path, test_data: Path, watch_test_fold: bool) -> None:
    """InputError where an image that is watched is trained on too, or is of the test fold without the user's word."""
    subset = _argument(read_summary(test_data), "subset")
    if subset == "test" and not watch_test_fold:
        raise InputError(
            f"{test_data}: is the test fold, whose images should stay unseen; build --subset validation, or say "
            "--watch-test-fold to do as the paper does"
        )
    shared = _images(train_data) & _images(test_data)
    if shared:
        image = min(shared)[1]
        raise InputError(
            f"{test_data}: {len(shared)} {'image is' if len(shared) == 1 else 'images are'} also in {train_data}, such "
            f"as {image!r}; build both from one fold with the same --validation"
        )


def _per_label(summary: dict[str, Any], head: str, n_labels: int) -> list[int]:
    """How many images have each label; the same of all where an older data set does not say it."""
    counts = summary.get(f"images_per_{head}")
    if isinstance(counts, list) and len(counts) == n_labels and all(type(count) is int for count in counts):
        return counts
    return [max(1, summary["n_images"] // n_labels)] * n_labels


def _count_groups(folder: Path, summary: dict[str, Any]) -> int | None:
    """How many groups a data set's images are of; an older one's by its manifest, if that is still there."""
    if "n_groups" in summary:
        return summary["n_groups"]
    manifest = folder.resolve() / summary["manifest"]
    try:
        if sha256(manifest) != summary.get("manifest_sha256"):
            return None
    except OSError:
        return None
    images = {record["image"] for _, record in read_csv(folder / "records.csv", ("key", "image"))}
    rows = (record for _, record in read_csv(manifest, ("image",)))
    return len({row.get("group") or row["image"] for row in rows if row["image"] in images})


def _argument(summary: dict[str, Any], name: str) -> Any:
    arguments = summary.get("arguments")
    return arguments.get(name) if isinstance(arguments, dict) else None


def _images(folder: Path) -> set[tuple[str, str]]:
    """The image files that a data set was made of: (folder, name)."""
    images = os.path.normpath(str(folder.resolve() / read_summary(folder)["images"]))
    return {(images, record["image"]) for _, record in read_csv(folder / "records.csv", ("key", "image"))}
