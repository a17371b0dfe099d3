"""What a run of train.py has made: its net, the weights to take, and what is known of the training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from caffe_files.inputs import is_there
from skinmtl.common.provenance import sha256
from skinmtl.nets.net_record import NET_FILE
from skinmtl.training.run_folder import RunFolder, net_sha256
from skinmtl.training.weights_origin import is_origin

SETTINGS = {"max_iter", "batch_size", "iter_size", "base_lr", "seed"}  # that the model card tells
SNAPSHOTS = ("final", "best")  # the last weights, or those with the best watched figure


@dataclass(frozen=True)
class TrainedNet:
    """A net, its weights and, where they are known, the training data's folder, the run's settings and its folder, and
    where the weights are from that it started with (see weights_origin).

    `changed` says, a line each, which file beside the net is not the one that the run was trained with.
    """

    deploy: Path
    weights: Path
    train_data: Path | None = None
    settings: dict[str, Any] | None = None
    run: Path | None = None
    changed: tuple[str, ...] = ()
    started_from: tuple[dict[str, Any], ...] = ()


def of_run(run: Path, snapshot: str = SNAPSHOTS[0], weights: Path | None = None) -> TrainedNet:
    """The net of a run, and its `snapshot`'s weights, or `weights` where these are given.

    InputError where the run has not these weights, or its net has moved.
    """
    folder = RunFolder(run)
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; give a run of train.py")
    if not folder.args.is_file():
        raise InputError(f"{run}: no run of train.py, which leaves an {folder.args.name}; give another folder")
    record = folder.read_args()
    if weights is None:
        weights = folder.path / f"{snapshot}.caffemodel"
        if not weights.is_file():
            what = "the run is not finished; go on with it" if snapshot == "final" else "the run has kept no best one"
            raise InputError(f"{weights}: missing: {what}, or give other --weights")
    if not set(record["settings"]) >= SETTINGS:
        raise InputError(f"{folder.args}: not all settings of a run are in it; give --deploy and --weights")
    net, data = (record.get(part, {}).get(name, "") for part, name in (("arguments", "net"), ("data", "training")))
    deploy = Path(str(net)) / "deploy.prototxt"
    if not is_there(deploy):
        raise InputError(
            f"{folder.args}: names the net {net}, and {deploy} is not there; run this where train.py was run, or give "
            "--deploy and --weights"
        )
    train_data = Path(str(data)) if data and is_there(Path(str(data)) / "dataset.json") else None
    changed = tuple(
        f"{path}: not the file that {run} was trained with; what is read beside it may be of another net"
        for path in _changed(deploy.parent, record["sha256"])
    )
    started_from = tuple(one for one in record.get("weights", []) if is_origin(one))
    return TrainedNet(deploy, weights, train_data, record["settings"], run, changed, started_from)


def _changed(net: Path, sums: dict[str, str]) -> list[Path]:
    digests = {"train.prototxt": net_sha256, **dict.fromkeys(("test.prototxt", "deploy.prototxt", NET_FILE), sha256)}
    found = ((net / name, sums.get(name), digest) for name, digest in digests.items())
    return [path for path, was, digest in found if was and not (path.is_file() and digest(path) == was)]
