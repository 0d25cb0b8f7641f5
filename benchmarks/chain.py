"""Whole chains from wrapped phase with their own brain mask: the default, and what each part adds.

    python benchmarks/chain.py                     # 2 and 1 mm
    python benchmarks/chain.py --voxel-size 2 --rows default 'V-SHARP + RTS'

The scan is that of ``scan.py``; scores are against its truth, inside what each chain keeps and
inside the 5 mm core of the brain. Deep grey matter is measured under the true labels, so that
registration does not enter. Time is from phase and magnitude to susceptibility, loops warm.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scan as scans

from qsmbids import methods, qsm
from qsmbids.execution.limits import available_cpus

COLUMNS = {
    'kept': '% kept', 'nrmse': 'NRMSE', 'core_nrmse': 'core NRMSE', 'core_xsim': 'core XSIM',
    'dgm_slope': 'DGM slope', 'dgm_error_ppb': 'DGM error, ppb', 'dgm_nrmse': 'DGM NRMSE',
    'dgm_nrmse_detrended': 'detrended',
    'calcification': 'calc.', 'microbleed': 'bleed', 'seconds': 's',
}  # fmt: skip


@dataclass(frozen=True)
class Chain:
    """One row: methods by stage, and what is left out."""

    unwrapping: str = methods.DEFAULT_METHODS['unwrapping']
    fieldmap: str = methods.DEFAULT_METHODS['fieldmap']
    background: str = methods.DEFAULT_METHODS['background']
    inversion: str = methods.DEFAULT_METHODS['inversion']
    offset: bool = True
    weighted: bool = True
    true_mask: bool = False


ROWS: dict[str, Chain] = {
    'default': Chain(),
    'true brain mask': Chain(true_mask=True),
    'phase offset left in': Chain(offset=False),
    'nonlinear field map': Chain(fieldmap='nonlinear'),
    'best-path unwrapping': Chain(unwrapping='bestpath'),
    'Laplacian unwrapping': Chain(unwrapping='laplacian'),
    'no weights': Chain(weighted=False),
    'V-SHARP + TV': Chain(inversion='tv'),
    'V-SHARP + RTS': Chain(inversion='rts'),
    'V-SHARP + WH-QSM': Chain(inversion='whqsm'),
    'V-SHARP + HD-QSM': Chain(inversion='hdqsm'),
    'V-SHARP + MEDI': Chain(inversion='medi'),
    'V-SHARP + TKD': Chain(inversion='tkd'),
    'RESHARP + TV': Chain(background='resharp', inversion='tv'),
    'RESHARP + RTS': Chain(background='resharp', inversion='rts'),
    'PDF + TV': Chain(background='pdf', inversion='tv'),
    'LBV + TV': Chain(background='lbv', inversion='tv'),
    'iSMV + TV': Chain(background='ismv', inversion='tv'),
    'single-step TGV': Chain(inversion='tgv'),
}


def reconstruct(scan: scans.Scan, chain: Chain) -> tuple[np.ndarray, np.ndarray]:
    """Return susceptibility (ppm) and the mask in which it is known."""
    times, grid, magnitude = scan.echo_times_s, scan.grid, scan.magnitude
    mask = scan.mask if chain.true_mask else qsm.extract_brain(scan.rss, grid)
    phase = scan.phase
    if chain.offset:
        phase, _ = qsm.remove_phase_offset(phase, magnitude, times, mask, grid)
    quality = qsm.phase_quality(phase, magnitude, times, mask)
    unwrap = methods.get('unwrapping', chain.unwrapping).load()
    fit = methods.get('fieldmap', chain.fieldmap).load()
    field, noise, agreement = fit(unwrap(phase, magnitude, times, mask, grid), magnitude, times,
                                  mask)  # fmt: skip
    reliable = qsm.quality_mask(quality, mask, agreement, grid)
    field = qsm.hz_to_ppm(field, scan.hz_per_ppm)
    method = methods.get('inversion', chain.inversion)
    if method.field == 'local':
        remove = methods.get('background', chain.background).load()
        field, reliable = remove(field, reliable, grid)
    maps = {'magnitude': scan.rss, 'r2star': None, 'field_hz_per_ppm': scan.hz_per_ppm}
    extra = {key: maps[key] for key in method.takes if maps.get(key) is not None}
    if chain.weighted and 'weight' in method.takes:
        extra['weight'] = np.where(reliable, 1 / np.maximum(noise, 1e-6), 0)
    chi = method.load()(field, reliable, grid, **extra)
    return chi, reliable & (chi != 0)


def main() -> None:
    """Run the rows and print a table for each voxel size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--voxel-size', nargs='+', type=float, default=[2.0, 1.0], help='mm')
    parser.add_argument('--rows', nargs='+', choices=list(ROWS), default=list(ROWS))
    args = parser.parse_args()
    qsm.set_workers(available_cpus())
    for voxel_size in args.voxel_size:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'scan.npz'
            scans.simulate(voxel_size, path)
            scan = scans.load(path)
        print(f'\n### {voxel_size:g} mm\n')
        print(f'| chain | {" | ".join(COLUMNS.values())} |')
        print('|---|' + '---:|' * len(COLUMNS), flush=True)
        reconstruct(scan, ROWS[args.rows[0]])  # compiles and loads
        for name in args.rows:
            start = time.perf_counter()
            chi, kept = reconstruct(scan, ROWS[name])
            seconds = time.perf_counter() - start
            scores = scans.susceptibility_scores(chi, kept, scan) | {'seconds': seconds}
            print(f'| {name} | {" | ".join(_shown(k, scores[k]) for k in COLUMNS)} |', flush=True)


def _shown(key: str, value: float) -> str:
    digits = {'core_xsim': 3, 'dgm_slope': 3, 'calcification': 2, 'microbleed': 2}
    return f'{value:.{digits.get(key, 1)}f}'


if __name__ == '__main__':
    main()
