"""Batches of a stream on the device of the net; on a CUDA GPU the next one is copied while this one is computed on."""

from __future__ import annotations

from typing import Iterator

import torch
from torch import Tensor

from caffe_files.batches import BatchesAhead, BatchesHere


class Feed(Iterator[list[Tensor]]):
    """The parts (N, ...) of one batch after the other, on a device. On a CPU they are valid until the next call
    alone."""

    def __init__(self, batches: BatchesHere | BatchesAhead, device: torch.device) -> None:
        self._batches, self._device = batches, device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._next: tuple[list[Tensor], torch.cuda.Event] | None = None

    def __next__(self) -> list[Tensor]:
        if self._stream is None:
            return [torch.from_numpy(part) for part in self._batches.next_batch()]
        tensors, arrived = self._next or self._copied()
        current = torch.cuda.current_stream(self._device)
        current.wait_event(arrived)
        for tensor in tensors:
            tensor.record_stream(current)
        # where the workers are behind, to wait for them here would hold up what is to be computed on this batch
        self._next = self._copied() if self._batches.is_ready() else None
        return tensors

    def close(self) -> None:
        """Ends what reads ahead."""
        self._batches.close()

    def _copied(self) -> tuple[list[Tensor], torch.cuda.Event]:
        """Starts to copy the next batch. Its pinned memory is PyTorch's to keep until the copy is done."""
        pinned = [torch.from_numpy(array).pin_memory() for array in self._batches.next_batch()]
        with torch.cuda.stream(self._stream):
            tensors = [array.to(self._device, non_blocking=True) for array in pinned]
            arrived = torch.cuda.Event()
            arrived.record(self._stream)
        return tensors, arrived
