"""The command lines that the workflow will give its steps, from a configuration: parsed before anything is made.

A preset's words go to make_prototxt.py (`net`), train.py (`train`) and make_lmdb.py (`train_images`) as they stand.
What is wrong with them is found by the steps' own parsers, which the caller has: this library knows no command line.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

from caffe_files.errors import InputError
from skinmtl.experiment.configuration import Configuration
from skinmtl.experiment.presets import NO_WEIGHTS

FaultOf = Callable[[str, "list[str]"], str]  # a step and its words -> what is wrong with them, "" where nothing is
STEPS = {"train_images": "make_lmdb", "net": "make_prototxt", "train": "train"}
# what the workflow gives a step itself: said once more, it would be passed over, or would take the step elsewhere, as
# `--subset test` to the images that are to be tested on
OF_WORKFLOW = {
    "make_lmdb": {
        *("--manifest", "--images", "--masks", "--folds", "--fold", "--subset", "--validation", "--validation-fold"),
        *("--group-column", "--seed", "--workers", "--out", "--overwrite"),
    },
    "make_prototxt": {"--model", "--trunk-net", "--train-data", "--test-data", "--out", "--overwrite"},
    "train": {
        *("--solver", "--net", "--weights", "--phases", "--engine", "--precision", "--gpu", "--watch-test-fold"),
        *("--resume", "--set-aside", "--out", "--overwrite"),
    },
}
ABSENT = Path("none such")  # a parser asks for a path to write, and refuses one that is there


class StepLine(NamedTuple):
    """A step's words: those of the workflow, then those of the configuration, by the setting that has them."""

    step: str
    workflows: list[str]
    said: dict[str, str]


def check_flags(configuration: Configuration, fault_of: FaultOf) -> None:
    """InputError names the setting of the preset, the flag and what is wrong with it."""
    name = configuration.preset.name
    for line in step_lines(configuration):
        words = list(line.workflows)
        for setting, text in line.said.items():
            try:
                more = shlex.split(text)
            except ValueError as error:  # a quote that is not closed
                raise InputError(f"--preset {name}: {setting}: {text!r}: {error}; correct it") from None
            taken = [word for word in more if word.split("=")[0] in OF_WORKFLOW[line.step]]
            if taken:
                raise InputError(f"--preset {name}: {setting}: {taken[0]} is the workflow's own; leave it out")
            words += more
        fault = fault_of(line.step, words)
        if fault:
            raise InputError(f"--preset {name}: {_setting(line, fault)}: {fault}; correct it")


def step_lines(configuration: Configuration) -> Iterator[StepLine]:
    """The words of each step whose words the preset has a part in, each model and variant apart."""
    values = configuration.values
    models, variants = values["models"], values.get("variants", {})
    base = values.get("base")
    masked = any("model" in settings for settings in models.values())
    yield _train_images(values, {}, masked)
    nets = [((f"models.{name}",), name, settings) for name, settings in models.items()]
    for name, said in variants.items():
        nets.append(((f"models.{base}", f"variants.{name}"), base, said))
        if said.get("train_images"):
            yield _train_images(values, {f"variants.{name}.train_images": said["train_images"]}, masked)
    for places, model, said in nets:
        settings = {**models[model], **said}
        own = (models[model], said)[-len(places) :]
        for kind in ("net", "train"):
            words = _of_net(settings, model) if kind == "net" else _of_train(settings, values)
            parts = {kind: values.get(kind, "")}
            parts.update((f"{place}.{kind}", part.get(kind, "")) for place, part in zip(places, own))
            yield StepLine(STEPS[kind], words, parts)


def _train_images(values: dict[str, Any], more: dict[str, str], masked: bool) -> StepLine:
    words = ["--manifest", values["manifest"], "--images", values["images"], "--out", str(ABSENT)]
    words += ["--folds", str(ABSENT / "folds.csv"), "--fold", "0", "--subset", "train"]
    if masked and values.get("masks"):
        words += ["--masks", values["masks"]]
    usual = "--jitter 256 480 --copies 10"  # of the workflow, where nothing is said
    return StepLine(STEPS["train_images"], words, {"train_images": values.get("train_images", usual), **more})


def _of_net(settings: dict[str, str], model: str) -> list[str]:
    words = ["--model", settings.get("model", model), "--train-data", str(ABSENT / "train")]
    words += ["--test-data", str(ABSENT / "test"), "--out", str(ABSENT / "net")]
    return words + (["--trunk-net", settings["trunk_net"]] if "trunk_net" in settings else [])


def _of_train(settings: dict[str, str], values: dict[str, Any]) -> list[str]:
    words = ["--solver", settings["solver"], "--net", str(ABSENT / "net"), "--out", str(ABSENT / "run")]
    if settings.get("weights", NO_WEIGHTS) != NO_WEIGHTS:
        words += ["--weights", settings["weights"]]
    if "phases" in settings:
        words += ["--phases", settings["phases"]]
    if values["engine"] == "torch":
        words += ["--engine", "torch", "--precision", values["precision"]]
    return words


def _setting(line: StepLine, fault: str) -> str:
    """The setting that has a flag which the fault names, the last one first; else the last one that says anything."""
    there = [(setting, text) for setting, text in reversed(list(line.said.items())) if text.strip()]
    for flag in re.findall(r"--[a-z][a-z0-9-]*", fault):
        for setting, text in there:
            if re.search(rf"(?<!\S){re.escape(flag)}(?![\w-])", text):
                return setting
    return there[0][0] if there else next(iter(line.said))
