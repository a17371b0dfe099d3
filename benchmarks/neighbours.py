#!/usr/bin/env python3
"""Five nearest neighbours: skinmtl.explanation against scikit-learn's brute force, and faiss-cpu where it is installed.

All in this process, in turn, on the same arrays: as many as one fold of the paper's data has. Exits 1 where ours is
slower than scikit-learn (medians) or finds another neighbour that is no tie.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed  # first: it says in a line what this Python lacks

# isort: split
import numpy as np
from machine import described

Found = Tuple[np.ndarray, np.ndarray]  # indices and distances, (M, k) each
HIDDEN = 32  # dimensions in which the features really differ
TIE = 1e-6  # relative difference of two distances


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--features", type=positive, default=17326, metavar="N", help="default %(default)s")
    parser.add_argument("--queries", type=positive, default=4331, metavar="M", help="default %(default)s")
    parser.add_argument("--size", type=positive, default=2048, metavar="D", help="default %(default)s")
    parser.add_argument("--k", type=positive, default=5, help="default %(default)s")
    parser.add_argument("--repeats", type=positive, default=3, help="of each, in turn (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=1, help="of the features (default %(default)s)")
    return parser.parse_args()


def draw(args: argparse.Namespace) -> Tuple[np.ndarray, np.ndarray]:
    """Features as a ReLU and an average leave them: not negative, and close to fewer dimensions than they have."""
    random = np.random.RandomState(args.seed)
    basis = random.gamma(1, 1, (HIDDEN, args.size)).astype(np.float32)
    hidden = random.gamma(0.3, 0.1, (args.features + args.queries, HIDDEN)).astype(np.float32)
    rows = hidden @ basis
    for start in range(0, len(rows), 1024):
        part = rows[start : start + 1024]
        part += 0.05 * random.standard_normal(part.shape).astype(np.float32)
    np.maximum(rows, 0, out=rows)
    return rows[: args.features].copy(), rows[args.features :].copy()


def methods(k: int) -> Dict[str, Callable[[np.ndarray, np.ndarray], Found]]:
    from skinmtl.explanation.neighbours import nearest

    def ours(features: np.ndarray, queries: np.ndarray) -> Found:
        return nearest(features, queries, k)

    def brute(features: np.ndarray, queries: np.ndarray) -> Found:
        found = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(features)
        return found.kneighbors(queries)[::-1]

    def flat(features: np.ndarray, queries: np.ndarray) -> Found:
        index = faiss.IndexFlatL2(features.shape[1])
        index.add(features)
        squared, indices = index.search(queries, k)
        return indices, np.sqrt(squared)

    import sklearn
    from sklearn.neighbors import NearestNeighbors

    known = {"skinmtl nearest": ours, f"scikit-learn {sklearn.__version__} brute": brute}
    try:
        faiss = importlib.import_module("faiss")
        known[f"faiss-cpu {faiss.__version__} IndexFlatL2"] = flat
    except ImportError:
        print("faiss-cpu is not installed: left out")
    return known


def memory(field: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def forget_peak() -> bool:
    """Makes VmHWM start from what is there now; False where this system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return memory("VmHWM") - memory("VmRSS") < 1 << 22


def other_neighbours(found: Found, reference: Found) -> Tuple[int, int]:
    """How many places have another neighbour, and how many of these are no tie by the reference's distances."""
    other = found[0] != reference[0]
    far = ~np.isclose(found[1], reference[1], rtol=TIE, atol=0)
    return int(other.sum()), int((other & far).sum())


def main() -> Optional[int]:
    args = parse_args()
    features, queries = draw(args)
    print(described())
    print(f"{args.k} nearest of {args.queries} queries in {args.features} x {args.size} float32")
    known = methods(args.k)
    seconds = {name: [] for name in known}
    peaks, results = dict.fromkeys(known, 0), {}
    peaks_known = True
    for _ in range(args.repeats):
        for name, method in known.items():
            peaks_known &= forget_peak()
            before, start = memory("VmRSS"), time.perf_counter()
            results[name] = method(features, queries)
            seconds[name].append(time.perf_counter() - start)
            peaks[name] = max(peaks[name], memory("VmHWM") - before)
    ours, peer = list(known)[:2]
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    worst = 0
    for name in known:
        other, no_tie = other_neighbours(results[name], results[ours])
        peak = f"{peaks[name] / 1e6:6.0f} MB beside the arrays" if peaks_known else "peak unknown"
        print(
            f"{name:32} median {medians[name]:6.2f} s ({min(seconds[name]):.2f} to {max(seconds[name]):.2f}), {peak}, "
            f"{other} other neighbours, {no_tie} of them no tie"
        )
        worst = max(worst, no_tie if name == peer else 0)
    print(f"{ours} takes {medians[ours] / medians[peer]:.2f} of the time of {peer}")
    return 1 if worst or medians[ours] > medians[peer] else None


if __name__ == "__main__":
    run(main)
