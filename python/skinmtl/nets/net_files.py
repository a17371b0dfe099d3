"""A model's files on disk: its three prototxts and net.json, made, written, compared with what is there."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.outputs import check_free, new_file, new_folder
from caffe_files.prototxt import message_text
from skinmtl.common.json_file import json_text
from skinmtl.data.dataset import read_summary
from skinmtl.data.label_counts import check_one_lesion
from skinmtl.nets.data_layers import check_stored
from skinmtl.nets.known_data import NOTHING_KNOWN, Known
from skinmtl.nets.label_names import KINDS, LABELS_FILE
from skinmtl.nets.mask_data import check_mask_data
from skinmtl.nets.mask_net import make_mask_net
from skinmtl.nets.mask_options import MaskNetOptions
from skinmtl.nets.multi_task import SPLITS, NetOptions, make_net
from skinmtl.nets.net_record import FORMAT, NET_FILE, differs
from skinmtl.nets.phases import default_phases, frozen

LARGEST_TEST_BATCH = 50


def test_batch_size(test_data: Path, largest: int = LARGEST_TEST_BATCH) -> int:
    """The largest batch up to `largest` that divides the test set.

    Caffe does not rewind a test net between tests: only where test_iter x batch is the set does every test see the
    same images.
    """
    if not test_data.exists():
        raise InputError(f"{test_data}: not there to choose a batch that divides it; give --test-batch-size")
    n_records = read_summary(test_data)["n_records"]
    return max(batch for batch in range(1, largest + 1) if n_records % batch == 0)


def check_data(options: NetOptions | MaskNetOptions) -> int | None:
    """The solver's test_iter, or None where there is no test data yet. InputError where data does not fit the net."""
    if isinstance(options, MaskNetOptions):
        check_mask_data(options)
    else:
        _check_crops(options)
    test_data = Path(options.test_data)
    if not test_data.exists():
        return None
    n_records = read_summary(test_data)["n_records"]
    if n_records % options.test_batch_size:
        raise InputError(
            f"{options.test_data}: {n_records} records are no multiple of the test batch {options.test_batch_size}, "
            "every test would see other images; leave --test-batch-size out"
        )
    return n_records // options.test_batch_size


def _check_crops(options: NetOptions) -> None:
    """InputError where a data set that is there cannot be cropped from, or has other labels."""
    summaries = {at: read_summary(Path(at)) for at in (options.train_data, options.test_data) if Path(at).exists()}
    if options.scales and options.scales[0] < options.crop:
        raise InputError(f"--scales {options.scales[0]}: below the crop of {options.crop}; give larger ones")
    if options.scales and options.train_data in summaries:
        check_stored(Path(options.train_data), summaries[options.train_data], options.scales)
    for folder, summary in summaries.items():
        if "location" in options.heads and not summary["location_names"]:
            raise InputError(
                f"{folder}: has no locations, which {options.model} learns; make the model for lesions alone, or give "
                "the manifest a column 'location'"
            )
        for kind, count in zip(KINDS, (options.lesions, options.locations)):
            if len(summary[kind]) != count:
                raise InputError(
                    f"{folder}: has {len(summary[kind])} {kind}, the net is to have {count}; leave the counts out, and "
                    "they follow from the data"
                )
        if options.lesion_loss.kind == "softmax":
            check_one_lesion(Path(folder))
        smallest = summary["short_side"][0]
        if smallest < options.crop:
            raise InputError(
                f"{folder}: has images of {smallest} pixels on the shorter side, from which Caffe cannot crop "
                f"{options.crop}; give a smaller --crop, or store larger images"
            )


def net_files(options: NetOptions | MaskNetOptions, command: str, known: Known = NOTHING_KNOWN) -> dict[str, str]:
    """File name -> text: train.prototxt, test.prototxt and deploy.prototxt, headed by the command that makes them, and
    net.json, which also has what is `known` of the data. A mask net on a published trunk has a train_phaseN.prototxt
    for each of its phases too, in which only some layers learn."""
    header = f"# made by: {command}\n# Change the command, not this file.\n"
    if isinstance(options, NetOptions):
        header += options.lesion_loss.comment() + options.location_loss.comment()
    nets = {split: _net(options, split) for split in SPLITS}
    phases = default_phases(options.trunk) if isinstance(options, MaskNetOptions) else []
    if len(phases) > 1:
        for number, phase in enumerate(phases, 1):
            nets[f"train_phase{number}"] = frozen(nets["train"], phase["trainable"])
    files = {f"{name}.prototxt": header + message_text(net) for name, net in nets.items()}
    return {**files, NET_FILE: _record_text(options, known, command)}


def _net(options: NetOptions | MaskNetOptions, split: str) -> Message:
    return (make_mask_net if isinstance(options, MaskNetOptions) else make_net)(options, split)


def write_net_files(files: dict[str, str], out: Path) -> None:
    """Writes or replaces the files, each whole, and all of them or none as far as a disk allows that: a new folder is
    renamed into place; in one that is there, no file is replaced before all are written. One that is there already is
    refused as `check_free` does: a run may have been trained with it."""
    if not out.exists():
        with new_folder(out, replaceable=False) as folder:
            for name, text in files.items():
                (folder / name).write_text(text, encoding="utf-8")
        return
    for name in files:
        check_free(out / name)
    with ExitStack() as stack:
        for name, text in files.items():
            stack.enter_context(new_file(out / name)).write_text(text, encoding="utf-8")
    older = out / LABELS_FILE
    if older.is_file():  # an earlier net's; net.json has the names now
        older.unlink()


def differing_files(files: dict[str, str], out: Path) -> list[Path]:
    """The files in `out` that are missing or not as generated. What net.json has of the data must only fit the net."""
    paths = {out / name: text for name, text in files.items()}
    return [path for path, text in paths.items() if _differs(text, path)]


def _record_text(options: NetOptions | MaskNetOptions, known: Known, command: str) -> str:
    """What net.json is to hold."""
    names = known.names or {}
    masks = isinstance(options, MaskNetOptions)
    given = None if masks else options.given
    scales = None if masks else options.scales
    record = {
        "format": FORMAT,
        "model": options.model,
        "trunk": options.trunk,
        "crop": options.crop,
        "short_side": None if masks else known.short_side,
        "scales": list(scales) if scales else None if masks else known.scales,
        "mean": list(options.subtracted),
        "outputs": options.outputs,
        **{f"{head}_names": names.get(f"{head}_names") for head in options.outputs},
        "features_blob": options.features_blob,
        "maps_blob": options.maps_blob,
        **({"trunk_net": given.record()} if given else {}),
        **(_of_masks(options, known) if masks else {}),
        "made_by": command,
    }
    return json_text(record)


def _of_masks(options: MaskNetOptions, known: Known) -> dict[str, Any]:
    names = known.names or {}
    return {
        "side": options.side,
        "classes": options.classes,
        "heads": list(options.heads),
        "mask_side": options.mask_side,
        "detections": options.detections,
        "long_side": known.long_side,
        "class_names": names.get("lesion_names") if "class" in options.heads else None,
    }


def _differs(text: str, path: Path) -> bool:
    if path.name == NET_FILE:
        return differs(text, path)
    return not path.is_file() or path.read_text(encoding="utf-8") != text
