"""Whether the engine can build a training's nets, and what the weights that it starts from fill.

Caffe ends the process where a layer's shape differs, and says nothing where a layer is left untrained.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common.memory import require_memory
from skinmtl.engines.engine import Engine
from skinmtl.nets.learning import is_frozen
from skinmtl.nets.weights import compare_weights
from skinmtl.training.inputs import TrainingInputs


@dataclass(frozen=True)
class FilledLayers:
    """Layer names: filled by weights, left at their initial values, and in the weights but not in the net."""

    filled: list[str]
    initial: list[str]
    unused: list[str]


def check_weights(
    inputs: TrainingInputs, weights: list[Path], engine: Engine, first_phase: Message | None = None
) -> FilledLayers:
    """Builds both nets, and holds each caffemodel against them, as Caffe would fill them. `first_phase` is the training
    net of the first phase, where there are phases.

    InputError where the engine cannot build a net, where a layer of that name has another shape (Caffe would abort), or
    where frozen statistics are left unset (every output would be NaN).
    """
    engine.library()  # before there are threads
    with ThreadPoolExecutor(2) as both:  # each may wait for a process of Caffe
        shapes, test_shapes = both.map(engine.shapes, (inputs.train_net, inputs.test_net))
    if test_shapes.params != shapes.params:
        raise InputError(f"{inputs.test_net}: other layers than in {inputs.train_net}; make both with make_prototxt.py")
    if engine.gpu is None:
        needed = shapes.bytes_of_training(inputs.batch_size)
        require_memory(f"{inputs.train_net}: a training in batches of {inputs.batch_size}", needed)
    filled: set[str] = set()
    unused: set[str] = set()
    for caffemodel in weights:
        report = compare_weights(shapes, caffemodel)
        if report.disagreeing:
            raise InputError(
                f"{caffemodel}: does not fit {inputs.train_net}: {report.disagreeing[0]}; rename that layer in the net "
                "to train it anew, or give other weights"
            )
        if not report.filled:
            raise InputError(f"{caffemodel}: no layer has a name of {inputs.train_net}; give weights of its trunk")
        filled.update(report.filled)
        unused.update(report.unused)
    for layer in read_net(inputs.train_net).layer if first_phase is None else first_phase.layer:
        if layer.type == "BatchNorm" and layer.batch_norm_param.use_global_stats and layer.name not in filled:
            otherwise = "make the net with --batch-norm batch"
            if first_phase is not None:
                otherwise += " and let the first phase train that layer"
            raise InputError(
                f"{inputs.train_net}: {layer.name} has frozen statistics and no weights set them, so that every output "
                f"would be NaN; give the pretrained --weights, or {otherwise}"
            )
        if first_phase is None and is_frozen(layer) and layer.name not in filled:
            raise InputError(
                f"{inputs.train_net}: {layer.name} does not learn (lr_mult 0) and no weights fill it, so that it would "
                "stay as it was drawn; give the pretrained --weights of this net, or make it with another --freeze-to"
            )
    names = list(shapes.params)
    return FilledLayers(
        filled=[name for name in names if name in filled],
        initial=[name for name in names if name not in filled],
        unused=sorted(unused),
    )


def check_gpu(inputs: TrainingInputs, engine: Engine) -> None:
    """InputError where the engine cannot build the training net on the GPU that is asked for."""
    if engine.gpu is not None:
        engine.shapes(inputs.train_net)
