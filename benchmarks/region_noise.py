"""Uncertainty of region means: what is predicted from the noise map against what noise does.

    python benchmarks/region_noise.py                        # default inversion, 3 mm
    python benchmarks/region_noise.py --voxel-size 2 --noise 4 --method rts tv

One simulated head (``scan.py``), whose field gets new noise of its noise map in every
realisation and is inverted; maps are referenced to the whole brain. The observed standard
deviation of each region's mean is compared with ``qsmbids.atlas.region_noise``. With 20
realisations it is itself known to 16 %, to 11 % where both sides are pooled, which is what the
table shows. ``--noise`` multiplies the noise of the scan (SNR 100 in the first echo).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import scan as scans

from qsmbids import methods, qsm
from qsmbids.atlas.asymmetry import find_pairs
from qsmbids.atlas.geometry import Label, label_table
from qsmbids.atlas.region_noise import FieldNoise


def observe(
    scan: scans.Scan, name: str, labels: list[Label], noise_ppm: np.ndarray, realisations: int
) -> np.ndarray:
    """Return the SD (ppm) over realisations of each region's mean."""
    method = methods.get('inversion', name)
    maps = {
        'weight': np.where(scan.mask, 1 / noise_ppm, 0).astype(np.float32),
        'magnitude': scan.rss,
        'field_hz_per_ppm': scan.hz_per_ppm,
        'r2star': scan.r2star,
    }
    maps = {key: value for key, value in maps.items() if key in method.takes}
    field = scan.total_ppm if method.field == 'total' else scan.local_ppm
    means = []
    for seed in range(realisations):
        noise = np.random.default_rng(seed).standard_normal(scan.grid.shape, dtype=np.float32)
        chi = method.load()(
            np.where(scan.mask, field + noise * noise_ppm, 0), scan.mask, scan.grid, **maps
        )
        kept = scan.mask & (chi != 0)
        chi, _, _ = qsm.reference_to(chi, kept, kept)
        means.append([_mean(chi, kept & (scan.labels == label.index)) for label in labels])
    return np.std(means, axis=0, ddof=1)


def predict(scan: scans.Scan, labels: list[Label], noise_ppm: np.ndarray) -> np.ndarray:
    """Return the SD (ppm) of each region's mean from the noise map."""
    noise = FieldNoise(np.where(scan.mask, noise_ppm, 0).astype(np.float32), scan.grid)
    everything = tuple(slice(0, n) for n in scan.grid.shape)
    return np.array(
        [noise.sd_of_mean(scan.mask & (scan.labels == x.index), everything) for x in labels]
    )


def pool(sd: np.ndarray, labels: list[Label]) -> dict[str, float]:
    """Return the root mean square of both sides, midline regions as they are."""
    found = {
        labels[left].region: float(np.sqrt((sd[left] ** 2 + sd[right] ** 2) / 2))
        for left, right in find_pairs(labels)
    }
    alone = {x.region: float(s) for x, s in zip(labels, sd, strict=True) if x.hemisphere == 'B'}
    return found | alone


def _mean(chi: np.ndarray, where: np.ndarray) -> float:
    return float(chi[where].mean(dtype=float)) if where.any() else float('nan')


def main() -> None:
    """Print a table for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--voxel-size', type=float, default=3.0)
    parser.add_argument('--noise', type=float, default=1.0)
    parser.add_argument('--realisations', type=int, default=20)
    parser.add_argument('--method', nargs='+', default=[methods.DEFAULT_METHODS['inversion']],
                        choices=methods.names('inversion'))  # fmt: skip
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'scan.npz'
        scans.simulate(args.voxel_size, path)
        scan = scans.load(path)
    noise_ppm = args.noise * scan.noise_ppm
    labels = [x for x in label_table() if np.any(scan.mask & (scan.labels == x.index))]
    start = time.perf_counter()
    predicted = pool(predict(scan, labels, noise_ppm), labels)
    seconds = time.perf_counter() - start
    size = 'x'.join(map(str, scan.grid.shape))
    typical = 1000 * np.median(noise_ppm[scan.mask])
    print(f'{size}, noise of the field {typical:.2f} ppb, '
          f'{args.realisations} realisations; prediction in {seconds:.2f} s')  # fmt: skip
    for name in args.method:
        observed = pool(observe(scan, name, labels, noise_ppm, args.realisations), labels)
        ratios = {region: predicted[region] / observed[region] for region in predicted}
        print(f'\n| {name} | observed, ppb | predicted, ppb | ratio |\n|---|---:|---:|---:|')
        for region, ratio in ratios.items():
            print(f'| {region} | {1000 * observed[region]:.3f} | {1000 * predicted[region]:.3f} '
                  f'| {ratio:.2f} |')  # fmt: skip
        found = np.array([ratio for ratio in ratios.values() if np.isfinite(ratio)])
        within = np.mean(np.abs(np.log(found)) < np.log(1.3))
        print(f'\n{name}: geometric mean of the ratio {np.exp(np.log(found).mean()):.2f}, '
              f'range {found.min():.2f} to {found.max():.2f}, '
              f'{100 * within:.0f} % of {found.size} regions within 30 %', flush=True)  # fmt: skip


if __name__ == '__main__':
    main()
