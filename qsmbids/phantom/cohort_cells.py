r"""A region table from a few numbers per region, as if its voxels had been measured.

The voxels of a region are taken to be normal around its mean with the SD inside the region, so
percentiles, the share above a threshold and the entropy follow from these two:

    p_q = mean + Phi^-1(q) SD,        share above t = 1 - Phi((t - mean) / SD).

Thousands of people with hundreds of regions are written as text in seconds, because a table is
one template with holes for its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from qsmbids.atlas.geometry import Label
from qsmbids.atlas.high_iron import GROUP, UPPER_BOUND_SD
from qsmbids.atlas.region_columns import columns_of
from qsmbids.atlas.region_statistics import ENTROPY_BIN_PPM
from qsmbids.atlas.regions import WHOLE_BRAIN

VOXEL_MM3 = 1.0
VOXEL_SD_PPM = 0.012  # between the voxels of a region
VOXEL_NOISE_PPM = 0.015  # of which mean_uncertainty is this over the root of the number
BRAIN_MM3 = 1.2e6
BRAIN_SD_PPM = 0.016

_SHARES = {'p5': -1.6449, 'p25': -0.6745, 'p75': 0.6745, 'p95': 1.6449}
_PHI = 0.3989422804  # density of the standard normal at 0
_IDENTITY = ('index', 'name', 'abbreviation', 'hemisphere', 'group')
_COUNTS = ('n_voxels', 'core_n', 'high_n')


class RegionTableWriter:
    """Makes the text of region tables of susceptibility for one set of regions.

    Parameters
    ----------
    labels : sequence of Label
        Rows after the whole brain.
    reference : str
        In words, for the last columns.
    """

    def __init__(self, labels: Sequence[Label], reference: str) -> None:
        self.labels = (WHOLE_BRAIN, *labels)
        self.columns = tuple(c.name for c in columns_of('chi'))
        self._measured = [c for c in self.columns if c not in (*_IDENTITY, 'reference')]
        self._sides = np.array([label.hemisphere for label in labels])
        self._deep = np.array([label.group == GROUP for label in labels])
        rows = ['\t'.join(self.columns)]
        for label in self.labels:
            holes = ['%d' if c in _COUNTS else '%.6g' for c in self._measured]
            cells = dict(zip(self._measured, holes, strict=True))
            cells |= {name: str(getattr(label, name)) for name in _IDENTITY}
            cells |= {'reference': reference} | dict.fromkeys(self._unknown(label), 'n/a%.0s')
            rows.append('\t'.join(cells[c] for c in self.columns))
        self._template = '\n'.join(rows) + '\n'

    def text(
        self,
        mean: np.ndarray,
        volume_mm3: np.ndarray,
        usual: np.ndarray,
        usual_sd: np.ndarray,
        reference_value: float,
    ) -> str:
        """Return a table.

        Parameters
        ----------
        mean, volume_mm3 : (rows,) float, ppm and mm^3
            Of each label.
        usual, usual_sd : (rows,) float, ppm
            Mean and SD between people at this age, for the threshold of high iron.
        reference_value : float, ppm
        """
        found = self._cells(mean, volume_mm3, usual, usual_sd, reference_value)
        brain = self._cells(np.zeros(1), np.array([BRAIN_MM3]), mean[:1] * np.nan,
                            np.zeros(1), reference_value, BRAIN_SD_PPM)  # fmt: skip
        right, left = self._sides == 'R', self._sides == 'L'
        for name, values in (
            ('right_minus_left', mean[right] - mean[left]),
            (
                'volume_asymmetry',
                2 * (found['volume_mm3'][right] - found['volume_mm3'][left])
                / (found['volume_mm3'][right] + found['volume_mm3'][left]),
            ),
        ):  # fmt: skip
            found[name] = np.full(mean.shape, np.nan)
            found[name][right] = found[name][left] = values
            brain[name] = np.full(1, np.nan)
        table = np.stack([np.concatenate([brain[c], found[c]]) for c in self._measured], axis=1)
        return (self._template % tuple(table.ravel().tolist())).replace('\tnan', '\tn/a')

    def _unknown(self, label: Label) -> list[str]:
        """Columns without a value whatever the numbers are."""
        names = [] if label.hemisphere in 'LR' else ['right_minus_left', 'volume_asymmetry']
        if label.group != GROUP:
            names += [c for c in self.columns if c.startswith('high_')]
        return [*names, 'mean_uncertainty'] if label is WHOLE_BRAIN else names

    def _cells(
        self, mean: np.ndarray, volume_mm3: np.ndarray, usual: np.ndarray, usual_sd: np.ndarray,
        reference_value: float, sd: float = VOXEL_SD_PPM,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        n = np.maximum(np.rint(volume_mm3 / VOXEL_MM3), 1)
        volume = n * VOXEL_MM3
        spread = np.full(mean.shape, sd)
        positive = np.clip(ndtr(mean / sd), 1e-6, 1)
        reach = 2 * np.sqrt(np.log(n + 1))  # about the largest of n normal numbers
        found = {
            'n_voxels': n, 'volume_mm3': volume, 'coverage': np.ones_like(mean),
            'mean': mean, 'median': mean, 'trimmed_mean': mean - 0.07 * sd, 'core_mean': mean,
            'core_n': np.rint(0.5 * n), 'weighted_mean': mean,
            'mean_uncertainty': VOXEL_NOISE_PPM / np.sqrt(n),
            'positive_mean': mean + sd * _PHI * np.exp(-0.5 * (mean / sd) ** 2) / positive,
            'positive_fraction': positive, 'sd': spread, 'mad': 0.6745 * spread,
            'iqr': 1.3490 * spread, 'min': mean - reach * sd, 'max': mean + reach * sd,
            'skewness': np.zeros_like(mean), 'kurtosis': np.zeros_like(mean),
            'entropy': np.full(mean.shape, np.log2(4.1327 * sd / ENTROPY_BIN_PPM)),
            'total': mean * volume, 'mean_unreferenced': mean + reference_value,
            'reference_value': np.full(mean.shape, reference_value),
        }  # fmt: skip
        found |= {name: mean + z * sd for name, z in _SHARES.items()}
        return found | self._high(mean, n, usual + UPPER_BOUND_SD * usual_sd, sd)

    @staticmethod
    def _high(
        mean: np.ndarray, n: np.ndarray, threshold: np.ndarray, sd: float
    ) -> dict[str, np.ndarray]:
        known = np.isfinite(threshold)
        z = (np.where(known, threshold, 0) - mean) / sd
        share = 1 - ndtr(z)
        count = np.rint(share * n)
        some = count > 0
        value = np.where(
            some, mean + sd * _PHI * np.exp(-0.5 * z**2) / np.where(some, share, 1), np.nan
        )
        return {
            'high_threshold': threshold, 'high_n': count, 'high_fraction': count / n,
            'high_mean': value, 'high_volume_mm3': count * VOXEL_MM3,
            'high_total': np.where(some, value, 0) * count * VOXEL_MM3,
        }  # fmt: skip
