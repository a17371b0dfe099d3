"""What a model folder is made from: a snapshot or a run of train.py, and where its label names are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.data.dataset import read_summary
from skinmtl.data.manifest import Manifest
from skinmtl.engines.snapshot import MAKE_ANOTHER, Snapshot
from skinmtl.nets.label_names import LABELS_FILE, check_manifest, read_label_names
from skinmtl.publishing.model_folder import OUTPUTS, check_widths
from skinmtl.training.run_folder import RunFolder

SETTINGS = {"max_iter", "batch_size", "iter_size", "base_lr", "seed"}  # that the model card tells


@dataclass(frozen=True)
class Source:
    """A net, its weights and, where they are known, the training data's folder and the run's settings."""

    deploy: Path
    weights: Path
    train_data: Path | None = None
    settings: dict[str, Any] | None = None


def of_run(run: Path) -> Source:
    """The net and the final weights of a run of train.py. InputError where it is not finished or its net has moved."""
    folder = RunFolder(run)
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; give a run of train.py")
    if not folder.args.is_file():
        raise InputError(f"{run}: no run of train.py, which leaves an {folder.args.name}; give another folder")
    record = folder.read_args()
    if not folder.final.is_file():
        raise InputError(
            f"{folder.final}: missing: the run is not finished; go on with it, or give --deploy and --weights"
        )
    if not set(record["settings"]) >= SETTINGS:
        raise InputError(f"{folder.args}: not all settings of a run are in it; give --deploy and --weights")
    net, data = (record.get(part, {}).get(name, "") for part, name in (("arguments", "net"), ("data", "training")))
    deploy = Path(str(net)) / "deploy.prototxt"
    if not deploy.is_file():
        raise InputError(
            f"{folder.args}: names the net {net}, and {deploy} is not there; run this where train.py was run, or give "
            "--deploy and --weights"
        )
    train_data = Path(str(data)) if data and (Path(str(data)) / "dataset.json").is_file() else None
    return Source(deploy, folder.final, train_data, record["settings"])


def label_names(source: Source, snapshot: Snapshot, manifest: Manifest | None) -> dict[str, list[str]]:
    """Each head's names: of labels.json beside the net, else of the manifest, else of the training data.

    InputError where they contradict each other, are not as many as the head has outputs, or are nowhere.
    """
    heads = [head for head, output in OUTPUTS.items() if output in snapshot.shapes.tops]
    if not heads:
        raise InputError(f"{source.deploy}: has neither lesion_prob nor location_prob; {MAKE_ANOTHER}")
    if manifest is not None:
        check_manifest(manifest, source.deploy)
    known: list[tuple[Path, Any]] = [(source.deploy.with_name(LABELS_FILE), read_label_names(source.deploy.parent))]
    if manifest is not None:
        known.append((manifest.path, {f"{head}_names": list(getattr(manifest, f"{head}_names")) for head in heads}))
    if source.train_data is not None:
        known.append((source.train_data / "dataset.json", read_summary(source.train_data)))
    names = {}
    for head in heads:
        there = [(path, each[f"{head}_names"]) for path, each in known if f"{head}_names" in each]
        if not there:
            raise InputError(
                f"{source.deploy}: no names of its {head} labels: no {LABELS_FILE} beside it; give the --manifest that "
                "it was trained on"
            )
        names[head] = there[0][1]
        check_widths(snapshot, {head: names[head]}, {head: there[0][0]})
        for path, other in there[1:]:
            if other != names[head]:
                raise InputError(f"{path}: other {head} names than {there[0][0]}; give what the net was trained on")
    return names
