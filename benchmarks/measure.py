"""Interleaved timing, peak memory of a process of its own, and the files that keep the results."""

import ctypes
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers

RESULTS = Path(__file__).parent / "results"


ALLOCATORS = {
    "default": {},
    "keeps memory": {
        "MALLOC_MMAP_THRESHOLD_": "4000000000",
        "MALLOC_TRIM_THRESHOLD_": "4000000000",
    },
    "returns memory": {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"},
}
"""What glibc does with freed blocks: its own choice; use them again, as allocators of long-running
programs do; give them back at once, so that resident memory is what tensors really take."""


def environment(allocator: str) -> dict[str, str]:
    """The environment of a process that uses memory in one of these ways."""
    return {**os.environ, **ALLOCATORS[allocator]}


def seconds(variants: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Wall times of each variant, run in turn: A B C A B C ..., after one unmeasured round."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for round_number in range(repeats + 1):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            if round_number:
                times[name].append(time.perf_counter() - start)
    return times


def ratio(times: Mapping[str, list[float]], ours: str, theirs: str) -> float:
    """Median of the ratios within each round: what drifts with the machine cancels out."""
    return statistics.median(a / b for a, b in zip(times[ours], times[theirs], strict=True))


def median(times: list[float]) -> float:
    """Median time."""
    return statistics.median(times)


def peak_megabytes(module: str, variant: str) -> float:
    """Peak memory that one pass of a variant needs above what the process held before it.

    The variant runs in a process of its own: `python -m MODULE --variant NAME` prints the figure.
    """
    command = [sys.executable, "-m", module, "--variant", variant]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment("returns memory")
    )
    return float(done.stdout.split()[-1])


def peak_of(run: Callable[[], object]) -> float:
    """Peak resident megabytes of a call above the level before it (Linux)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to the present level
    before = _status("VmRSS")
    kept = run()
    peak = _status("VmHWM")
    del kept
    return (peak - before) / 1024


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def report(name: str, rows: list[dict[str, Any]], device: str = "cpu") -> None:
    """Print a benchmark's rows and write them to results/NAME.json with date and machine."""
    result = {"name": name, "machine": machine(device), "rows": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    for row in rows:
        print(name, *(f"{key}={value}" for key, value in row.items()), sep="  ", flush=True)


def machine(device: str = "cpu") -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor() if device == "cpu" else torch.cuda.get_device_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
