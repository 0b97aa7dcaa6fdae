"""Where models run, in which number format, and on how many threads."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def best_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware computes in it (CUDA; CPUs with AVX512-BF16 or AMX), else float32."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    able = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.bfloat16 if able else torch.float32


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Compute on `count` CPU threads inside the block; 0 leaves the number as it is."""
    import torch

    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def cpu_workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of `count` workers (0: as many as torch has threads) that compute on one CPU thread each.

    Several small computations side by side, each on one thread, are done sooner than one after the other on all
    threads: the matrices of a small model are too small to be split.
    """
    import torch

    workers = count or torch.get_num_threads()
    with cpu_threads(1), ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield pool


def release_memory() -> None:
    """Give memory that was freed back to the system, where the C library would keep it (glibc).

    Threads that work on tensors of ever other sizes leave each allocator arena full of holes: a training run held
    more than twice what it used.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
