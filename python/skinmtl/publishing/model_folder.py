"""The model folder: a trained net with all that is needed to use it. Written by export.py, read by predict.py.

deploy.prototxt            the net, byte for byte that of the training
weights.caffemodel         its weights, byte for byte
weights.caffemodel.sha256  for `sha256sum -c`
lesions.txt                a name a line, in the order of lesion_prob; not there where the net has no such head
locations.txt              the same for location_prob
classes.txt                the same for the classes of a net that draws lesions, where it has some
calibration.json           how its probabilities are calibrated, where they are
novelty.npz                how unlike its training images a photograph may be, where that is known
model.json                 how images are prepared, the sha256 of each file, what made the folder
trained_on.json            digests of the images that it was trained on, where they are recorded
README.md                  the model card
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Sequence

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from caffe_files.prototxt import read_net
from skinmtl.common.json_file import read_json
from skinmtl.common.provenance import sha256
from skinmtl.data.label_file import line_faults, names_of
from skinmtl.data.names import spelled
from skinmtl.data.trained_on import FILE as TRAINED_ON
from skinmtl.engines.snapshot import Snapshot
from skinmtl.explanation.novelty import Novelty
from skinmtl.images.image_size import MAX_PIXELS
from skinmtl.publishing.calibrations import CALIBRATION, REMEDY, folder_calibration
from skinmtl.publishing.novelties import NOVELTY, folder_novelty
from skinmtl.scores.calibration_file import Calibration
from skinmtl.scores.crops import CUTS
from skinmtl.scores.mask_net import MaskNet, mask_net_of

FORMAT = "skinmtl model folder, version 1"
FORMAT_OF_REGIONS = "skinmtl model folder, version 2"  # of nets that draw lesions, which version 1 would cut crops for
DEPLOY, WEIGHTS, RECORD, CARD = "deploy.prototxt", "weights.caffemodel", "model.json", "README.md"
OUTPUTS = {"lesion": "lesion_prob", "location": "location_prob"}
LABELS = {"lesion": "lesions.txt", "location": "locations.txt"}
CLASSES = "classes.txt"
LARGEST_MEAN = 255  # pixels have no more
NUMBERS = {"short_side": int, "crop": int, "crops": int, "mean": list, "outputs": dict, "sha256": dict, "name": str}


@dataclass(frozen=True)
class Model:
    """A trained net with all that is needed to use it, of a checked model folder or a run.

    `labels` are the names of each head, "lesion" and "location" or one of them, in the order of its outputs; `said_by`
    are the files that say them, and under "crop" the one that says how images are prepared: resized to `short_side`,
    cut into `crops` squares of `crop` pixels, less `mean` (B, G, R). `files` are the sha256 of the files by name.

    `net` is there where the net draws lesions: then the whole image goes into one square, whose side is `crop` and
    `short_side` too, and `class_names` are the names of its classes, if it has some. `calibration` is what is done
    to the probabilities, if anything is; `novelty` tells photographs that are unlike the training images, if it can.
    """

    path: Path
    name: str
    deploy: Path
    weights: Path
    labels: dict[str, list[str]]
    said_by: dict[str, Path]
    mean: tuple[float, ...]
    short_side: int
    crop: int
    crops: int
    files: dict[str, str]
    net: MaskNet | None = None
    class_names: list[str] = field(default_factory=list)
    calibration: Calibration | None = None
    novelty: Novelty | None = None


def read_model_folder(path: Path) -> Model:
    """InputError names the first file that is missing, damaged, changed, or does not fit the others."""
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; name a model folder of export.py")
    record = _read_record(path / RECORD)
    read_net(path / DEPLOY)  # its messages name the file and the line
    labels = {}
    for head, output in OUTPUTS.items():
        if output in record["outputs"]:
            labels[head] = read_labels(path / LABELS[head])
            if len(labels[head]) != record["outputs"][output]:
                raise InputError(
                    f"{path / LABELS[head]}: {len(labels[head])} names for the {record['outputs'][output]} outputs of "
                    f"{output}; {REMEDY}"
                )
    net, class_names = _regions(path, record)
    listed = [
        name for name in (TRAINED_ON, CALIBRATION, NOVELTY) if name in record["sha256"]
    ]  # not every folder has them
    of_classes = [CLASSES] if class_names else []
    for name in (DEPLOY, WEIGHTS, *(LABELS[head] for head in labels), *of_classes, *listed):
        if not (path / name).is_file():
            raise InputError(f"{path / name}: missing; {REMEDY}")
        if sha256(path / name) != record["sha256"].get(name):
            raise InputError(f"{path / name}: its sha256 is not the one in {RECORD}: changed or damaged; {REMEDY}")
    return Model(
        path=path,
        name=record["name"],
        deploy=path / DEPLOY,
        weights=path / WEIGHTS,
        labels=labels,
        said_by={"crop": path / RECORD, **{head: path / LABELS[head] for head in labels}},
        mean=tuple(record["mean"]),
        short_side=record["short_side"],
        crop=record["crop"],
        crops=record["crops"],
        files=record["sha256"],
        net=net,
        class_names=class_names,
        calibration=folder_calibration(path, record["sha256"][WEIGHTS], labels) if CALIBRATION in listed else None,
        novelty=folder_novelty(path, record["sha256"][WEIGHTS]) if NOVELTY in listed else None,
    )


def _regions(path: Path, record: dict[str, Any]) -> tuple[MaskNet | None, list[str]]:
    """What the net draws, and the names of its classes. InputError where model.json has it otherwise than the net."""
    net = mask_net_of(path / DEPLOY)
    said = record.get("regions")
    long_side = said.get("long_side") if isinstance(said, dict) else None
    if net is not None and type(long_side) is int and long_side > 0 and long_side**2 <= MAX_PIXELS:
        net = replace(net, long_side=long_side)
    wanted = None if net is None else region_record(net, record["crop"])
    if said != wanted:
        raise InputError(f"{path / RECORD}: regions is {said}, the net's are {wanted}; {REMEDY}")
    if net is None or not net.has_class:
        return net, []
    names = read_labels(path / CLASSES)
    if len(names) != net.classes:
        raise InputError(f"{path / CLASSES}: {len(names)} names for the {net.classes} classes of the net; {REMEDY}")
    return net, names


def region_record(net: MaskNet, side: int) -> dict[str, Any]:
    """What model.json says of a net that draws lesions into a square of that side."""
    return {"classes": net.classes, "heads": list(net.heads), "long_side": net.longest(side)}


def check_net(model: Model, snapshot: Snapshot) -> None:
    """InputError unless the net has the outputs, as many as there are names, and the crop that the model says."""
    check_widths(snapshot, model.labels, model.said_by)
    if snapshot.side != model.crop:
        raise InputError(f"{model.said_by['crop']}: crop {model.crop}, the net takes {snapshot.side}; {REMEDY}")


def check_widths(snapshot: Snapshot, labels: dict[str, list[str]], sources: dict[str, Path]) -> None:
    """InputError unless each head of the net has as many outputs as there are names, which are from `sources`."""
    for head, names in labels.items():
        shape = snapshot.shapes.tops.get(OUTPUTS[head], [0, 0])
        if shape[1:] != [len(names)]:
            raise InputError(
                f"{sources[head]}: {len(names)} {head} names, {snapshot.deploy} has {shape[1]} outputs of "
                f"{OUTPUTS[head]}; give the list that the net was trained with"
            )


def read_labels(path: Path) -> list[str]:
    """Names, one a line, in their one spelling. InputError where a line is empty, there twice or no name."""
    try:
        names = names_of(regular_file(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing; {REMEDY}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; {REMEDY}") from None
    for line, fault in line_faults(names):
        raise InputError(f"{path}:{line}: {fault}; {REMEDY}")
    return names


def write_labels(path: Path, names: Sequence[str]) -> None:
    """Names, one a line. InputError where `read_labels` would not find the same ones."""
    for line, fault in line_faults(list(map(spelled, names))):
        raise InputError(f"{path.name}:{line}: {fault}; give each label a name of its own")
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _read_record(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"{path}: missing; {path.parent} is no model folder of export.py")
    record = read_json(path, REMEDY)
    if record.get("format") != (FORMAT_OF_REGIONS if "regions" in record else FORMAT):
        raise InputError(f"{path}: not the record of a {FORMAT}; {REMEDY}")
    for name, kind in NUMBERS.items():
        if type(record.get(name)) is not kind:  # True is no number of pixels
            raise InputError(f"{path}: no {name!r}, or none of the right kind; {REMEDY}")
    means = [type(value) in (int, float) and abs(value) <= LARGEST_MEAN for value in record["mean"]]
    if means != [True] * 3:
        raise InputError(f"{path}: mean is not three numbers of pixels, B, G and R; {REMEDY}")
    if record["crops"] not in CUTS or not 1 <= record["crop"] <= record["short_side"]:
        raise InputError(f"{path}: no image can be cut by its short_side, crop and crops; {REMEDY}")
    if record["short_side"] ** 2 > MAX_PIXELS:
        raise InputError(f"{path}: a short_side of {record['short_side']} would take up the memory; {REMEDY}")
    if not all(type(count) is int for count in record["outputs"].values()):
        raise InputError(f"{path}: outputs has no number of outputs for each; {REMEDY}")
    if "regions" not in record and not set(record["outputs"]) & set(OUTPUTS.values()):
        raise InputError(f"{path}: outputs has neither lesion_prob nor location_prob; {REMEDY}")
    return record
