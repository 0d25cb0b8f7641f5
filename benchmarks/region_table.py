"""Processor time of a region table at 1 mm: the built-in atlas, and boxes over the whole brain.

python benchmarks/region_table.py
"""

from __future__ import annotations

import time

import numpy as np

from qsmbids.atlas.geometry import Label, label_table, label_volume
from qsmbids.atlas.high_iron import high_iron_thresholds
from qsmbids.atlas.region_noise import FieldNoise
from qsmbids.atlas.regions import region_table
from qsmbids.qsm.grid import Grid

BOX_MM = 26


def boxes(brain: np.ndarray) -> np.ndarray:
    """Return a parcellation of the brain into boxes, numbered from 1."""
    index = np.zeros(brain.shape, np.int32)
    for at, n in zip(np.indices(brain.shape, sparse=True), brain.shape, strict=True):
        index = index * -(-n // BOX_MM) + at // BOX_MM
    _, numbers = np.unique(index[brain], return_inverse=True)
    labels = np.zeros(brain.shape, np.int32)
    labels[brain] = numbers + 1
    return labels


def main() -> None:
    """Print the times."""
    shape, affine = (182, 218, 182), np.eye(4)
    affine[:3, 3] = (-91, -126, -72)
    at = np.indices(shape, sparse=True)
    brain = sum(((a - n / 2) / (0.42 * n)) ** 2 for a, n in zip(at, shape, strict=True)) < 1
    rng = np.random.default_rng(0)
    image = rng.normal(0, 0.03, shape).astype(np.float32)
    parcels = boxes(brain)
    names = [
        Label(i, f'Box{i}', str(i), 'B', 'cortex', '#000000', f'Box{i}')
        for i in range(1, int(parcels.max()) + 1)
    ]
    sd = np.where(brain, 0.001, 0).astype(np.float32)
    for labels, table in (
        (label_volume(shape, affine).astype(np.int32), label_table()), (parcels, names),
    ):  # fmt: skip
        about = {'brain_mask': brain, 'thresholds': high_iron_thresholds(40.0, table)}
        start = time.process_time()
        region_table(image, labels, table, 1.0, brain, **about)
        between = time.process_time()
        noise = FieldNoise(sd, Grid(shape, (1.0, 1.0, 1.0), (0.0, 0.1, 0.995)))
        region_table(image, labels, table, 1.0, brain, **about, noise=noise)
        end = time.process_time()
        print(f'{len(table)} regions: {between - start:.2f} s, '
              f'with uncertainties {end - between:.2f} s')  # fmt: skip


if __name__ == '__main__':
    main()
