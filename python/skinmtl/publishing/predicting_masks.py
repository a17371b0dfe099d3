"""Photographs through a model that draws lesions: class, box and mask of each, and pictures of them where wanted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from caffe_files.errors import InputError
from caffe_files.outputs import new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.parallel import ordered_map
from skinmtl.common.provenance import made_by
from skinmtl.engines.snapshot import checked_snapshot
from skinmtl.figures.outlines import ANSWER, Drawn, outlined
from skinmtl.figures.overlay import png_bytes
from skinmtl.nets.dead_proposals import warning
from skinmtl.publishing.model_folder import OUTPUTS, WEIGHTS, Model, check_net
from skinmtl.publishing.photographs import Item, check_overlay_names
from skinmtl.publishing.predicting import FEW
from skinmtl.scores.forward import Protocol
from skinmtl.scores.mask_files import mask_name
from skinmtl.scores.mask_net import Answer, answers, check_shapes
from skinmtl.scores.square import LoadedSquare, Square, Task, load_square, square_of


@dataclass(frozen=True, eq=False)
class MaskPrediction:
    """What the net says of an image: the `answer` in the pixels of the image, whose size is (height, width), of each
    head beside the regions the probabilities (P,) float32, the files that were drawn ("mask", "overlay"), and what a
    person should know of the image, a line each; or, in one line, why it cannot be used."""

    item: Item
    answer: Answer | None = None
    size: tuple[int, int] = (0, 0)
    probabilities: dict[str, np.ndarray] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    problem: str = ""
    told: tuple[str, ...] = ()


class MaskPredictor:
    """A model that draws lesions, open. InputError where its files do not fit together."""

    def __init__(self, model: Model, protocol: Protocol) -> None:
        self.model, self.protocol = model, protocol
        self.snapshot = checked_snapshot(model.deploy, model.weights, protocol.engine)
        check_net(model, self.snapshot)
        assert model.net is not None
        check_shapes(model.net, self.snapshot)
        self._net = self.snapshot.open()

    def record(self) -> dict[str, Any]:
        """What made the predictions, in short."""
        return {
            "name": self.model.name,
            "weights_sha256": self.model.files[WEIGHTS],
            "side": self.snapshot.side,
            **self.protocol.engine.record(),
        }

    def answer(self, square: Square) -> tuple[Answer, dict[str, np.ndarray]]:
        """Of an image: its answer, and the probabilities of each head beside the regions."""
        assert self.model.net is not None
        heads = [OUTPUTS[head] for head in self.model.labels]
        mean = np.array(self.protocol.mean)
        answer, others = answers(self._net, self.model.net, [square], mean, heads)[0]
        if not np.isfinite([answer.score, *answer.shares, *others]).all():
            raise InputError(f"{self.model.weights}: its outputs are NaN or infinite; training diverged, use another")
        ends = np.cumsum([len(names) for names in self.model.labels.values()])[:-1]
        return answer, dict(zip(self.model.labels, np.split(others, ends))) if heads else {}


def predict_masks(
    predictor: MaskPredictor, items: Sequence[Item], drawn: Path | None, arguments: dict[str, Any]
) -> Iterator[MaskPrediction]:
    """Yields a prediction for each item, in their order; one that cannot be used has a `problem`.

    `drawn` is the new folder for IMAGE.png, the mask in the size of the image (none without a mask head),
    IMAGE.overlay.png, outline and box on the photograph, and predictions.json, which says what made them. It is there
    after the last prediction, unless no image could be used.
    """
    if drawn is None:
        for item, one in _loaded(items, predictor, False):
            yield _prediction(predictor, item, one)
        return
    check_overlay_names(items)
    made = 0
    with suppress(_NothingDrawnError), new_folder(drawn) as folder:
        for item, one in _loaded(items, predictor, True):
            found = _prediction(predictor, item, one)
            if found.answer is not None:
                made += 1
                for kind, (name, png) in _pictures(item, found, one.picture).items():
                    path = folder / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(png)
                    found.files[kind] = drawn / name
            yield found
        if not made:
            raise _NothingDrawnError
        write_json(folder / "predictions.json", {"model": predictor.record(), **made_by(arguments)})


class _NothingDrawnError(Exception):
    """So that no empty folder appears."""


def overlay_of(answer: Answer, size: tuple[int, int], picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 BGR: the photograph with the mask's outline and the box on it. `size` is (height, width) of what
    the answer is of, whatever size the picture (h, w, 3) has."""
    return outlined(picture, [Drawn(answer.mask, answer.box / np.array([*size[::-1]] * 2), ANSWER)])


def _prediction(predictor: MaskPredictor, item: Item, one: LoadedSquare) -> MaskPrediction:
    if one.square is None:
        return MaskPrediction(item, problem=one.problem, told=one.told)
    answer, probabilities = predictor.answer(one.square)
    told = (*one.told, *([warning(1, 1)] if answer.dead else []))
    return MaskPrediction(item, answer, (one.square.height, one.square.width), probabilities, told=told)


def _pictures(item: Item, found: MaskPrediction, picture: np.ndarray | None) -> dict[str, tuple[str, bytes]]:
    """By kind, a file's name and contents."""
    answer = found.answer
    assert answer is not None and picture is not None
    pictures = {"overlay": (f"{item.overlays}.overlay.png", png_bytes(overlay_of(answer, found.size, picture)))}
    if answer.mask is not None:
        mask = cv2.imencode(".png", np.where(answer.mask, 255, 0).astype(np.uint8))[1].tobytes()
        pictures["mask"] = (mask_name(item.overlays), mask)
    return pictures


def _loaded(items: Sequence[Item], predictor: MaskPredictor, drawn_on: bool) -> Iterator[tuple[Item, LoadedSquare]]:
    """Yields each image as the net sees it and, where it is drawn on, as a picture; or what is wrong with it."""
    assert predictor.model.net is not None
    side = predictor.snapshot.side
    how = side, predictor.model.net.longest(side), None, drawn_on
    workers = predictor.protocol.workers if len(items) > FEW else 1
    files = ordered_map(load_square, (Task(item.path, *how) for item in items if item.path is not None), workers)
    for item in tqdm(items, "predicting", unit="image", disable=None if len(items) > 1 else True):
        yield item, next(files) if item.path is not None else square_of(item.data, *how)
