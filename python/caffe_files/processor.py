"""Whether this machine's processor multiplies bfloat16: where it does not, bf16 is slower than fp32, not faster."""

from __future__ import annotations

from pathlib import Path

# as Linux names them: of Intel's and AMD's processors, and of Arm's
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
# ten times has been seen; how much depends on the net
SLOW_BF16 = (
    "this processor does not multiply bfloat16, so that bf16 is slower than fp32 here, up to ten times; leave it out"
)


def bf16_warning(precision: str, on_gpu: bool, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What is to be said of a precision on this machine's processor before hours are spent on it; "" where nothing is.

    Where the processor does not say what it has, nothing is said of it either.
    """
    if precision != "bf16" or on_gpu:
        return ""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    words = {word for line in lines if line.lower().startswith(("flags", "features")) for word in line.split()}
    return "" if not words or words & BFLOAT16 else SLOW_BF16
