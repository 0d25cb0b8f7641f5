"""Which chain is best on the phantom with noise: every combination, one run, one table.

    python benchmarks/chain.py [--voxel-size 1.5] [--age 35] [--snr 60]

The brain mask is grown from the magnitude as in a real run. Scores are against the truth of the
phantom, whose forward model shares no code with the inversions. Missing voxels count: besides the
scores inside each method's own mask the table shows how much of the brain it keeps. Deep grey
matter is measured under the true labels, so that registration does not enter.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np

from qsmbids import methods, qsm
from qsmbids.atlas.geometry import label_table
from qsmbids.execution.limits import available_cpus
from qsmbids.phantom import PhantomParameters, simulate_head
from qsmbids.phantom.score import score_regions

HEADER = (
    f'{"unwrapping":<10} {"background":<10} {"inversion":<9} {"kept":>6} {"NRMSE %":>8} '
    f'{"XSIM":>6} {"DGM slope":>9} {"DGM error":>10} {"s":>6}'
)


def main() -> None:
    """Run all combinations and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--voxel-size', type=float, default=1.5, help='mm')
    parser.add_argument('--age', type=float, default=35.0, help='years')
    parser.add_argument('--snr', type=float, default=60.0, help='of the first echo')
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()
    qsm.set_workers(available_cpus())
    parameters = PhantomParameters(voxel_size_mm=args.voxel_size, snr=args.snr, seed=args.seed)
    head = simulate_head(args.age, parameters=parameters)
    print(f'phantom: {args.age:g} years, {args.voxel_size:g} mm, SNR {args.snr:g}, '
          f'seed {args.seed}, matrix {head.grid.shape}')  # fmt: skip
    magnitude, times, grid = head.magnitude, head.echo_times_s, head.grid
    mask = qsm.extract_brain(np.sqrt((magnitude**2).sum(axis=0)), grid)
    overlap = 2 * (mask & head.brain_mask).sum() / (mask.sum() + head.brain_mask.sum())
    print(f'brain mask: Dice with the truth {overlap:.3f}')
    phase, _ = qsm.remove_phase_offset(head.phase, magnitude, times, mask, grid)
    quality = qsm.phase_quality(phase, magnitude, times, mask)
    print(HEADER)
    for unwrapping in methods.names('unwrapping'):
        begin = time.perf_counter()
        unwrapped = methods.get('unwrapping', unwrapping).load()(
            phase, magnitude, times, mask, grid
        )
        field, noise, agreement = qsm.combine_echoes(unwrapped, magnitude, times, mask)
        reliable = qsm.quality_mask(quality, mask, agreement, grid)
        shared = time.perf_counter() - begin
        pairs = itertools.product(methods.names('background'), methods.names('inversion'))
        for background, inversion in pairs:
            begin = time.perf_counter()
            local, kept = methods.get('background', background).load()(field, reliable, grid)
            weight = np.where(kept, 1 / np.maximum(noise, 1e-6), 0)
            chi = methods.get('inversion', inversion).load()(
                qsm.hz_to_ppm(local, parameters.imaging_frequency_mhz), kept, grid, weight=weight
            )
            seconds = shared + time.perf_counter() - begin
            print(f'{unwrapping:<10} {background:<10} {inversion:<9} '
                  f'{_scores(chi, kept, head)} {seconds:6.1f}', flush=True)  # fmt: skip


def _scores(chi: np.ndarray, kept: np.ndarray, head) -> str:
    """Return the columns of one row."""
    inside = kept & head.brain_mask
    truth = np.where(inside, head.chi - head.chi[inside].mean(), 0).astype(np.float32)
    found = np.where(inside, chi - chi[inside].mean(), 0).astype(np.float32)
    labels = {label.name: label for label in label_table() if label.group == 'deep grey'}
    regions = {name: inside & (head.labels == label.index) for name, label in labels.items()}
    score = score_regions(
        {name: float(found[r].mean()) for name, r in regions.items() if r.any()},
        {name: float(truth[r].mean()) for name, r in regions.items() if r.any()},
        0.0,
        list(labels),
    )
    kept_share = inside.sum() / head.brain_mask.sum()
    return (
        f'{100 * kept_share:5.1f}% {qsm.nrmse(found, truth, inside):8.1f} '
        f'{qsm.xsim(found, truth, inside):6.3f} {score.slope:9.3f} '
        f'{1000 * score.mean_absolute_error_ppm:6.1f} ppb'
    )


if __name__ == '__main__':
    main()
