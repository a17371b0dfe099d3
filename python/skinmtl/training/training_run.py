"""What train.py does: checks what it is given, opens the run folder, trains."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from caffe_files.errors import InputError
from skinmtl.common.busy import notes_on_busy_cores
from skinmtl.common.counting import first_of
from skinmtl.common.provenance import made_by, sha256
from skinmtl.engines.engine import Engine
from skinmtl.nets.net_record import NET_FILE
from skinmtl.nets.phases import default_phases
from skinmtl.nets.trunks import TRUNKS
from skinmtl.training import snapshots
from skinmtl.training.driver import Outcome, Training
from skinmtl.training.inputs import TrainingInputs, check_inputs
from skinmtl.training.phases import Phase, as_records, phase_net, phases_of, scaled, starts_of
from skinmtl.training.plateau import PlateauRule
from skinmtl.training.progress_bar import say
from skinmtl.training.rates import shape_of
from skinmtl.training.run_folder import RunFolder, engines_used, net_sha256
from skinmtl.training.schedule import Schedule
from skinmtl.training.solver import TrainingSolver
from skinmtl.training.solver_file import read_checked_solver
from skinmtl.training.starting_weights import check_gpu, check_weights
from skinmtl.training.stopping import deferred_stops
from skinmtl.training.telling import opening_lines
from skinmtl.training.trained_images import gathered, going_on, record_of, watched_and_trained, write_trained_on
from skinmtl.training.validation import check_watch
from skinmtl.training.weights_origin import origin_of

# where neither the flag nor the solver says: our choice
TEST_INTERVAL, DISPLAY, SEED = 1000, 20, 1


@dataclass(frozen=True)
class Request:
    """What the user asks for; None where the solver decides.

    plateau  None: the default rule, and with phases none, which have fixed rates
    watch    None: the loss of a mask net, the error of others
    weights_licence  under which the starting weights may be used, where the user says it
    schedule one of SCHEDULES; None: plateau, and with phases fixed unless there is a rule
    phases   they decide base_lr and max_iter, too; None: those of a mask net with published weights, for others none
    """

    solver: Path
    net: Path
    weights: list[Path]
    out: Path
    resume: bool
    set_aside: bool
    change_engine: bool
    engine: Engine
    workers: int | None
    max_iter: int | None
    base_lr: float | None
    seed: int | None
    test_interval: int | None
    snapshot_interval: int | None
    display: int | None
    keep_snapshots: int | None
    plateau: PlateauRule | None
    watch: str | None
    watch_test_fold: bool
    rate_change: str
    resume_data: str
    phases: tuple[Phase, ...] | None = ()
    schedule: str | None = None
    warm_up: int = 0
    weights_licence: str | None = None


def train(request: Request, arguments: dict[str, Any]) -> Outcome:
    """Trains, or goes on training, in the run folder `request.out`."""
    folder = RunFolder(request.out)
    folder.check_new(request.resume)
    solver = read_checked_solver(request.solver)
    inputs = check_inputs(request.net, request.watch_test_fold, request.engine)
    schedule = _schedule(request, solver, inputs)
    check_watch(schedule.watch, inputs.names, inputs.one_lesion)
    nets = [phase_net(inputs.train_net, schedule.phases, number) for number in range(len(schedule.phases))]
    prefix = snapshots.prefix_of(inputs.train_net, folder.snapshots)
    say(*inputs.notes)
    record = _record(request, solver, inputs, schedule, arguments)
    trained_on = gathered(inputs.train_data, inputs.test_data, request.weights)
    if request.engine.name == "torch":
        from skinmtl.training.torch_solver import check_trainable  # only here: PyTorch takes seconds to load

        check_trainable(request.solver, solver, inputs, request.engine)
    if request.set_aside and folder.args.exists():
        what = folder.difference(record, request.change_engine)
        if what:
            say(f"{request.out}: {what}; the run before is in {folder.set_aside()} now")
    if folder.args.exists():
        folder.check_same(record, request.change_engine)
        record["layers"] = folder.read_args()["layers"]
        check_gpu(inputs, request.engine)
    else:
        record["layers"] = asdict(check_weights(inputs, request.weights, request.engine, *nets[:1]))
    with folder.locked():
        folder.check_new(request.resume)  # again: another process may have been faster
        if folder.args.exists():
            folder.check_same(record, request.change_engine)
            ended = _finished(folder, schedule)
            if ended:
                return ended
            trained_on = going_on(folder, trained_on)
        if folder.final.exists():
            folder.final.unlink()
        snapshot = _last_snapshot(folder)
        before = folder.engines() if snapshot else []
        record["engines"] = engines_used(before, request.engine.record(), snapshot.iteration if snapshot else 0)
        if snapshot and "best" in folder.read_args():
            record["best"] = folder.read_args()["best"]
        record["trained_on"] = record_of(trained_on)
        folder.write_args(record)
        write_trained_on(folder, trained_on)
        images, first = inputs.batch_size * solver.iter_size, snapshot.iteration if snapshot else 0
        say(*opening_lines(request.out, _engine_words(request.engine), inputs, images, schedule, first))
        engine = _solver(request, solver, inputs, folder, prefix, schedule.max_iter)
        training = Training(engine, folder, inputs, schedule)
        if request.engine.gpu is None:
            say(*notes_on_busy_cores())
        if snapshot:
            training.go_on(snapshot)
        else:
            _tell_layers(record["layers"], request.weights)
            say(*watched_and_trained(trained_on))
            training.begin(request.weights)
        try:
            with deferred_stops() as stop:
                return training.run(stop)
        finally:
            engine.close()


def _solver(
    request: Request, solver: Message, inputs: TrainingInputs, folder: RunFolder, prefix: Path, max_iter: int
) -> TrainingSolver:
    """What trains, of the engine that is asked for: it alone is imported."""
    if request.engine.name == "caffe":
        from skinmtl.training.caffe_solver import CaffeSolver

        return CaffeSolver(solver, inputs, folder.solver, prefix, max_iter, request.engine.gpu)
    from skinmtl.training.torch_solver import TorchSolver

    return TorchSolver(solver, inputs, folder.solver, prefix, max_iter, request.engine, request.workers)


def _schedule(request: Request, solver: Message, inputs: TrainingInputs) -> Schedule:
    phases = _phases_of_net(request, inputs) if request.phases is None else request.phases
    max_iter = starts_of(phases)[-1] or request.max_iter or solver.max_iter
    if max_iter < 1:
        raise InputError(f"{request.solver}: has no max_iter; add one, or give --max-iter")
    test_interval = request.test_interval or solver.test_interval or TEST_INTERVAL
    base_lr = phases[0].base_lr if phases else solver.base_lr if request.base_lr is None else request.base_lr
    base_lr, lowest = (float(f"{rate:.6g}") for rate in (base_lr, min([base_lr, *(each.base_lr for each in phases)])))
    kind = request.schedule or ("fixed" if phases and request.plateau is None else "plateau")
    rule = (request.plateau or PlateauRule()) if kind == "plateau" else None
    rates = shape_of(kind, request.warm_up, solver, str(request.solver))
    if request.warm_up >= max_iter:
        raise InputError(f"--warm-up {request.warm_up}: not below the {max_iter} iterations; give fewer")
    seed = request.seed if request.seed is not None else solver.random_seed
    return Schedule(
        max_iter=max_iter,
        test_interval=test_interval,
        snapshot_interval=request.snapshot_interval or solver.snapshot or test_interval,
        display=request.display or solver.display or DISPLAY,
        base_lr=base_lr,
        seed=seed if seed >= 0 else SEED,
        plateau=rule and replace(rule, minimum=min(rule.minimum, lowest)),
        watch=request.watch or ("loss" if inputs.mask_net else "error"),
        keep_snapshots=request.keep_snapshots,
        rate_change=request.rate_change,
        resume_data=request.resume_data,
        phases=phases,
        rates=rates,
    )


def _phases_of_net(request: Request, inputs: TrainingInputs) -> tuple[Phase, ...]:
    """The phases of a net that nobody has given any: three of a mask net whose trunk has published weights, as long
    and as fast as is asked for in proportion; else none."""
    if inputs.mask_net is None or inputs.mask_net.trunk not in TRUNKS:
        return ()
    phases = phases_of(default_phases(inputs.mask_net.trunk))
    if len(phases) < 2:
        return ()
    base_lr = phases[0].base_lr if request.base_lr is None else request.base_lr
    return scaled(phases, base_lr, request.max_iter or starts_of(phases)[-1])


def _record(
    request: Request,
    solver: Message,
    inputs: TrainingInputs,
    schedule: Schedule,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    """args.json: what decides the run (settings, sha256 of what goes in), and what made it."""
    made = made_by(arguments)
    made["versions"][request.engine.name] = request.engine.version
    settings = asdict(schedule)
    plateau, phases = settings.pop("plateau") or {}, settings.pop("phases")
    for by_choice in ("rate_change", "resume_data", "rates"):
        settings.pop(by_choice)
    beside = inputs.train_net.parent
    files = {
        "solver": request.solver,
        "test.prototxt": inputs.test_net,
        "training dataset.json": inputs.train_data / "dataset.json",
        "validation dataset.json": inputs.test_data / "dataset.json",
        **{path.name: path for path in (beside / "deploy.prototxt", beside / NET_FILE) if path.is_file()},
        **{f"weights {number}": path for number, path in enumerate(request.weights)},
    }
    return {
        **made,
        "settings": {
            "engine": request.engine.name,
            "precision": request.engine.precision,
            **settings,
            **schedule.rates.record(schedule.max_iter),
            **{f"plateau_{name}": value for name, value in plateau.items()},
            "batch_size": inputs.batch_size,
            "iter_size": solver.iter_size,
            **({"phases": as_records(schedule.phases)} if phases else {}),
        },
        "data": {"training": str(inputs.train_data), "validation": str(inputs.test_data)},
        "weights": [one for path in request.weights for one in origin_of(path, request.weights_licence)],
        "sha256": {
            "train.prototxt": net_sha256(inputs.train_net),
            **{name: _sha256(path) for name, path in files.items()},
        },
    }


def _sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def _finished(folder: RunFolder, schedule: Schedule) -> Outcome | None:
    """How a finished run ended, unless it now has more iterations to do."""
    if not folder.final.exists():
        return None
    snapshot, _ = snapshots.last_whole(folder.snapshots)
    done = snapshot.iteration if snapshot else int(folder.read_args()["settings"]["max_iter"])
    if done >= schedule.max_iter or (snapshot and snapshot.record["plateau"]["ended"]):
        return Outcome(done, "finished before; there is nothing to do")
    if snapshot is None:
        raise InputError(f"{folder.snapshots}: no whole snapshot to go on from to {schedule.max_iter}; train anew")
    return None


def _last_snapshot(folder: RunFolder) -> snapshots.Snapshot | None:
    snapshot, broken = snapshots.last_whole(folder.snapshots)
    for path in broken:
        say(f"{path.with_suffix('')}: not whole, passed over")
    return snapshot


def _engine_words(engine: Engine) -> str:
    made = engine.record()
    precision = "" if engine.precision == "fp32" else f", {engine.precision}"
    return f"{made['engine']} on {'the CPU' if engine.gpu is None else f'GPU {engine.gpu}'}{precision}"


def _tell_layers(layers: dict[str, list[str]], weights: list[Path]) -> None:
    if not weights:
        say("weights: none are given, every layer starts from its initial values")
        return
    say(f"{len(layers['filled'])} layers filled from {', '.join(map(str, weights))}")
    if layers["initial"]:
        say(f"trained from their initial values: {first_of(layers['initial'])}")
    if layers["unused"]:
        say(f"in the weights, not in the net: {first_of(layers['unused'])}")
