"""best.caffemodel: the weights of the test with the lowest watched error, as soon as there are any.

A test that is better than all before it is followed by a snapshot, whose record knows of it; then best.caffemodel is
replaced, then what args.json says of it. After a kill in between `settle` makes up for what is missing, so that a run
that goes on ends with the best weights of an undisturbed one.
"""

from __future__ import annotations

from typing import Any

from skinmtl.common.provenance import sha256
from skinmtl.training import snapshots
from skinmtl.training.run_folder import RunFolder


def keep(folder: RunFolder, watch: str, best: dict[str, Any], snapshot: snapshots.Snapshot) -> dict[str, Any]:
    """Makes the weights of `snapshot` best.caffemodel; returns `best`, error and iteration of its test, with their
    sha256."""
    best = {**best, "sha256": snapshot.record["files"][snapshots.MODEL]["sha256"]}
    folder.write_best(snapshot.model)
    folder.note_best({"watched": watch, **best})
    return best


def settle(folder: RunFolder, watch: str, best: dict[str, Any] | None) -> dict[str, Any] | None:
    """Makes best.caffemodel what the snapshot knows from which a run goes on; None where no such weights are left.

    The file may be of a later test, or of an earlier one.
    """
    if best is not None:
        if folder.best.exists() and sha256(folder.best) == best.get("sha256"):
            folder.note_best({"watched": watch, **best})
            return best
        snapshot = snapshots.whole_at(folder.snapshots, best["iteration"])
        if snapshot:
            return keep(folder, watch, best, snapshot)
    folder.remove_best()
    return None
