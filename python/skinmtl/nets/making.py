"""Makes a net's files from what is asked for and what its data says: the work of make_prototxt.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Sequence, Union

from caffe_files.errors import InputError
from skinmtl.data.label_counts import lesion_counts, location_counts
from skinmtl.nets.alexnet import AlexNet
from skinmtl.nets.given_trunk import GivenTrunk
from skinmtl.nets.known_data import NOTHING_KNOWN, Known, known_of
from skinmtl.nets.label_names import KINDS
from skinmtl.nets.lesion_loss import LesionLoss
from skinmtl.nets.location_loss import LocationLoss
from skinmtl.nets.mask_data import anchors_told
from skinmtl.nets.mask_options import MASK_MODELS, MaskNetOptions
from skinmtl.nets.multi_task import MODELS, NetOptions
from skinmtl.nets.net_files import check_data, differing_files, net_files, test_batch_size, write_net_files
from skinmtl.nets.solver_template import filled_solver, phase_of, solver_file, test_iter_of

ALL_MODELS = {**MODELS, **MASK_MODELS}
Options = Union[NetOptions, MaskNetOptions]


@dataclass(frozen=True)
class Request:
    """What is to be made in the folder `out`, or with `check` to be held against what is there.

    settings  the fields of NetOptions or, where `with_masks`, of MaskNetOptions; None for lesions, locations or
              test_batch_size where the data says it
    command   the command that makes the same again, given the options with what the data said
    solvers   another net's, to be filled in for this one: one, or one for each phase
    """

    settings: dict[str, Any]
    with_masks: bool
    command: Callable[[Options], str]
    out: Path
    solvers: Sequence[Path] = ()
    check: bool = False


def make(request: Request) -> list[str]:
    """Writes or checks the files; returns what is to be said, a line each."""
    counted = request.settings["lesions"] is not None
    train_data, test_data = (Path(request.settings[name]) for name in ("train_data", "test_data"))
    # a check of what the flags say in full must not depend on the data that happens to be there
    known = NOTHING_KNOWN if request.check and counted else known_of(train_data, test_data)
    options = _options(request, known)
    command = request.command(options)
    test_iter = None if request.check and counted else check_data(options)
    made = net_files(options, command, known)
    for template in request.solvers:
        name = solver_file(template)
        if f"train{phase_of(template)}.prototxt" not in made:
            raise InputError(f"{template}: for one of the phases that {options.net_name} has not; give another solver")
        if name in made:
            raise InputError(f"{template}: would become {name}, as another --solver does; give one for each phase")
        if request.check and test_iter is None:
            test_iter = test_iter_of(request.out / name)
        if test_iter is None:
            raise InputError(f"{test_data}: not there to count the test_iter of --solver; build it first")
        made[name] = filled_solver(template, request.out, options, test_iter, command)
    if request.check:
        differing = differing_files(made, request.out)
        if differing:
            files = ", ".join(map(str, differing))
            raise InputError(f"{files}: not as generated; run this without --check, or remove what is not this net's")
        return [f"{request.out}: as generated"]
    fit = anchors_told(options) if isinstance(options, MaskNetOptions) else None
    write_net_files(made, request.out)
    lines = [f"{request.out}: {options.net_name}, {_outputs(options)}", *filter(None, [fit])]
    return [*lines, *_remarks(options, request, test_iter)]


def _options(request: Request, known: Known) -> Options:
    """The options, with what the data says where nothing was given."""
    settings = dict(request.settings)
    if settings["lesions"] is None:
        if known.names is None:
            folders = f"{settings['train_data']}, {settings['test_data']}"
            raise InputError(f"{folders}: not both there to count labels; give the counts")
        lesions, locations = (len(known.names[kind]) for kind in KINDS)
        # 0 where a mask net does not tell them
        settings.update(lesions=lesions, locations=locations if settings["locations"] is None else 0)
    options = (MaskNetOptions if request.with_masks else NetOptions)(**settings)
    if isinstance(options, NetOptions):
        options = replace(options, lesion_loss=_counted(options), location_loss=_counted_locations(options))
    if options.test_batch_size is None:
        largest = {"largest": options.batch_size} if request.with_masks else {}
        return replace(options, test_batch_size=test_batch_size(Path(options.test_data), **largest))
    return options


def _counted(options: NetOptions) -> LesionLoss:
    """The loss of the lesions, with the numbers of images that it weighs by."""
    loss, data = options.lesion_loss, Path(options.train_data)
    if loss.weighting == "none" or loss.counts is not None:
        return loss
    if not data.exists():
        raise InputError(f"{data}: not there to count the images with each lesion; give --class-counts")
    return replace(loss, counts=lesion_counts(data))


def _counted_locations(options: NetOptions) -> LocationLoss:
    """The same of the locations."""
    loss, data = options.location_loss, Path(options.train_data)
    if loss.weighting != "none" and options.locations < 2:
        raise InputError("--location-weights: of one location there is nothing to weigh; leave it out")
    if loss.weighting == "none" or loss.counts is not None:
        return loss
    if not data.exists():
        raise InputError(f"{data}: not there to count the images of each location; give --location-counts")
    return replace(loss, counts=location_counts(data))


def _outputs(options: Options) -> str:
    outputs = ", ".join(f"{count} {head}s" for head, count in options.outputs.items())
    if isinstance(options, NetOptions):
        return outputs
    heads = " and ".join(filter(None, [", ".join(options.heads[:-1]), options.heads[-1]]))
    classes = f" of {options.lesions} lesions" if "class" in options.heads else ""
    return f"{heads}{classes} at {options.side} x {options.side}" + (f", {outputs}" if outputs else "")


def _remarks(options: Options, request: Request, test_iter: int | None) -> list[str]:
    lines = []
    trunk = options.trunk_layers
    if isinstance(trunk, GivenTrunk):
        lines += trunk.fitted(options.crop).notes
        if tuple(options.subtracted) == trunk.mean:
            mean = " ".join(f"{value:g}" for value in trunk.mean)
            lines.append(
                f"mean (B, G, R): {mean}, as BVLC's nets have it; where the net's own page has another, --mean"
            )
    if isinstance(trunk, AlexNet) and options.trunk == "alexnet" and not trunk.fits_published(options.crop):
        lines.append(f"published weights do not fit fc6 at a crop of {options.crop}: only at 199 to 230")
    lines += [f"train it: caffe train -solver {request.out / solver_file(each)}" for each in request.solvers]
    if test_iter and not request.solvers:
        lines.append(f"set in the solver: test_iter: {test_iter}")
    return lines
