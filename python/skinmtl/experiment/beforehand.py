"""What is looked at before an experiment writes anything: its settings, its folder, its weights, and its GPU."""

from __future__ import annotations

import difflib
import subprocess
import sys
from pathlib import Path

import skinmtl
from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.experiment.child import LOCK
from skinmtl.experiment.configuration import CONFIG, Configuration
from skinmtl.experiment.places import WORKFLOW
from skinmtl.experiment.presets import NO_WEIGHTS
from skinmtl.experiment.step_flags import FaultOf, check_flags

# builds the smallest net there, by the Python that has the engine; what is wrong is the last line of standard error
PROBE = """
import sys
import tempfile
from pathlib import Path

sys.path[0] = {library!r}
from caffe_files.errors import InputError
from skinmtl.engines.engine import Engine

net = 'name: "probe" layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 1 }} }} }}'
with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
    file.write(net)
    file.flush()
    try:
        Engine({engine!r}, {gpu!r}, {precision!r}).shapes(Path(file.name))
    except InputError as error:
        sys.exit(str(error).replace(file.name + ": ", ""))
"""


def check_beforehand(configuration: Configuration, python: Path, fault_of: FaultOf) -> None:
    """InputError where a setting is none of the workflow's, a step does not take its words, the folder is for something
    else, weights are none, or the engine in `python` has no such GPU.

    `fault_of` says what is wrong with the words of a step, see `step_flags`. Otherwise Snakemake would find it in words
    of its own, or the step itself, when all LMDBs are built.
    """
    _check_settings(configuration)
    check_flags(configuration, fault_of)
    _check_folder(configuration)
    for file in sorted({settings["weights"] for settings in _models(configuration) if _has(settings, "weights")}):
        read_caffemodel(Path(file))
    if configuration.values["gpu"] is not None:
        _check_gpu(configuration, python)


def _models(configuration: Configuration) -> list[dict[str, str]]:
    """Their settings, and those of the variants, which say what differs."""
    return [*configuration.values["models"].values(), *configuration.values.get("variants", {}).values()]


def _has(settings: dict[str, str], name: str) -> bool:
    """Whether a file of that name is given."""
    return settings.get(name, NO_WEIGHTS) != NO_WEIGHTS


def _check_settings(configuration: Configuration) -> None:
    """Everything but what a preset says has been checked by now."""
    import yaml  # only here: both come with Snakemake
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    schema = yaml.safe_load((WORKFLOW / "config.schema.yaml").read_text(encoding="utf-8"))
    error = best_match(Draft202012Validator(schema).iter_errors(configuration.values))
    if error is None:
        return
    where = ".".join(map(str, error.absolute_path))
    wrong = f"{where}: {error.message}" if where else error.message
    if error.validator == "additionalProperties":
        name = min(str(name) for name in set(error.instance) - set(error.schema["properties"]))
        near = difflib.get_close_matches(name, error.schema["properties"], 1)
        wrong = f"{where}{'.' if where else ''}{name} is no setting" + (f" ({near[0]!r} is near)" if near else "")
    raise InputError(f"--preset {configuration.preset.name}: {wrong}; correct it")


def _check_folder(configuration: Configuration) -> None:
    """A folder that is there is an experiment's, or holds nothing but what is given: hidden files do not count."""
    out = configuration.out
    if not out.is_dir() or (out / LOCK).exists() or _is_ours(out / CONFIG):
        return
    given = {path.relative_to(out).parts[0] for path in _given(configuration) if out in path.parents}
    others = sorted(path.name for path in out.iterdir() if not path.name.startswith(".") and path.name not in given)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise InputError(
            f"{configuration.shown_out}: holds {others[0]}{more}, which is not from an experiment; name a new folder, "
            "or that of an experiment"
        )


def _is_ours(config: Path) -> bool:
    try:
        return "\nmade_by:" in config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _given(configuration: Configuration) -> list[Path]:
    """The files and folders that the user names."""
    values = configuration.values
    manifest = Path(values["manifest"])
    beside = [manifest.with_name(name) for name in ("lesions.txt", "locations.txt")]
    paths = [manifest, *beside, Path(values["images"])]
    if not isinstance(values["folds"], int):
        paths.append(Path(values["folds"]))
    for name in ("weights", "trunk_net"):
        paths += [Path(settings[name]) for settings in _models(configuration) if _has(settings, name)]
    return [*paths, Path(configuration.preset.name).resolve()]


def _check_gpu(configuration: Configuration, python: Path) -> None:
    library = str(Path(skinmtl.__file__).resolve().parents[1])
    values = {name: configuration.values[name] for name in ("engine", "gpu", "precision")}
    program = PROBE.format(library=library, **values)
    own = python / "python3"
    command = [str(own) if own.exists() else sys.executable, "-c", program]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise InputError((done.stderr.strip() or f"status {done.returncode}").splitlines()[-1])
