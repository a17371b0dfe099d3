"""Attention maps of a snapshot on images: into a folder of attention.npz, what is in it as JSON, and overlays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by
from skinmtl.data.bad_images import check_images_exist, refuse_bad_images
from skinmtl.data.manifest import Manifest
from skinmtl.data.seen import KEY, UNKNOWN
from skinmtl.explanation.attention_file import HeadAttention, new_attention_file
from skinmtl.explanation.attention_net import AttentionNet
from skinmtl.explanation.attention_tasks import NO_MORE, Task, manifest_names, net_names, of_files, of_manifest
from skinmtl.explanation.attention_ways import BEST, Ways
from skinmtl.explanation.photograph import Photograph, drawable, load_large
from skinmtl.figures.overlay import DISPLAY, DRAWN, VEIL, in_grey, is_faint, png_bytes
from skinmtl.images.reading import read_images
from skinmtl.nets.label_names import check_manifest
from skinmtl.scores.forward import Protocol

ATTENTION_FILE = "attention.npz"
NOTHING = "none"  # of overlays


@dataclass(frozen=True)
class Looks:
    """How maps are made, and what is drawn of them: one of DRAWN, or NOTHING."""

    ways: Ways = BEST
    drawn: str = VEIL


PLAIN = Looks()


class Attended(NamedTuple):
    """How many images there are, and how many of them were seen smaller than asked, since a pass over a whole
    photograph has at most `attention_passes.MOST_PIXELS`."""

    images: int
    smaller: int


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
    looks: Looks = PLAIN,
    listed: Mapping[str, Sequence[str]] = NO_MORE,
) -> Attended:
    """Attends to all images of a manifest, for their true labels and those `listed` with them, or for the likeliest."""
    check_manifest(manifest, deploy)
    check_images_exist(manifest, image_folder)
    net = AttentionNet(deploy, weights, protocol, looks.ways)
    names = manifest_names(manifest, net.heads, deploy)

    def refuse(faults: dict[int, str]) -> None:
        refuse_bad_images(manifest, image_folder, faults)

    tasks = of_manifest(manifest, image_folder, true_labels, listed)
    return attend(net, tasks, names, refuse, out, arguments, trained_on, looks.drawn)


def attend_files(
    deploy: Path,
    weights: Path,
    files: Sequence[Path],
    protocol: Protocol,
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
    looks: Looks = PLAIN,
) -> Attended:
    """Attends to image files, for the labels that are likeliest."""
    tasks = of_files(files)
    net = AttentionNet(deploy, weights, protocol, looks.ways)

    def refuse(faults: dict[int, str]) -> None:
        raise InputError("\n".join(f"{files[n]}: {fault}; mend it or leave it out" for n, fault in faults.items()))

    return attend(net, tasks, net_names(net.heads, deploy), refuse, out, arguments, trained_on, looks.drawn)


def attend(
    net: AttentionNet,
    tasks: Sequence[Task],
    names: dict[str, list[str]],
    refuse: Callable[[dict[int, str]], None],
    out: Path,
    arguments: dict[str, Any],
    trained_on: dict[str, Any] | str = UNKNOWN,
    drawn: str = VEIL,
) -> Attended:
    """Writes the new folder `out`: attention.npz, attention.json, and IMAGE.HEAD.png for each image and head.

    `names` has each head's labels by index, `trained_on` is what `data.seen.seen` says of the images, `drawn` is one of
    DRAWN or NOTHING. After a bad image the rest is only read, and `refuse` is given what is wrong with which. In memory
    are one image, its maps, and what the workers read ahead.
    """
    how = {**net.record(), KEY: trained_on, **({} if drawn == NOTHING else {"display": DISPLAY[drawn]})}
    described = []
    with new_folder(out) as folder:
        with new_attention_file(folder / ATTENTION_FILE) as file:
            for task, photograph in _read(tasks, net.protocol, refuse):
                heads = _attention(net, photograph, task.labels, names)
                file.add(task.name, heads)
                files = {} if drawn == NOTHING else _write_overlays(folder, task, heads, names, photograph, drawn)
                described.append({"image": task.name, **net.seen(photograph), **_describe(heads, names, files)})
            file.finish(names, {**how, **made_by(arguments)})
        write_json(folder / "attention.json", {"images": described, "protocol": how, **made_by(arguments)})
    smaller = sum(max(one.get("sides", net.ways.sides)) < max(net.ways.sides) for one in described)
    return Attended(len(described), smaller)


def _attention(
    net: AttentionNet, photograph: Photograph, labels: dict[str, tuple[str, ...]] | None, names: dict[str, list[str]]
) -> dict[str, HeadAttention]:
    of_heads: dict[str, tuple[str, ...]] = {}

    def choose(head: str, probabilities: np.ndarray) -> list[int]:
        of_heads[head] = labels[head] if labels else (names[head][int(probabilities.argmax())],)
        return [names[head].index(label) for label in of_heads[head]]

    found = net.attend(photograph, choose)
    return {head: HeadAttention(of_heads[head], one.maps, one.probabilities) for head, one in found.items()}


def _read(
    tasks: Sequence[Task], protocol: Protocol, refuse: Callable[[dict[int, str]], None]
) -> Iterator[tuple[Task, Photograph]]:
    """Yields each image, resized and at its own size."""
    paths = [task.path for task in tasks]
    for n, pixels in read_images(paths, protocol.short_side, protocol.workers, refuse, "attending"):
        large = load_large(tasks[n].path)
        if large.problem:
            raise InputError(f"{tasks[n].path}: {large.problem}; an overlay cannot be drawn")
        yield tasks[n], Photograph(pixels, large.pixels)


def _write_overlays(
    folder: Path,
    task: Task,
    heads: dict[str, HeadAttention],
    names: dict[str, list[str]],
    photograph: Photograph,
    drawn: str,
) -> dict[str, str]:
    """Writes IMAGE.HEAD.png, a name that no other image's can be. Returns the names by head."""
    image, files = drawable(photograph.large), {}
    for head, attention in heads.items():
        files[head] = f"{task.overlays}.{head}.png"
        path = folder / files[head]
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = DRAWN[drawn](image, attention.shown)
        faint = is_faint([attention.probabilities[names[head].index(label)] for label in attention.labels])
        path.write_bytes(png_bytes(in_grey(picture) if faint else picture))
    return files


def _describe(heads: dict[str, HeadAttention], names: dict[str, list[str]], files: dict[str, str]) -> dict[str, Any]:
    described = {}
    for head, attention in heads.items():
        described[head] = {
            **({"overlay": files[head]} if files else {}),
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
