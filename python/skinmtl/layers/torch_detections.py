"""DetectionOutput without Caffe: the same settings and numbers as the layer for BVLC Caffe (skinmtl.regions.detections
has what it computes, in numpy), on the device of the net. No gradient flows through it."""

from __future__ import annotations

from typing import Any, Sequence

import torch
from torch import Tensor

from caffe_torch.layers.layer import Shape
from skinmtl.layers.torch_boxes import are_boxes, clip, decode, kept, numbered
from skinmtl.layers.torch_checked import CheckedLayer
from skinmtl.regions.detections import FIXED


class DetectionOutput(CheckedLayer):
    """Bottoms: proposals (N, P, 5), class_prob (N * P, K + 1) and box_deltas (N * P, 4 (K + 1)) where the net has these
    heads, window (N, 4). Tops: detections (N, D, 7 + K), detection_rois (N * D, 5): skinmtl.regions.detections."""

    top_names = ("detections", "detection_rois")

    def prepare(self) -> None:
        self.heads = [head for head in ("class", "box") if head in self.settings.heads]

    def names_of_bottoms(self) -> Sequence[str]:
        names = {"class": "class_prob", "box": "box_deltas"}
        return ["proposals", *(names[head] for head in self.heads), "window"]

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        rows = shapes[0][0] * shapes[0][1] if len(shapes[0]) == 3 else 1  # else the first bottom is told first
        channels = self.settings.classes + 1
        wanted = {"class": (rows, channels), "box": (rows, 4 * channels if "class" in self.heads else 8)}
        return [("N", "P", 5), *(wanted[head] for head in self.heads), ("N", 4)]

    @torch.no_grad()
    def forward(self, proposals: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        *of_heads, windows = others
        settings, (images, rows) = self.settings, proposals.shape[:2]
        made = proposals.new_zeros((images, settings.detections, FIXED + settings.classes), dtype=torch.float32)
        if not proposals.is_meta:
            heads = dict(zip(self.heads, of_heads))
            for number in range(images):
                (places,) = torch.where(are_boxes(proposals[number]))
                own = {name: values[number * rows + places].float() for name, values in heads.items()}
                found = self._of_image(proposals[number, places], windows[number], own.get("class"), own.get("box"))
                made[number, : len(found)] = found
        return made, numbered(made)

    def _of_image(
        self, proposals: Tensor, window: Tensor, class_prob: Tensor | None, box_deltas: Tensor | None
    ) -> Tensor:
        """The rows of an image, at least 1."""
        settings = self.settings
        if not len(proposals):
            answer = [1, 0, 0, *[1 / settings.classes] * settings.classes]
            return torch.cat([window, window.new_tensor(answer)])[None]
        boxes, each = proposals[:, :4], torch.arange(len(proposals), device=proposals.device)
        if class_prob is None:
            labels, scores, lesion = torch.ones_like(each), proposals[:, 4], torch.ones_like(each, dtype=torch.bool)
            shares = boxes.new_full((len(boxes), settings.classes), 1 / settings.classes)
        else:
            of_lesions = class_prob[:, 1:]
            labels = 1 + of_lesions.argmax(1)
            scores = class_prob[each, labels]
            lesion = scores > class_prob[:, 0]
            sums = of_lesions.sum(1, keepdim=True)
            shares = torch.where(sums > 0, of_lesions / torch.where(sums > 0, sums, 1.0), 1 / settings.classes)
        if box_deltas is not None:
            deltas = box_deltas.reshape(len(boxes), box_deltas.shape[1] // 4, 4)[each, labels]
            refined = clip(decode(deltas, boxes, settings.std), window)
            has_area = are_boxes(refined)
            boxes, lesion = torch.where(has_area[:, None], refined, boxes), lesion & has_area
        best = self._best(boxes, labels, scores, lesion & (scores >= settings.score))
        detected = float(len(best) > 0)
        best = best if detected else each[:1]
        columns = [boxes, labels[:, None], scores[:, None], torch.full_like(scores, detected)[:, None], shares]
        return torch.cat(columns, 1)[best]

    def _best(self, boxes: Tensor, labels: Tensor, scores: Tensor, found: Tensor) -> Tensor:
        """Indices of the detections, best first: of a class each once."""
        (places,) = torch.where(found)
        places = places[torch.sort(scores[places], descending=True, stable=True).indices]
        chosen = [places.new_zeros(0)]
        for label in torch.unique(labels[places]):
            (own,) = torch.where(labels[places] == label)
            chosen.append(own[kept(boxes[places[own]], self.settings.nms, self.settings.detections)])
        return places[torch.sort(torch.cat(chosen)).values[: self.settings.detections]]
