"""What the user asks of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """What the user asks for. `weights` are (model, file), None for all models with a ResNet-50; `models` None: the
    preset's usual ones; `folds` a number, or a CSV; `only_folds` empty: all; `masks` where the manifest's masks are,
    None: where the images are; `validation_fold` what training watches, None: the preset's share of the images;
    `weights_licence` under which the weights may be used; `seeds` how often each model is trained; `variants` those
    that are trained, None: all of the preset's; `photographs` whether the report may show any."""

    manifest: Path
    images: Path
    out: Path
    preset: str
    folds: int | Path
    only_folds: tuple[int, ...]
    models: tuple[str, ...] | None
    weights: tuple[tuple[str | None, Path], ...]
    precision: str
    gpu: int | None
    seed: int
    group_column: str | None = None
    masks: Path | None = None
    validation_fold: int | None = None
    weights_licence: str | None = None
    seeds: int = 1
    variants: tuple[str, ...] | None = None
    photographs: bool = True
