"""A stream of samples: who reads them, which ones, and of what form.

A data layer describes its stream by a Recipe and a Plan, both plain enough to be told to another process. What is drawn
at random for a visit is a function of the seed and of the visit's number alone, so that a stream that starts later, in
another process, with other workers or on other devices has the same numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from caffe_files.errors import InputError

PREFETCH = 4  # batches, as Caffe's own


class Reader(ABC):
    """Makes samples. It is built from plain settings (what JSON has), in this process and in every worker process."""

    @abstractmethod
    def sample(self, visit: int, seed: int) -> tuple[np.ndarray, ...]:
        """The parts of the sample that a visit shows, such as an image and its label. InputError names the record where
        they cannot be had."""

    @abstractmethod
    def use_one_core(self) -> None:
        """Called in a worker process: the workers are the parallelism."""

    @abstractmethod
    def close(self) -> None:
        """Closes what it reads from."""


@dataclass(frozen=True)
class Recipe:
    """How to make a reader: the name of its class as "module:Class", and its settings."""

    kind: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, kind: type[Reader], **settings: Any) -> Recipe:
        """That of a class which any process can import by its name."""
        return cls(f"{kind.__module__}:{kind.__qualname__}", settings)

    def make(self) -> Reader:
        """The reader. InputError where its source cannot be used."""
        module, _, name = self.kind.partition(":")
        return getattr(import_module(module), name)(**self.settings)


@dataclass(frozen=True)
class Part:
    """The form of one part of every sample: shape (None: as in the first sample of each batch) and dtype."""

    shape: tuple[int, ...] | None
    dtype: str


@dataclass(frozen=True)
class Plan:
    """Which samples a stream has. Batch k has the visits k N to k N + N - 1.

    With `world` devices side by side the device `rank` takes every world-th visit, as Caffe's solvers of several GPUs
    do: together they see what one device with world x N would. Parts of a sample beyond `parts` are left out.
    """

    batch_size: int
    parts: tuple[Part, ...]
    seed: int = 0
    first: int = 0  # the visit of place 0 of batch 0
    rank: int = 0
    world: int = 1
    prefetch: int = PREFETCH

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Plan:
        """From what `dataclasses.asdict` and JSON make of one."""
        parts = tuple(Part(tuple(part["shape"]), part["dtype"]) for part in plain["parts"])
        return cls(**{**plain, "parts": parts})

    def visit(self, batch: int, place: int) -> int:
        """The visit at a place of a batch."""
        return self.first + (batch * self.batch_size + place) * self.world + self.rank


def put(sample: tuple[np.ndarray, ...], batch: tuple[np.ndarray, ...], place: int) -> None:
    """Copies the parts of a sample to its place in a batch. InputError where one is of another form."""
    for part, others in zip(sample, batch):
        if part.shape != others.shape[1:] or part.dtype != others.dtype:
            form, wanted = f"{part.dtype} of shape {part.shape}", f"{others.dtype} of shape {others.shape[1:]}"
            raise InputError(
                f"a record is {form} where others are {wanted}; set a crop_size, and make all records alike"
            )
        others[place] = part
