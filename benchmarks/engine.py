"""Every method of the engine at its default, alone: accuracy, time, memory, iterations.

    python benchmarks/engine.py                                  # everything at 2 and 1 mm
    python benchmarks/engine.py --voxel-size 2 --stage inversion --method rts medi

Each method runs in a fresh process on the scan of ``scan.py``, with what it needs taken from the
truth: unwrapping and field maps start from the wrapped phase, background removal from the true
total field, inversion from the true local field plus the noise that the echoes leave in it (or
from the noisy total field, if it removes the background itself), all with the true brain mask.
Errors therefore do not add up; ``chain.py`` shows what happens when they do.

Time is that of one call with compiled loops warm, without imports and loading. Memory is the
growth of the peak resident size during the call per voxel of the matrix: outputs count, inputs
do not.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scan as scans

from qsmbids import methods, qsm
from qsmbids.phantom.forward import dipole_field

STAGES = ('unwrapping', 'fieldmap', 'background', 'inversion', 'cosmos', 'relaxometry')
WARM_UP_VOXELS = 28
COSMOS_TILTS_DEG = ((0, 0), (30, 0), (-20, 25), (10, -30))  # nod and roll of the head
COLUMNS = {
    'unwrapping': {'wrong': '% in a wrong cycle', 'core_wrong': '%, core'},
    'fieldmap': {'nrmse': 'NRMSE', 'xsim': 'XSIM', 'core_nrmse': 'core NRMSE',
                 'core_xsim': 'core XSIM'},
    'background': {'kept': '% kept', 'nrmse': 'NRMSE', 'xsim': 'XSIM',
                   'core_kept': '% core kept', 'core_nrmse': 'core NRMSE',
                   'core_xsim': 'core XSIM'},
    'inversion': {'nrmse': 'NRMSE', 'xsim': 'XSIM', 'core_nrmse': 'core NRMSE',
                  'core_xsim': 'core XSIM', 'dgm_slope': 'DGM slope', 'dgm_nrmse': 'DGM NRMSE',
                  'calcification': 'calc.', 'microbleed': 'bleed'},
    'relaxometry': {'error': 'median error, 1/s', 'core_error': 'median error in the core'},
}  # fmt: skip
COLUMNS['cosmos'] = COLUMNS['inversion']


def prepare(stage: str, name: str, scan: scans.Scan) -> tuple[Callable, Callable]:
    """Return the call of a method and what scores its result."""
    method = methods.get(stage, name)
    function, grid, mask, times = method.load(), scan.grid, scan.mask, scan.echo_times_s
    if stage in ('unwrapping', 'fieldmap'):
        phase, _ = qsm.remove_phase_offset(scan.phase, scan.magnitude, times, mask, grid)
        if stage == 'unwrapping':
            return (lambda _: function(phase, scan.magnitude, times, mask, grid),
                    lambda found: wrong_cycles(found, scan))  # fmt: skip
        unwrapped = qsm.unwrap_romeo(phase, scan.magnitude, times, mask, grid)
        return (lambda _: function(unwrapped, scan.magnitude, times, mask),
                lambda found: scans.agreement(
                    found[0] / scan.hz_per_ppm, scan.total_ppm, mask, scan))  # fmt: skip
    if stage == 'background':
        weights = {'weight': scan.weight} if 'weight' in method.takes else {}
        return (
            lambda report: function(scan.total_ppm, mask, grid, progress=report, **weights),
            lambda found: scans.agreement(found[0], scan.local_ppm, found[1], scan),
        )
    if stage == 'inversion':
        field = scan.noisy_local_ppm
        if method.field == 'total':
            field = field - scan.local_ppm + scan.total_ppm
        maps = {'weight': scan.weight, 'magnitude': scan.rss, 'r2star': scan.r2star,
                'field_hz_per_ppm': scan.hz_per_ppm}  # fmt: skip
        extra = {key: maps[key] for key in method.takes}
        return (lambda report: function(field, mask, grid, progress=report, **extra),
                lambda found: scans.susceptibility_scores(
                    found, mask & (found != 0), scan))  # fmt: skip
    if stage == 'cosmos':
        directions = np.array([_turned(grid.b0_direction, *tilt) for tilt in COSMOS_TILTS_DEG])
        fields, masks = _orientations(scan, directions)
        return (
            lambda report: function(fields, masks, grid, directions, progress=report),
            lambda found: scans.susceptibility_scores(found[0], found[1], scan),
        )
    return (lambda _: function(scan.magnitude, times, mask),
            lambda found: rate_errors(found[0], scan))  # fmt: skip


def rate_errors(found: np.ndarray, scan: scans.Scan) -> dict[str, float]:
    """Return the median error of R2*; a mean would be that of a few dephased voxels."""
    error = np.abs(found - scan.r2star)
    return {'error': np.median(error[scan.mask]), 'core_error': np.median(error[scan.core])}


def wrong_cycles(unwrapped: np.ndarray, scan: scans.Scan) -> dict[str, float]:
    """Return the share of voxels whose last echo is whole turns off the phase of the signal."""
    turns = np.round((unwrapped[-1] - scan.last_phase) / (2 * np.pi))
    wrong = turns != np.median(turns[scan.mask])
    return {'wrong': 100 * wrong[scan.mask].mean(), 'core_wrong': 100 * wrong[scan.core].mean()}


def _turned(direction: tuple, nod_deg: float, roll_deg: float) -> np.ndarray:
    a, b = np.radians([nod_deg, roll_deg])
    nod = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    roll = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return roll @ nod @ np.asarray(direction)


def _orientations(scan: scans.Scan, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy local fields of several B0 directions, already in one frame."""
    rng = np.random.default_rng(0)
    chi = np.where(scan.mask, scan.chi, 0).astype(np.float32)
    fields = [
        dipole_field(chi, scan.grid.voxel_size, direction)
        + scan.noise_ppm * rng.standard_normal(chi.shape, dtype=np.float32)
        for direction in directions
    ]
    return np.stack(fields).astype(np.float32), np.stack([scan.mask] * len(fields))


def shrunk(scan: scans.Scan) -> scans.Scan:
    """Return a small cube from the middle of the scan, to compile what is compiled late."""
    box = tuple(slice((n - WARM_UP_VOXELS) // 2, (n + WARM_UP_VOXELS) // 2)
                for n in scan.grid.shape)  # fmt: skip
    small = {f.name: getattr(scan, f.name) for f in dataclasses.fields(scan)}
    for key, value in small.items():
        if isinstance(value, np.ndarray) and value.size:
            small[key] = np.ascontiguousarray(value[(..., *box)])
    small['mask'] = np.pad(small['mask'][2:-2, 2:-2, 2:-2], 2)
    small['grid'] = dataclasses.replace(scan.grid, shape=(WARM_UP_VOXELS,) * 3)
    return scans.Scan(**small)


def run(stage: str, name: str, path: Path) -> dict[str, float]:
    """Run one method in this process; return seconds, bytes per voxel, iterations, scores."""
    scan = scans.load(path)
    texts: list[str] = []
    with contextlib.suppress(ValueError):  # a small cube may lack what a method looks for
        prepare(stage, name, shrunk(scan))[0](lambda fraction, text: None)
    call, score = prepare(stage, name, scan)
    before = _start_peak()
    start = time.perf_counter()
    found = call(lambda fraction, text: texts.append(text))
    seconds = time.perf_counter() - start
    result = {'seconds': seconds, 'bytes_per_voxel': (_status('VmHWM') - before) / scan.mask.size}
    result['iterations'] = _iterations(texts)
    return result | score(found)


def _iterations(texts: list[str]) -> int:
    """Return the iterations of all rounds; the count starts again with each round."""
    found = [re.search(r'iteration (\d+)', text) for text in texts]
    counts = [int(match.group(1)) for match in found if match]
    return sum(n for n, after in itertools.pairwise([*counts, 0]) if after <= n)


def _start_peak() -> int:
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts again from here
    return _status('VmRSS')


def _status(key: str) -> int:
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{key}:'):
            return 1024 * int(line.split()[1])
    raise KeyError(key)


def measure(voxel_size_mm: float, stages: list[str], wanted: list[str], threads: int) -> None:
    """Print the tables of one voxel size."""
    limits = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'NUMBA_NUM_THREADS')
    environment = os.environ | dict.fromkeys(limits, str(threads))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'scan.npz'
        scans.simulate(voxel_size_mm, path, follow_phase='unwrapping' in stages)
        shape = ' x '.join(map(str, scans.load(path).grid.shape))
        for stage in stages:
            columns = COLUMNS[stage]
            names = [n for n in methods.names(stage) if not wanted or n in wanted]
            if not names:
                continue
            print(f'\n### {methods.STAGES[stage]}, {voxel_size_mm:g} mm ({shape})\n')
            print(
                '| method | ' + ' | '.join(columns.values()) + ' | s | bytes/voxel | iterations |'
            )
            print('|---|' + '---:|' * (len(columns) + 3), flush=True)
            for name in names:
                command = [sys.executable, __file__, '--child', stage, name, str(path),
                           '--threads', str(threads)]  # fmt: skip
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=False
                )
                if done.returncode:
                    reason = (done.stderr.strip().splitlines() or ['killed'])[-1]
                    print(f'| {name} | failed: {reason} |', flush=True)
                    continue
                row = json.loads(done.stdout.splitlines()[-1])
                scores = ' | '.join(_shown(key, row[key]) for key in columns)
                print(f'| {name} | {scores} | {row["seconds"]:.1f} | '
                      f'{row["bytes_per_voxel"]:.0f} | {row["iterations"] or "-"} |',
                      flush=True)  # fmt: skip


def _shown(key: str, value: float) -> str:
    digits = {'wrong': 3, 'core_wrong': 4, 'calcification': 2, 'microbleed': 2}
    return f'{value:.{digits.get(key, 3 if "xsim" in key or "slope" in key else 1)}f}'


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--voxel-size', nargs='+', type=float, default=[2.0, 1.0], help='mm')
    parser.add_argument('--stage', nargs='+', choices=STAGES, default=list(STAGES))
    parser.add_argument('--method', nargs='+', default=[], help='these methods only')
    parser.add_argument('--threads', type=int, default=2, help='threads (2)')
    parser.add_argument('--child', nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    qsm.set_workers(options.threads)
    if options.child:
        stage, name, path = options.child
        print(json.dumps(run(stage, name, Path(path)), default=float))
        return
    print(f'Python {platform.python_version()}, numpy {np.__version__}, '
          f'{os.cpu_count()} cores, {platform.machine()}, {options.threads} threads')  # fmt: skip
    for voxel_size in options.voxel_size:
        measure(voxel_size, options.stage, options.method, options.threads)


if __name__ == '__main__':
    main()
