"""Images through a model's net: probabilities, and overlays of attention where they are wanted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from caffe_files.errors import InputError
from caffe_files.outputs import new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.parallel import ordered_map
from skinmtl.common.provenance import made_by
from skinmtl.data.seen import KEY, UNKNOWN, Image, marks, seen
from skinmtl.engines.snapshot import Snapshot, checked_snapshot
from skinmtl.explanation.attention_net import AttentionNet
from skinmtl.explanation.novelty import Likeness
from skinmtl.explanation.photograph import Photograph, drawable, large_of, load_large
from skinmtl.figures.overlay import DISPLAY, VEIL, overlay, png_bytes
from skinmtl.images import image_file
from skinmtl.images.resizing import RESIZING
from skinmtl.nets.net_blobs import blobs_of
from skinmtl.publishing.model_folder import OUTPUTS, WEIGHTS, Model, check_net
from skinmtl.publishing.novelties import unusable
from skinmtl.publishing.photographs import Item, check_overlay_names
from skinmtl.scores.crops import CUTS
from skinmtl.scores.forward import Protocol
from skinmtl.training.trained_images import of_weights

FEW = 8  # images that one process has read before others would have started: our choice


@dataclass(frozen=True)
class Prediction:
    """What the net makes of an image: of each head the probabilities (P,) float32 and, where it was drawn, the overlay
    of the likeliest label, and what a person should know of the image, a line each; or, in one line, why it cannot be
    used. `likeness` is there where the model can tell how unlike its training images the image is; one that is `named`
    may be told of."""

    item: Item
    probabilities: dict[str, np.ndarray] = field(default_factory=dict)
    overlays: dict[str, Path] = field(default_factory=dict)
    problem: str = ""
    told: tuple[str, ...] = ()
    likeness: Likeness | None = None
    named: bool = True


class Predictor:
    """A model, open: `snapshot` is its checked net. InputError where its files do not fit together.

    `novelty` is the model's where it can be used; else `blind` says why not. `names_unlike`: images that are unlike the
    training images are named too.
    """

    def __init__(self, model: Model, protocol: Protocol, attends: bool, names_unlike: bool = False) -> None:
        self.model, self.protocol, self.names_unlike = model, protocol, names_unlike
        self.attention: AttentionNet | None = None
        if attends:
            self.attention = AttentionNet(model.deploy, model.weights, protocol)
            self.snapshot: Snapshot = self.attention.snapshot
        else:
            self.snapshot = checked_snapshot(model.deploy, model.weights, protocol.engine)
        check_net(model, self.snapshot)
        self.blind = unusable(model.novelty, self.snapshot, protocol)
        self.novelty = None if self.blind else model.novelty
        self._net = self.attention.lens.net if self.attention else self.snapshot.open()

    def record(self) -> dict[str, Any]:
        """What made the predictions, in short."""
        return {
            "name": self.model.name,
            "weights_sha256": self.model.files[WEIGHTS],
            "crops": self.protocol.crops,
            "resizing": RESIZING,
            **({"calibration": self.model.calibration.words()} if self.model.calibration else {}),
            **({"novelty": self.novelty.words()} if self.novelty else {}),
            **self.protocol.engine.record(),
        }

    def look(self, pixels: np.ndarray) -> tuple[dict[str, np.ndarray], Likeness | None]:
        """Of an (H, W, 3) BGR image, resized: each head's (P,) float32, averaged over the crops as score.py does, and
        calibrated where the model says how; and how unlike the training images it is, where the model can tell."""
        crops = CUTS[self.protocol.crops](pixels, self.snapshot.side, np.array(self.protocol.mean))
        blobs = [OUTPUTS[head] for head in self.model.labels]
        if self.novelty:
            blobs.append(blobs_of(self.model.deploy).features)
        parts = []
        for first in range(0, len(crops), self.protocol.batch_size):
            batch = crops[first : first + self.protocol.batch_size]
            tops = self._net.forward({"data": batch}, blobs)
            parts.append([top.reshape(len(batch), -1).copy() for top in tops])
        outputs = [np.concatenate(tops) for tops in zip(*parts)]
        if not all(np.isfinite(values).all() for values in outputs):
            raise InputError(f"{self.model.weights}: its outputs are NaN or infinite; training diverged, use another")
        found = {head: values.mean(axis=0) for head, values in zip(self.model.labels, outputs)}
        return self.calibrated(found), self.novelty.likeness(outputs[-1]) if self.novelty else None

    def is_named(self, likeness: Likeness | None) -> bool:
        """Whether labels of such an image are told."""
        return likeness is None or self.names_unlike or not likeness.unlike

    def calibrated(self, probabilities: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the model's calibration makes of each head's (P,); without one, the same."""
        if self.model.calibration is None:
            return probabilities
        return {head: self.model.calibration.heads[head].apply(values) for head, values in probabilities.items()}


def said_of_seen(model: Model, items: Sequence[Item]) -> list[str]:
    """How many of the images the model has seen in its training, a line each, as far as its folder says."""
    record = seen(of_weights(model.weights), [Image(item.path, item.data) for item in items])
    return [] if record == UNKNOWN else [f"{model.path}: {mark}" for mark in marks({KEY: record})]


def predict(
    predictor: Predictor, items: Sequence[Item], overlays: Path | None, arguments: dict[str, Any]
) -> Iterator[Prediction]:
    """Yields a prediction for each item, in their order; one that cannot be used has a `problem`.

    `overlays` is the new folder for IMAGE.lesion.png and IMAGE.location.png, the attention for the likeliest label of
    each head, and attention.json, which says what made them. It is there after the last prediction, unless no image
    could be used, or named.
    """
    if overlays is None:
        for item, one in _loaded(items, predictor.protocol):
            if one.problem:
                yield Prediction(item, problem=one.problem, told=one.told)
                continue
            probabilities, likeness = predictor.look(one.pixels)
            named = predictor.is_named(likeness)
            yield Prediction(item, probabilities, told=one.told, likeness=likeness, named=named)
        return
    check_overlay_names(items)
    described = []
    with suppress(_NothingDrawnError), new_folder(overlays) as folder:
        for item, one in _loaded(items, predictor.protocol):
            if one.problem:
                yield Prediction(item, problem=one.problem)
                continue
            likeness = None
            if predictor.novelty:
                probabilities, likeness = predictor.look(one.pixels)
                if not predictor.is_named(likeness):
                    yield Prediction(item, probabilities, told=one.told, likeness=likeness, named=False)
                    continue
            probabilities, drawn = _attend(predictor, item, one.pixels, folder)
            described.append({"image": item.name, **drawn})
            paths = {head: overlays / each["overlay"] for head, each in drawn.items()}
            yield Prediction(item, probabilities, paths, told=one.told, likeness=likeness)
        if not described:
            raise _NothingDrawnError
        assert predictor.attention is not None
        how = {**predictor.attention.record(), "display": DISPLAY[VEIL]}
        write_json(folder / "attention.json", {"images": described, "protocol": how, **made_by(arguments)})


class _NothingDrawnError(Exception):
    """So that no empty folder appears."""


def _loaded(items: Sequence[Item], protocol: Protocol) -> Iterator[tuple[Item, image_file.Loaded]]:
    """Yields each image's pixels, resized, or what is wrong with it."""
    workers = protocol.workers if len(items) > FEW else 1
    tasks = ((item.path, protocol.short_side) for item in items if item.path is not None)
    files = ordered_map(image_file.load, tasks, workers)
    for item in tqdm(items, "predicting", unit="image", disable=None if len(items) > 1 else True):
        yield item, next(files) if item.path is not None else item.load(protocol.short_side)


def _attend(
    predictor: Predictor, item: Item, pixels: np.ndarray, folder: Path
) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """Draws the overlays; returns each head's probabilities, and which overlay shows which label."""
    assert predictor.attention is not None
    large = large_of(item.data) if item.path is None else load_large(item.path)
    if large.problem:
        raise InputError(f"{item.name}: {large.problem}; an overlay cannot be drawn")
    likeliest = {}

    def choose(head: str, of_head: np.ndarray) -> list[int]:
        likeliest[head] = int(predictor.calibrated({head: of_head})[head].argmax())
        return [likeliest[head]]

    probabilities, drawn = {}, {}
    for head, found in predictor.attention.attend(Photograph(pixels, large.pixels), choose).items():
        name = f"{item.overlays}.{head}.png"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(overlay(drawable(large.pixels), found.maps[0])))
        probabilities.update(predictor.calibrated({head: found.probabilities}))
        drawn[head] = {"label": predictor.model.labels[head][likeliest[head]], "overlay": name}
    return probabilities, drawn
