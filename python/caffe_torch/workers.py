"""How many processes read data ahead, and for which layers."""

from __future__ import annotations

import os
from typing import Sequence

from caffe_torch.layers.layer import Layer


def share_workers(sources: Sequence[Layer], workers: int | None) -> None:
    """Divides `workers` among the layers of a net that can use them: those of images, not those of labels.

    None: as many as a layer's own param_str says, else `workers_here()`, for all layers together.
    """
    readers = [source for source in sources if getattr(source, "can_read_ahead", False)]
    for source in readers:
        own = getattr(source, "workers_wanted", None)
        total = workers_here() if workers is None else workers
        source.workers = own if workers is None and own is not None else -(-total // len(readers))


def workers_here() -> int:
    """One for each core that this process may use, save one for itself; cores are shared with the other processes of a
    training on this machine, as torchrun counts them."""
    return max(0, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1)
