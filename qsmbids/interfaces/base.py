"""What all steps share: a version that belongs to the cache, images, time and memory."""

from __future__ import annotations

import ctypes
import json
import socket
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from qsmbids.interfaces.io_errors import in_words
from qsmbids.qsm import fft
from qsmbids.qsm.grid import Grid

LEAST_NOISE = 1e-6  # of a map; no voxel is known better than that


class StepInputSpec(BaseInterfaceInputSpec):
    """Inputs that every step has."""

    code_version = traits.Str(
        mandatory=True, desc='version of the algorithm: another one is never served from cache'
    )
    threads = traits.Int(1, usedefault=True, nohash=True, desc='threads of the transforms')


class StepOutputSpec(TraitedSpec):
    """Outputs that every step has."""

    record = File(desc='JSON: seconds, peak memory, sizes of the outputs, and findings')


class Step(SimpleInterface):
    """A reconstruction step: ``compute`` loads, calls one function and saves.

    Subclasses give ``title`` (the words a person sees) and ``compute(folder)``, which
    returns the outputs by name and, under ``'record'``, a dict of findings.
    """

    title = ''
    input_spec = StepInputSpec
    output_spec = StepOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Do the step; outputs go into ``folder``."""
        raise AssertionError('a step defines compute')

    def _run_interface(self, runtime):
        with in_words(self.inputs.get(), Path(runtime.cwd)):
            return self._measured(runtime)

    def _measured(self, runtime):
        folder = Path(runtime.cwd)
        fft.set_workers(self.inputs.threads)
        reset_peak_memory()
        before = peak_memory_gb()
        start, cpu = time.perf_counter(), time.process_time()
        outputs = self.compute(folder)
        record = {
            'name': self.title,
            'host': socket.gethostname(),
            'seconds': round(time.perf_counter() - start, 2),
            'cpu_seconds': round(time.process_time() - cpu, 2),
            'start_gb': before,
            'peak_gb': peak_memory_gb(),
            **outputs.pop('record', {}),
        }
        record['files'] = record.pop('written', {}) | {
            str(path): Path(path).stat().st_size
            for path in outputs.values()
            if isinstance(path, str) and Path(path).is_file()
        }
        path = folder / 'record.json'
        path.write_text(json.dumps(record, default=float), encoding='utf-8')
        self._results = {**outputs, 'record': str(path)}
        return_memory()
        return runtime


def load(path: str) -> np.ndarray:
    """Return an image as float32 in C order."""
    return np.ascontiguousarray(np.asanyarray(nib.load(path).dataobj), dtype=np.float32)


def load_mask(path: str) -> np.ndarray:
    """Return an image as a boolean array."""
    return np.ascontiguousarray(np.asanyarray(nib.load(path).dataobj) > 0)


def load_echoes(path: str) -> np.ndarray:
    """Return a 4-D image as float32 with the echo as the first axis."""
    data = np.asanyarray(nib.load(path).dataobj)
    if data.ndim == 3:
        data = data[..., np.newaxis]
    return np.ascontiguousarray(np.moveaxis(data, -1, 0), dtype=np.float32)


def inverse_noise(path: str, mask: np.ndarray) -> np.ndarray:
    """Return the confidence of each voxel: one over the noise of an image file, 0 outside."""
    noise = np.maximum(load(path), LEAST_NOISE)
    return np.where(mask, 1 / noise, 0).astype(np.float32)


def grid_of(path: str, b0_direction: list[float]) -> Grid:
    """Return the grid of an image file."""
    image = nib.load(path)
    return Grid.from_affine(image.shape, image.affine, tuple(b0_direction))


def save(data: np.ndarray, affine: np.ndarray, path: Path) -> str:
    """Save an array, both affine codes saying scanner; return the path as text.

    Nipype, ANTs and nibabel read the same place from the header only when both forms agree.
    """
    if data.dtype == bool:
        data = data.astype(np.uint8)
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units('mm', 'sec')
    nib.save(image, path)
    return str(path)


def return_memory() -> None:
    """Give freed memory back to the system: a worker that waits should hold little."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # not glibc
        return


def reset_peak_memory() -> None:
    """Start a new measurement of this process' peak memory, where the system allows it."""
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:  # not Linux, or not permitted: the peak is then that of the process
        return


def peak_memory_gb() -> float | None:
    """Return the highest resident memory since the last reset, in GB (10^9 bytes)."""
    try:
        status = Path('/proc/self/status').read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith('VmHWM:'):
            return round(int(line.split()[1]) * 1024 / 1e9, 3)
    return None
