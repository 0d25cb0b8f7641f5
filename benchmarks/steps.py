"""Time and peak memory of each default step of the reconstruction, alone.

    python benchmarks/steps.py                           # both sizes
    python benchmarks/steps.py --shape 192 224 192 --threads 2 --step rts vsharp

Every step runs in a fresh process on the same synthetic head: an ellipsoid brain with
deep-grey nuclei in a head with a skull, air outside and in a sinus, four echoes at 3 T, with
a phase offset and noise. Time is that of the call alone, without imports and loading. Peak
memory is the growth of the peak resident size during the call, so it counts neither the
interpreter nor the inputs, but does count the outputs. The last column divides it by the
number of voxels of the matrix; most methods work in the box around the brain only, so a
wider field of view costs less than that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qsmbids.qsm import fft
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.kernels import dipole_kernel

SHAPES = [(96, 112, 96), (192, 224, 192)]
FIELD_OF_VIEW_MM = (192.0, 224.0, 192.0)
B0_DIRECTION = (0.0, 0.17, 0.98)  # a slab tilted by ten degrees
ECHO_TIMES_S = (0.005, 0.011, 0.017, 0.023)
HZ_PER_PPM = 127.73  # 3 T
NOISE = 1 / 60  # of the real and imaginary part, relative to the first echo of the brain
AIR_PPM = 9.2  # above tissue
# centre (mm), semi-axes (mm), susceptibility (ppm) and R2* (1/s) of structures of one side
NUCLEI = [
    ((12, 20, 12), (6, 16, 10), 0.045, 24.0),  # caudate
    ((24, 8, 5), (7, 15, 9), 0.040, 24.0),  # putamen
    ((17, 4, 3), (4, 9, 6), 0.130, 38.0),  # globus pallidus
    ((5, -18, -12), (3.5, 3.5, 4), 0.100, 33.0),  # red nucleus
    ((10, -14, -14), (3, 6, 3), 0.110, 36.0),  # substantia nigra
    ((12, -16, 8), (9, 14, 9), 0.020, 20.0),  # thalamus
    ((15, -50, -30), (6, 7, 4), 0.150, 40.0),  # dentate nucleus
]

Call = Callable[[dict[str, np.ndarray], Grid], object]


def make_head(shape: tuple[int, int, int], folder: Path) -> None:
    """Simulate the head and write one .npy file per array."""
    voxel = tuple(f / n for f, n in zip(FIELD_OF_VIEW_MM, shape, strict=True))
    grid = Grid(shape, voxel, B0_DIRECTION)
    axes = [(np.arange(n) - (n - 1) / 2) * h for n, h in zip(shape, voxel, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing='ij', sparse=True)
    rng = np.random.default_rng(1)

    def ellipsoid(centre: tuple, semi_axes: tuple) -> np.ndarray:
        terms = ((v - c) / a for v, c, a in zip((x, y, z), centre, semi_axes, strict=True))
        return sum(t**2 for t in terms) < 1

    brain = ellipsoid((0, 0, 6), (66, 82, 60))
    skull = ellipsoid((0, 0, 6), (74, 90, 68)) & ~ellipsoid((0, 0, 6), (69, 85, 63))
    head = ellipsoid((0, 0, 0), (82, 98, 88))
    sinus = ellipsoid((0, 72, -50), (14, 10, 12)) & ~brain
    local_chi = np.where(brain, 0.01 * rng.standard_normal(shape), 0).astype(np.float32)
    r2star = np.where(brain, 18.0, 35.0).astype(np.float32)
    for (cx, cy, cz), semi_axes, chi, rate in NUCLEI:
        for side in (-1, 1):
            inside = ellipsoid((side * cx, cy, cz), semi_axes)
            local_chi[inside], r2star[inside] = chi, rate
    # air is the zero of the simulation, so that the padding is air as well
    outside_chi = np.where(head & ~sinus, -AIR_PPM, 0).astype(np.float32)
    outside_chi -= 2 * (skull & ~sinus)
    local_field = _field(local_chi, grid)
    total_field = local_field + _field(outside_chi, grid)
    total_field -= np.median(total_field[brain])

    tissue = np.where(brain, 1.0, 0.7) * (head & ~sinus) * np.where(skull, 0.15, 1.0)
    offset = (0.8 * x / 50 - 0.5 * y / 60 + 0.6 * z / 70 + 0.4).astype(np.float32)
    n_echo = len(ECHO_TIMES_S)
    arrays = {name: np.empty((n_echo, *shape), np.float32) for name in ('magnitude', 'phase')}
    arrays['unwrapped'] = np.empty((n_echo, *shape), np.float32)
    for e, te in enumerate(ECHO_TIMES_S):
        clean = 2 * np.pi * HZ_PER_PPM * te * total_field
        signal = tissue * np.exp(-te * r2star + 1j * (clean + offset))
        signal += NOISE * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
        arrays['magnitude'][e], arrays['phase'][e] = np.abs(signal), np.angle(signal)
        arrays['unwrapped'][e] = clean + np.angle(signal * np.exp(-1j * (clean + offset)))
    arrays['first_magnitude'] = arrays['magnitude'][0]
    arrays['mask'] = brain
    arrays['total_field'] = total_field
    sd = NOISE / (2 * np.pi * HZ_PER_PPM * max(ECHO_TIMES_S))
    arrays['local_field'] = local_field + np.float32(sd) * rng.standard_normal(shape, np.float32)
    for name, array in arrays.items():
        np.save(folder / f'{name}.npy', array)
    (folder / 'grid.json').write_text(json.dumps([shape, voxel, B0_DIRECTION]))


def _field(chi: np.ndarray, grid: Grid) -> np.ndarray:
    padded = fft.PaddedFFT(grid.shape, grid.voxel_size)
    kernel = dipole_kernel(padded.padded_shape, grid.voxel_size, grid.b0_direction)
    return padded.inverse(padded.forward(chi) * kernel)


def steps() -> dict[str, tuple[str, tuple[str, ...], Call]]:
    """Return label, inputs and call of each step, in the order of the pipeline."""
    from qsmbids import qsm
    from qsmbids.qsm import romeo_kernels, rts_kernels  # noqa: F401 (compiled before the clock)

    te = ECHO_TIMES_S
    echoes = ('phase', 'magnitude', 'mask')
    return {
        'offset': ('phase offset removal, MCPC-3D-S', echoes, lambda a, g: qsm.remove_phase_offset(
            a['phase'], a['magnitude'], te, a['mask'], g)),
        'romeo': ('unwrapping, ROMEO', echoes, lambda a, g: qsm.unwrap_romeo(
            a['phase'], a['magnitude'], te, a['mask'], g)),
        'combine': ('echo combination', ('unwrapped', 'magnitude', 'mask'),
            lambda a, g: qsm.combine_echoes(a['unwrapped'], a['magnitude'], te, a['mask'])),
        'bet': ('brain mask', ('first_magnitude',),
            lambda a, g: qsm.extract_brain(a['first_magnitude'], g)),
        'vsharp': ('background, V-SHARP', ('total_field', 'mask'),
            lambda a, g: qsm.remove_background_vsharp(a['total_field'], a['mask'], g)),
        'resharp': ('background, RESHARP', ('total_field', 'mask'),
            lambda a, g: qsm.remove_background_resharp(a['total_field'], a['mask'], g)),
        'tkd': ('inversion, TKD', ('local_field', 'mask'),
            lambda a, g: qsm.invert_tkd(a['local_field'], a['mask'], g)),
        'rts': ('inversion, RTS', ('local_field', 'mask'),
            lambda a, g: qsm.invert_rts(a['local_field'], a['mask'], g)),
        'tv': ('inversion, TV', ('local_field', 'mask'),
            lambda a, g: qsm.invert_tv(a['local_field'], a['mask'], g)),
        'r2star': ('R2*, ARLO', ('magnitude', 'mask'),
            lambda a, g: qsm.fit_r2star(a['magnitude'], te, a['mask'])),
    }  # fmt: skip


def run_step(name: str, folder: Path, threads: int) -> dict[str, float]:
    """Run one step in this process; return seconds and bytes."""
    fft.set_workers(threads)
    _, inputs, call = steps()[name]
    grid = Grid(*json.loads((folder / 'grid.json').read_text()))
    arrays = {key: np.load(folder / f'{key}.npy') for key in inputs}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    result = call(arrays, grid)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    del result
    return {'seconds': seconds, 'bytes': 1024.0 * (after - before)}  # ru_maxrss is in KiB


def _child(arguments: list[str], threads: int) -> subprocess.CompletedProcess:
    limits = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NUMBA_NUM_THREADS')
    environment = os.environ | dict.fromkeys(limits, str(threads))
    command = [sys.executable, __file__, '--threads', str(threads), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def measure(shape: tuple[int, int, int], threads: int, names: list[str]) -> None:
    """Print the table of one size."""
    voxels = int(np.prod(shape))
    print(f'\n{" x ".join(map(str, shape))}, {len(ECHO_TIMES_S)} echoes, {threads} threads\n')
    print('| step                            | time (s) | peak (MB) | bytes per voxel |')
    print('|---------------------------------|---------:|----------:|----------------:|')
    with tempfile.TemporaryDirectory() as folder:
        made = _child(['--make', folder, '--shape', *map(str, shape)], threads)
        if made.returncode:
            sys.exit(made.stderr)
        for name in names:
            done = _child(['--child', name, folder], threads)
            label = steps()[name][0]
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ['killed'])[-1]
                print(f'| {label:31} | failed: {reason}')
                continue
            result = json.loads(done.stdout.splitlines()[-1])
            megabytes, share = result['bytes'] / 1e6, result['bytes'] / voxels
            print(f'| {label:31} | {result["seconds"]:8.1f} | {megabytes:9.0f} | {share:15.0f} |',
                  flush=True)  # fmt: skip


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--shape', nargs=3, type=int, metavar='N', help='one size only')
    parser.add_argument('--threads', type=int, default=2, help='threads of the transforms (2)')
    parser.add_argument('--step', nargs='+', choices=list(steps()), help='these steps only')
    parser.add_argument('--make', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--child', nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, folder = options.child
        print(json.dumps(run_step(name, Path(folder), options.threads)))
    elif options.make:
        fft.set_workers(options.threads)
        make_head(tuple(options.shape), options.make)
    else:
        print(f'Python {platform.python_version()}, numpy {np.__version__}, '
              f'{os.cpu_count()} cores, {platform.machine()}')  # fmt: skip
        for shape in [tuple(options.shape)] if options.shape else SHAPES:
            measure(shape, options.threads, options.step or list(steps()))


if __name__ == '__main__':
    main()
