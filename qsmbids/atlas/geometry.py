"""Shape and place of brain regions as Gaussian mixtures in MNI152 millimetres.

A region is the set of points x where the log density of its mixture,

    log sum_k  w_k N(x; mu_k, S_k),

exceeds the region's threshold. That is a smooth closed surface, so a region can be
drawn on a grid of any resolution and orientation. Only the left side is stored; the right
side is its mirror image in x. Where two regions claim the same voxel, the one that exceeds
its threshold by more wins.

The table is derived from the Allen Human Reference Atlas 3D 2020 (Ding et al. 2016,
https://doi.org/10.1002/cne.24080, RRID SCR_017764, CC BY 4.0); see ``data/README.md``.
The shapes are those of an adult average, at every age.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np

TABLE = 'region_geometry.tsv'
SPACE = 'MNI152 (ICBM 2009a nonlinear symmetric), RAS millimetres'

# abbreviation, group, colour (CIT-like reds for iron-rich nuclei, greens and blues for the
# thalamus, yellows for limbic grey, cold greys for white matter); the order is the order of
# the label indices and must not change: new regions go to the end of their block
_LOOK = {
    'Caudate': ('CN', 'deep grey', '#4e79a7'),
    'Putamen': ('PU', 'deep grey', '#f28e2b'),
    'NucleusAccumbens': ('NAC', 'deep grey', '#76b7b2'),
    'GlobusPallidusExternal': ('GPe', 'deep grey', '#e15759'),
    'GlobusPallidusInternal': ('GPi', 'deep grey', '#9c1c2e'),
    'ThalamusAnterior': ('ThA', 'thalamus', '#b6d7a8'),
    'ThalamusMedian': ('ThM', 'thalamus', '#59a14f'),
    'ThalamusLateral': ('ThL', 'thalamus', '#2f6b2f'),
    'Pulvinar': ('Pul', 'thalamus', '#93c47d'),
    'SubthalamicNucleus': ('STN', 'deep grey', '#ff9da7'),
    'SubstantiaNigra': ('SN', 'deep grey', '#b07aa1'),
    'RedNucleus': ('RN', 'deep grey', '#d62728'),
    'DentateNucleus': ('DN', 'deep grey', '#9467bd'),
    'Hippocampus': ('HIP', 'limbic', '#edc948'),
    'Amygdala': ('AMY', 'limbic', '#d4a017'),
    'OpticRadiation': ('OR', 'white matter', '#8cb4d8'),
    'LateralVentricle': ('LV', 'ventricle', '#5ad1e6'),
    'CerebralPeduncle': ('CP', 'white matter', '#6f8fb5'),
    'CorpusCallosumGenu': ('CCg', 'white matter', '#bab0ac'),
    'CorpusCallosumBody': ('CCb', 'white matter', '#9a8f8a'),
    'CorpusCallosumSplenium': ('CCs', 'white matter', '#7a6f6a'),
}
_FIRST_MIDLINE_INDEX = 101  # leaves room for more paired regions below it
_SIDES = {'L': 'Left', 'R': 'Right', 'B': ''}


@dataclass(frozen=True, eq=False)
class Region:
    """One region (left or midline) as a Gaussian mixture.

    Parameters
    ----------
    name : str
        Name without hemisphere, e.g. ``Caudate``.
    midline : bool
        True if the region lies on the midline and has no mirror image.
    weights : (k,) float
        Add up to 1.
    means : (k, 3) float, mm
    covariances : (k, 3, 3) float, mm^2
    threshold : float
        Natural logarithm of a density per mm^3.
    volume_mm3 : float
        Volume of the labelled region behind the mixture.
    """

    name: str
    midline: bool
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    threshold: float
    volume_mm3: float

    @property
    def abbreviation(self) -> str:
        """Short name, e.g. ``CN``."""
        return _LOOK[self.name][0]

    @property
    def group(self) -> str:
        """One of deep grey, thalamus, limbic, white matter, ventricle."""
        return _LOOK[self.name][1]

    @property
    def hemispheres(self) -> tuple[str, ...]:
        """('L', 'R') or ('B',)."""
        return ('B',) if self.midline else ('L', 'R')

    def on_side(self, hemisphere: str) -> Region:
        """Return the region of one hemisphere: itself for L and B, mirrored in x for R."""
        if hemisphere != 'R':
            return self
        flip = np.array([-1.0, 1.0, 1.0])
        return replace(
            self, means=self.means * flip, covariances=self.covariances * np.outer(flip, flip)
        )

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Evaluate the log density of the mixture.

        Parameters
        ----------
        points : (..., 3) float, mm

        Returns
        -------
        (...) float
            Natural logarithm of the density per mm^3.
        """
        terms = []
        for peak, mean, covariance in zip(
            self._log_peaks(), self.means, self.covariances, strict=True
        ):
            offset = points - mean
            distance2 = np.einsum(
                '...i,ij,...j->...', offset, np.linalg.inv(covariance), offset, optimize=True
            )
            terms.append(peak - 0.5 * distance2)
        return np.logaddexp.reduce(terms, axis=0)

    def bounding_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Return corners (lower, upper) in mm of a box that holds the whole region.

        Outside all ellipsoids ``log(w_k N_k) = threshold - log K`` the sum of the K terms
        is below the threshold, so the union of their boxes is enough.
        """
        excess = self._log_peaks() - self.threshold + np.log(len(self.weights))
        reach = np.sqrt(2 * np.maximum(excess, 0))[:, None] * np.sqrt(
            np.diagonal(self.covariances, axis1=1, axis2=2)
        )
        return (self.means - reach).min(axis=0), (self.means + reach).max(axis=0)

    def _log_peaks(self) -> np.ndarray:
        """Log of each weighted Gaussian at its own centre."""
        _, log_determinant = np.linalg.slogdet(2 * np.pi * self.covariances)
        return np.log(self.weights) - 0.5 * log_determinant


@dataclass(frozen=True)
class Label:
    """One row of the label table."""

    index: int
    name: str  # with hemisphere: CaudateLeft
    abbreviation: str  # with hemisphere: CN-L
    hemisphere: str  # L, R or B (midline)
    group: str  # deep grey, thalamus, limbic, white matter, ventricle
    color: str  # #rrggbb
    region: str  # without hemisphere: Caudate


@cache
def load_regions() -> tuple[Region, ...]:
    """Read the geometry table.

    Returns
    -------
    tuple of Region
        Paired regions first, in the order of the label indices.
    """
    rows: dict[str, list[dict[str, str]]] = {name: [] for name in _LOOK}
    text = resources.files('qsmbids.data').joinpath(TABLE).read_text(encoding='utf-8')
    for row in csv.DictReader(text.splitlines(), delimiter='\t'):
        rows[row['region']].append(row)
    return tuple(_region(name, components) for name, components in rows.items())


def _region(name: str, rows: list[dict[str, str]]) -> Region:
    def column(key: str) -> np.ndarray:
        return np.array([float(row[key]) for row in rows])

    axes = 'xyz'
    covariances = np.empty((len(rows), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            covariances[:, i, j] = covariances[:, j, i] = column(f'cov_{axes[i]}{axes[j]}')
    return Region(
        name=name,
        midline=rows[0]['hemisphere'] == 'B',
        weights=column('weight'),
        means=np.stack([column(axis) for axis in axes], axis=1),
        covariances=covariances,
        threshold=float(rows[0]['log_density_threshold']),
        volume_mm3=float(rows[0]['volume_mm3']),
    )


@cache
def label_table() -> tuple[Label, ...]:
    """Return all labels: left odd, right the even number after it, midline from 101 on.

    Examples
    --------
    >>> [label.name for label in label_table()[:2]]
    ['CaudateLeft', 'CaudateRight']
    """
    labels = []
    paired = midline = 0
    for name, (short, group, color) in _LOOK.items():
        region = next(r for r in load_regions() if r.name == name)
        for side in region.hemispheres:
            if side == 'B':
                index, suffix = _FIRST_MIDLINE_INDEX + midline, ''
            else:
                index, suffix = 2 * paired + 1 + (side == 'R'), f'-{side}'
            labels.append(
                Label(index, name + _SIDES[side], short + suffix, side, group, color, name)
            )
        midline += region.midline
        paired += not region.midline
    return tuple(labels)


def label_volume(
    shape: tuple[int, int, int], affine: np.ndarray, regions: Sequence[Region] | None = None
) -> np.ndarray:
    """Draw the regions on a grid.

    Parameters
    ----------
    shape : (3,) int
    affine : (4, 4) float
        Voxel indices to MNI152 millimetres (RAS). Any orientation and resolution.
    regions : sequence of Region, optional
        Which ones to draw; by default all.

    Returns
    -------
    (nx, ny, nz) int16
        Label index, 0 where there is none. A voxel has the label of the region that its
        centre lies in.

    Notes
    -----
    Each region is evaluated in the box that holds it, which makes the whole 1 mm template
    a matter of a second.
    """
    labels = np.zeros(shape, dtype=np.int16)
    best = np.zeros(shape, dtype=np.float32)  # largest excess over the threshold so far
    for index, box, excess in _excesses(shape, np.asarray(affine, dtype=float), regions):
        wins = excess > best[box]
        labels[box][wins] = index
        best[box][wins] = excess[wins]
    return labels


def _excesses(
    shape: tuple[int, int, int], affine: np.ndarray, regions: Sequence[Region] | None
) -> Iterator[tuple[int, tuple[slice, ...], np.ndarray]]:
    """Yield (label index, box of the grid, log density minus threshold in the box)."""
    to_voxels = np.linalg.inv(affine)
    indices = {(label.region, label.hemisphere): label.index for label in label_table()}
    for region in load_regions() if regions is None else regions:
        for side in region.hemispheres:
            sided = region.on_side(side)
            lower, upper = sided.bounding_box()
            corners = np.stack(np.meshgrid(*zip(lower, upper, strict=True)), -1).reshape(-1, 3)
            corners = corners @ to_voxels[:3, :3].T + to_voxels[:3, 3]
            start = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
            stop = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, shape)
            if np.any(stop <= start):
                continue
            box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
            voxels = np.stack(
                np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing='ij'), axis=-1
            )
            points = voxels @ affine[:3, :3].T + affine[:3, 3]
            yield indices[region.name, side], box, sided.log_density(points) - region.threshold
