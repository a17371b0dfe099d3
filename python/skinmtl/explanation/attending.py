"""Attention maps of a snapshot on images: into a folder of attention.npz, what is in it as JSON, and overlays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by
from skinmtl.data.bad_images import check_images_exist, refuse_bad_images
from skinmtl.data.manifest import Manifest
from skinmtl.data.seen import KEY, UNKNOWN
from skinmtl.explanation.attention_file import HeadAttention, new_attention_file
from skinmtl.explanation.attention_geometry import places
from skinmtl.explanation.attention_net import AttentionNet
from skinmtl.explanation.attention_tasks import Task, manifest_names, net_names, of_files, of_manifest
from skinmtl.figures.overlay import DISPLAY, overlay, png_bytes
from skinmtl.images import image_file
from skinmtl.images.reading import read_images
from skinmtl.nets.label_names import check_manifest
from skinmtl.scores.forward import Protocol

ATTENTION_FILE = "attention.npz"
OVERLAY_SIDE = 256  # pixels of an overlay's shorter side, at least: large enough to look at


def attend_manifest(
    deploy: Path,
    weights: Path,
    manifest: Manifest,
    image_folder: Path,
    true_labels: bool,
    protocol: Protocol,
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
) -> int:
    """Attends to all images of a manifest, for their true labels or for the likeliest; returns how many there are."""
    check_manifest(manifest, deploy)
    check_images_exist(manifest, image_folder)
    net = AttentionNet(deploy, weights, protocol)
    names = manifest_names(manifest, net.heads, deploy)

    def refuse(faults: dict[int, str]) -> None:
        refuse_bad_images(manifest, image_folder, faults)

    attend(net, of_manifest(manifest, image_folder, true_labels), names, refuse, out, arguments, trained_on)
    return len(manifest.rows)


def attend_files(
    deploy: Path,
    weights: Path,
    files: Sequence[Path],
    protocol: Protocol,
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
) -> int:
    """Attends to image files, for the labels that are likeliest; returns how many there are."""
    tasks = of_files(files)
    net = AttentionNet(deploy, weights, protocol)

    def refuse(faults: dict[int, str]) -> None:
        raise InputError("\n".join(f"{files[n]}: {fault}; mend it or leave it out" for n, fault in faults.items()))

    attend(net, tasks, net_names(net.heads, deploy), refuse, out, arguments, trained_on)
    return len(tasks)


def attend(
    net: AttentionNet,
    tasks: Sequence[Task],
    names: dict[str, list[str]],
    refuse: Callable[[dict[int, str]], None],
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
) -> None:
    """Writes the new folder `out`: attention.npz, attention.json, and IMAGE.HEAD.png for each image and head.

    `names` has each head's labels by index, `trained_on` is what `data.seen.seen` says of the images. After a bad image
    the rest is only read, and `refuse` is given what is wrong with which. In memory are one image, its maps, and what
    the workers read ahead.
    """
    how = {**net.record(), KEY: trained_on, "display": DISPLAY}
    described = []
    with new_folder(out) as folder:
        with new_attention_file(folder / ATTENTION_FILE) as file:
            for task, pixels in _read(tasks, net.protocol, refuse):
                heads = _attention(net, pixels, task.labels, names)
                file.add(task.name, heads)
                files = _write_overlays(folder, task, heads, net.protocol)
                crops = len(places(*pixels.shape[:2], net.snapshot.side))
                described.append({"image": task.name, "crops": crops, **_describe(heads, names, files)})
            file.finish(names, {**how, **made_by(arguments)})
        write_json(folder / "attention.json", {"images": described, "protocol": how, **made_by(arguments)})


def _attention(
    net: AttentionNet, pixels: np.ndarray, labels: dict[str, tuple[str, ...]] | None, names: dict[str, list[str]]
) -> dict[str, HeadAttention]:
    heads = {}
    for head, found in net.crop_maps(pixels).items():
        of_head = labels[head] if labels else (names[head][int(found.probabilities.argmax())],)
        chosen = found.maps[:, [names[head].index(label) for label in of_head]]
        heads[head] = HeadAttention(of_head, net.merged(chosen, pixels.shape[:2]), found.probabilities)
    return heads


def _read(
    tasks: Sequence[Task], protocol: Protocol, refuse: Callable[[dict[int, str]], None]
) -> Iterator[tuple[Task, np.ndarray]]:
    """Yields each image's pixels, resized."""
    paths = [task.path for task in tasks]
    for n, pixels in read_images(paths, protocol.short_side, protocol.workers, refuse, "attending"):
        yield tasks[n], pixels


def _write_overlays(folder: Path, task: Task, heads: dict[str, HeadAttention], protocol: Protocol) -> dict[str, str]:
    """Writes IMAGE.HEAD.png, a name that no other image's can be. Returns the names by head."""
    image = image_file.load((task.path, max(OVERLAY_SIDE, protocol.short_side)))
    if image.problem:
        raise InputError(f"{task.path}: {image.problem}; an overlay cannot be drawn")
    files = {}
    for head, attention in heads.items():
        files[head] = f"{task.overlays}.{head}.png"
        path = folder / files[head]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(overlay(image.pixels, attention.shown)))
    return files


def _describe(heads: dict[str, HeadAttention], names: dict[str, list[str]], files: dict[str, str]) -> dict[str, Any]:
    described = {}
    for head, attention in heads.items():
        described[head] = {
            "overlay": files[head],
            "labels": [
                {
                    "label": label,
                    "probability": round(float(attention.probabilities[names[head].index(label)]), 6),
                    "lowest": float(one.min()),
                    "highest": float(one.max()),
                }
                for label, one in zip(attention.labels, attention.maps)
            ],
        }
    return described
