"""The list of images that a run trains on and watches: made when it begins, found again beside its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Sequence

from caffe_files.errors import InputError
from caffe_files.inputs import is_there
from caffe_files.outputs import new_file
from caffe_files.prototxt import read_net
from skinmtl.common.json_file import read_json
from skinmtl.common.provenance import sha256
from skinmtl.data.trained_on import FILE, REMEDY, ROLES, TrainedOn, images_of, read_trained_on
from skinmtl.nets.data_layers import data_layer
from skinmtl.training.run_folder import RunFolder
from skinmtl.training.telling import NOTE
from skinmtl.training.trained_net import TrainedNet

MODEL_RECORD = "model.json"  # of a model folder


def gathered(train_data: Path, test_data: Path, weights: Sequence[Path]) -> TrainedOn:
    """What a run will have been trained on, with what the weights were trained on that it begins with."""
    training, groups = images_of(train_data)
    validation, _ = images_of(test_data)
    earlier, of_earlier, starts = set(), set(groups), []
    for path in weights:
        known = of_weights(path)
        starts.append("not recorded" if known is None or known.start == "not recorded" else "recorded")
        if known is not None:
            earlier.update(known.images["training"], known.images["earlier"])
            of_earlier.update(known.groups)
    start = "none" if not starts else "not recorded" if "not recorded" in starts else "recorded"
    images = {"training": training, "validation": validation, "earlier": sorted(earlier - set(training))}
    return TrainedOn(images, sorted(of_earlier), start)


def of_data(data: Sequence[Path]) -> TrainedOn:
    """What weights were trained on that lie in no run's folder, as whoever trained them says: folders of LMDBs. Of the
    weights that they began with nothing is known."""
    images, groups = set(), set()
    for folder in data:
        listed, of_folder = images_of(folder)
        images.update(listed)
        groups.update(of_folder)
    return TrainedOn({**{role: [] for role in ROLES}, "training": sorted(images)}, sorted(groups), "not recorded")


def going_on(folder: RunFolder, now: TrainedOn) -> TrainedOn:
    """The list of a run that goes on: as it was begun. InputError where its data sets list other images `now`.

    What its first weights were trained on is no longer asked: they may have moved.
    """
    said = folder.read_args().get("trained_on")
    if not isinstance(said, dict) or said == record_of(now):  # from before there were lists, or killed before it was
        return now
    begun = _checked(folder.path / FILE, said.get("sha256"))
    for role in ("training", "validation"):
        if begun.images[role] != now.images[role]:
            raise InputError(
                f"{folder.path}: was begun with other {role} images than its data have now; restore the data, or train "
                "in another folder"
            )
    return begun


def record_of(trained_on: TrainedOn) -> dict[str, Any]:
    """What args.json says of the list."""
    counts = {role: len(trained_on.images[role]) for role in ROLES}
    text = trained_on.text().encode("utf-8")
    return {**counts, "starting_weights": trained_on.start, "sha256": hashlib.sha256(text).hexdigest()}


def watched_and_trained(trained_on: TrainedOn) -> list[str]:
    """A line where images that a run is watched on are trained on too, by the weights that it begins with or, under
    another name, by the run itself."""
    of_training = {known.contents for known in trained_on.images["training"] if known.contents}
    earlier = {value for known in trained_on.images["earlier"] for value in (known.name, known.contents) if value}
    watched = trained_on.images["validation"]
    copies = sum(known.contents in of_training for known in watched)
    before = sum(known.name in earlier or known.contents in earlier for known in watched)
    counts = (
        (copies, ("is", "are"), "among the training images too, under another name"),
        (before, ("was", "were"), "trained on by the weights that it begins with"),
    )
    return [
        f"{NOTE} {count} of the {len(watched)} validation images {verb[count != 1]} {what}: what is watched is too good"
        for count, verb, what in counts
        if count
    ]


def write_trained_on(folder: RunFolder, trained_on: TrainedOn) -> None:
    """Writes the list into a run's folder."""
    with new_file(folder.path / FILE) as partial:
        partial.write_text(trained_on.text(), encoding="utf-8")


def of_net(net: TrainedNet) -> TrainedOn | None:
    """What a net was trained on; None where nothing says it.

    The folder of its weights says so, else its run, else, for a copy of weights, a run beside the net's folder.
    """
    found = of_weights(net.weights)
    if found is not None:
        return found
    run = _run_with(net.weights, net.deploy.absolute().parent.parent) if net.run is None else net.run
    return None if run is None else of_run(run)


def data_beside(net: TrainedNet) -> Path | None:
    """The data set that train.prototxt beside the net reads, where it is still there.

    It is no record: the weights may have been trained with another net, or other data at that place. So it is told to
    the user, who knows.
    """
    beside = net.deploy.with_name("train.prototxt")
    try:
        layers = [data_layer(layer, beside) for layer in read_net(beside).layer] if is_there(beside) else []
    except InputError:
        return None
    folders = [layer.source.parent for layer in layers if layer is not None]
    return next((folder for folder in folders if is_there(folder / "records.csv")), None)


def _run_with(weights: Path, folder: Path) -> Path | None:
    """The run in a folder that has the same weights."""
    wanted = None
    for args in sorted(folder.glob("*/args.json")):
        run = RunFolder(args.parent)
        if not run.is_run():
            continue
        for path in (run.final, run.best, *sorted(run.snapshots.glob("*.caffemodel"))):
            if path.is_file() and weights.is_file() and path.stat().st_size == weights.stat().st_size:
                wanted = wanted or sha256(weights)
                if sha256(path) == wanted:
                    return run.path
    return None


def of_weights(weights: Path) -> TrainedOn | None:
    """What weights were trained on, as the run or the model folder says that they lie in; None where none does.

    InputError where that folder's list is missing or is not the one that it was made with.
    """
    try:
        resolved = Path(weights).resolve()
    except (OSError, ValueError):  # a name, from args.json, that no file can have
        return None
    for path in dict.fromkeys((weights, resolved)):  # a link's folder, and that of what it leads to
        places = [path.parent, *([path.parent.parent] if path.parent.name == "snapshots" else [])]
        for folder in places:
            if RunFolder(folder).is_run():
                return of_run(folder)
            if (folder / MODEL_RECORD).is_file():
                return _of_model_folder(folder)
    return None


def of_run(folder: Path) -> TrainedOn | None:
    """What a run was trained on; None of one from before this was recorded whose data are gone or changed."""
    record = RunFolder(folder).read_args()
    said = record.get("trained_on")
    if isinstance(said, dict):
        return _checked(folder / FILE, said.get("sha256"))
    data, sums = record.get("data"), record["sha256"]
    if not isinstance(data, dict):
        return None
    folders = [Path(str(data.get(name))) for name in ("training", "validation")]
    for name, at in zip(("training", "validation"), folders):
        if not is_there(at / "records.csv") or _sum_of(at / "dataset.json") != sums.get(f"{name} dataset.json"):
            return None
    given = record.get("arguments", {}).get("weights")
    return gathered(*folders, [Path(str(path)) for path in given] if isinstance(given, list) else [])


def _of_model_folder(folder: Path) -> TrainedOn | None:
    try:
        said = read_json(folder / MODEL_RECORD, REMEDY)["sha256"].get(FILE)
    except (InputError, KeyError, AttributeError):
        return None  # no model folder of ours
    return None if said is None else _checked(folder / FILE, said)


def _checked(path: Path, said: Any) -> TrainedOn:
    found = read_trained_on(path)
    if _sum_of(path) != said:
        raise InputError(f"{path}: changed since it was made; {REMEDY}")
    return found


def _sum_of(path: Path) -> str | None:
    try:
        return sha256(path)
    except OSError:
        return None
