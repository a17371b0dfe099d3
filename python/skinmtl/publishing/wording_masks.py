"""What a model draws of an image, in words, and as JSON."""

from __future__ import annotations

import json
from typing import Any

from skinmtl.publishing.predicting_masks import MaskPrediction
from skinmtl.publishing.wording import head_lines, head_record, short


def mask_text(
    prediction: MaskPrediction, class_names: list[str], labels: dict[str, list[str]], threshold: float
) -> str:
    """The image's name, and below it the class's shares, the likeliest first, the box and the mask, a line each; and
    what the heads beside them say, as `wording.as_text` has it."""
    answer = prediction.answer
    assert answer is not None
    height, width = prediction.size
    lines = [prediction.item.name]
    order = sorted(range(len(class_names)), key=lambda k: -answer.shares[k])
    lines += [
        f"  {'class' if number == 0 else '':10}{answer.shares[k]:.3f}  {class_names[k]}"
        for number, k in enumerate(order)
    ]
    x1, y1, x2, y2 = (round(float(edge)) for edge in answer.box)
    lines.append(f"  {'box':10}{answer.score:.3f}  x {x1} to {x2}, y {y1} to {y2} of {width} x {height} pixels")
    if not answer.detected:
        lines.append(f"  {'':10}no lesion was detected: this is the likeliest place")
    if answer.mask is not None:
        lines.append(f"  {'mask':10}{100 * answer.mask.mean():.1f} % of the picture")
    lines += [f"  {'':10}{kind}: {path}" for kind, path in prediction.files.items()]
    return "\n".join(lines + head_lines(prediction.probabilities, labels, threshold, {}))


def mask_json(
    prediction: MaskPrediction,
    class_names: list[str],
    labels: dict[str, list[str]],
    threshold: float,
    made: dict[str, Any],
) -> str:
    """One line of JSON Lines, in ASCII.

    `image`; `width` and `height`; `detected`; `score` of the box; `box` x1, y1, x2, y2 in pixels of the image, x2 and
    y2 exclusive; with a class head `class` and `shares` of all classes; with a mask head `mask_share` of the picture;
    `mask` and `overlay` with the files, where they were drawn; and of heads beside the regions what `wording.as_json`
    has. An image that cannot be used has `image`, `error` and `model` alone.
    """
    record: dict[str, Any] = {"image": prediction.item.name}
    answer = prediction.answer
    if prediction.problem or answer is None:
        return json.dumps({**record, "error": prediction.problem, "model": made})
    height, width = prediction.size
    record.update(width=width, height=height, detected=answer.detected, score=short(answer.score))
    record["box"] = [short(float(edge)) for edge in answer.box]
    if class_names:
        record["class"] = class_names[answer.label]
        record["shares"] = {name: short(float(share)) for name, share in zip(class_names, answer.shares)}
    if answer.mask is not None:
        record["mask_share"] = short(float(answer.mask.mean()))
    record.update(head_record(prediction.probabilities, labels, threshold))
    if prediction.told:
        record["told"] = list(prediction.told)
    record.update({kind: str(path) for kind, path in prediction.files.items()})
    return json.dumps({**record, "model": made})
