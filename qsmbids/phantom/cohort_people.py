r"""People of a simulated lifespan cohort: who they are, and the susceptibility of their nuclei.

The mean of a region r (average of both sides) of person i at visit s is

    chi = curve_r(age) + offset + SD_r(age) * z_ir + disease_is + site_ir + noise_isr,

with the age curve of :mod:`qsmbids.lifespan.prior` (engineering prior, not published values),
the offset from cerebrospinal fluid to the reference of the map, and z standard normal, drawn once
for a person and region, so that a person keeps his place among people of his age. The spread
SD(age) grows with age; for nuclei it is that of the high-iron threshold. Left and right lie
symmetrically around the average. Sex has no effect, as Treit 2021 found none.

What is ours, because no figure is published that could be used: the spread outside the deep grey
matter, the difference of the sides, the noise between visits, the effects of disease and site.

References
----------
Treit S, et al. Hum Brain Mapp 2021;42:4597-4616. https://doi.org/10.1002/hbm.25569
Min K, et al. NMR Biomed 2024. https://doi.org/10.1002/nbm.5226 (SD between people)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.atlas.geometry import Label, label_table, load_regions
from qsmbids.lifespan.curves import Curve, Exponential
from qsmbids.lifespan.norm_prior import growth_of_spread, prior_spread
from qsmbids.lifespan.prior import prior_curve

# ours: what brings the curves from cerebrospinal fluid to the mean of the whole brain. One
# number for all ages, so that the shape of a curve is that of its parameters
WHOLE_BRAIN_OFFSET_PPM = -0.0013
OFFSETS = {'whole-brain': WHOLE_BRAIN_OFFSET_PPM, 'csf': 0.0}

# SD (ppm) between people of 62 years where the prior has none; ours
_SD_OF_GROUP = {'ventricle': 0.003, 'cortex': 0.005}
SIDE_SHARE = 0.3  # SD of half the difference of the sides, as a share of that between people
NOISE_PPM = 0.002  # SD of a side between two visits on the same day
PATIENT_PPM = 0.040  # of the substantia nigra
PATIENT_PPM_PER_YEAR = 0.004  # by which it grows faster from the first visit on
PATIENT_REGION = 'SubstantiaNigra'
SITE_PPM = 0.003  # SD of the shift of a region at a site
YEARS_BETWEEN = 2.0  # visits; give or take a tenth
ATROPHY_PER_YEAR = 0.002  # share of a volume that is lost after 30

_FIRST_EXTRA_INDEX = 201


@dataclass(frozen=True, eq=False)
class People:
    """Who takes part, one entry per person.

    Parameters
    ----------
    labels : tuple of str
        Without ``sub-``.
    sex, site, diagnosis : (n,) str
        F or M; A, B ...; control or patient.
    score : (n,) float
        Clinical score: higher is worse.
    age : (n, sessions) float, years
    """

    labels: tuple[str, ...]
    sex: np.ndarray
    site: np.ndarray
    diagnosis: np.ndarray
    score: np.ndarray
    age: np.ndarray

    @property
    def patients(self) -> np.ndarray:
        """Which people are patients, (n,) bool."""
        return self.diagnosis == 'patient'


@dataclass(frozen=True, eq=False)
class Truth:
    """What generated a cohort.

    Parameters
    ----------
    people : People
    regions : tuple of str
        Without hemisphere, in the order of the atlas.
    labels : tuple of Label
        Rows of the region tables after the whole brain.
    curves : mapping of str to Curve
        Region to its age curve; zero is cerebrospinal fluid.
    reference : str
        Of the tables.
    offset_ppm : float
        Added to the curves.
    chi : (n, sessions, regions) float, ppm
        Average of both sides with everything but the noise between visits.
    site_ppm : mapping of str to (regions,) float
        Shift at each site; the first has none.
    """

    people: People
    regions: tuple[str, ...]
    labels: tuple[Label, ...]
    curves: Mapping[str, Curve]
    reference: str
    offset_ppm: float
    chi: np.ndarray
    site_ppm: Mapping[str, np.ndarray] = field(default_factory=dict)

    def mean(self, region: str, age: ArrayLike) -> np.ndarray | float:
        """Return the curve of a region in the reference of the tables, ppm."""
        return self.curves[region](age) + self.offset_ppm

    def cohort_mean(self, region: str, age: ArrayLike) -> np.ndarray | float:
        """Return `mean` with the average effect of disease and site at the first visit, ppm."""
        ill = PATIENT_PPM * float(self.people.patients.mean()) * (region == PATIENT_REGION)
        column = self.regions.index(region)
        site = float(np.mean([self.site_ppm[s][column] for s in self.people.site.tolist()]))
        return self.mean(region, age) + ill + site

    def sd(self, region: str, age: ArrayLike) -> np.ndarray | float:
        """Return the SD (ppm) of the averaged sides between healthy people at one visit."""
        label = next(label for label in self.labels if label.region == region)
        between = spread(region, label.group, age)
        noise = NOISE_PPM / np.sqrt(1 if label.hemisphere == 'B' else 2)
        return np.hypot(between, noise)


def spread(region: str, group: str, age: ArrayLike) -> np.ndarray | float:
    """Return the SD (ppm) between people of an age; see `qsmbids.lifespan.norm_prior`.

    Examples
    --------
    >>> round(float(spread('CorpusCallosumSplenium', 'white matter', 62)), 4)
    0.008
    """
    try:
        return prior_spread(region, age)
    except ValueError:  # a region without a prior
        return _SD_OF_GROUP[group] * growth_of_spread(age)


def atrophy(age: float) -> float:
    """Return the volume of a region at an age as a share of that at 30 years.

    Examples
    --------
    >>> atrophy(20), atrophy(80)
    (1.0, 0.9)
    """
    return 1 - ATROPHY_PER_YEAR * max(float(age) - 30, 0)


def atlas_regions(n_extra: int = 0) -> tuple[tuple[Label, ...], dict[str, Curve], dict]:
    """Return the regions of the built-in atlas, and as many invented ones as asked for.

    Parameters
    ----------
    n_extra : int
        Rows to add: ``Region001Left``, ``Region001Right`` ... with small growth.

    Returns
    -------
    labels : tuple of Label
    curves : dict of str to Curve
        By region without hemisphere.
    volumes_mm3 : dict of str to float
        Of one side.
    """
    labels = list(label_table())
    volumes = {region.name: region.volume_mm3 for region in load_regions()}
    curves = {name: prior_curve(name) for name in volumes}
    for number in range(n_extra):
        name = f'Region{number // 2 + 1:03d}'
        last_alone = number % 2 == 0 and number == n_extra - 1
        side, long = ('B', '') if last_alone else ('LR'[number % 2], ('Left', 'Right')[number % 2])
        short = f'R{number // 2 + 1:03d}' + (f'-{side}' if long else '')
        index = _FIRST_EXTRA_INDEX + number
        labels.append(Label(index, name + long, short, side, 'cortex', '#9c755f', name))
        # neighbours differ a little, within the range of cortical grey matter
        curves[name] = Exponential(0.006 + 0.001 * (number // 2 % 13), 0.05, -0.002)
        volumes[name] = 1000.0 + 200.0 * (number // 2 % 20)
    return tuple(labels), curves, volumes


def draw_people(
    rng: np.random.Generator,
    n: int,
    *,
    ages: tuple[float, float],
    sessions: int,
    patients: float,
    sites: int,
) -> People:
    """Draw who takes part; diagnosis, sex and site are independent of each other and of age.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int
        Number of people.
    ages : (float, float), years
        At the first visit, uniform.
    sessions : int
        Visits, about ``YEARS_BETWEEN`` apart.
    patients : float, 0 to 1
        Share, rounded to whole people.
    sites : int
    """
    steps = YEARS_BETWEEN * (1 + 0.1 * rng.uniform(-1, 1, (n, sessions)))
    steps[:, 0] = rng.uniform(*ages, n)
    ill = rng.permutation(n) < round(patients * n)
    width = max(2, len(str(n)))
    return People(
        labels=tuple(f'{number:0{width}d}' for number in range(1, n + 1)),
        sex=np.array(['F', 'M'])[rng.permutation(n) % 2],
        site=np.array([chr(ord('A') + i) for i in range(sites)])[rng.permutation(n) % sites],
        diagnosis=np.where(ill, 'patient', 'control'),
        score=np.zeros(n),  # follows from the susceptibility, see draw_truth
        age=np.cumsum(steps, axis=1).round(3),
    )


def draw_truth(
    rng: np.random.Generator,
    people: People,
    labels: tuple[Label, ...],
    curves: Mapping[str, Curve],
    reference: str,
) -> Truth:
    """Draw the susceptibility of every region, person and visit, without noise between visits.

    The clinical score of controls is 5 on average (SD 2), that of patients 25 plus 0.4 for each
    ppb by which their substantia nigra exceeds that of other patients of their age (SD 3).
    """
    groups = {label.region: label.group for label in labels}
    regions = tuple(groups)
    offset = OFFSETS[reference]
    place = rng.standard_normal((len(people.labels), len(regions)))
    chi = np.stack(
        [
            curves[r](people.age) + offset + spread(r, g, people.age) * place[:, i, None]
            for i, (r, g) in enumerate(groups.items())
        ],
        axis=-1,
    )
    nigra = regions.index(PATIENT_REGION)
    since = people.age - people.age[:, :1]
    chi[people.patients, :, nigra] += (PATIENT_PPM + PATIENT_PPM_PER_YEAR * since)[people.patients]
    sites = sorted(set(people.site.tolist()))
    shifts = {s: SITE_PPM * rng.standard_normal(len(regions)) * (s != sites[0]) for s in sites}
    chi += np.array([shifts[s] for s in people.site.tolist()])[:, None]
    above = 1000 * place[:, nigra] * spread(PATIENT_REGION, 'deep grey', people.age[:, 0])
    of_patients = 25 + 0.4 * above + 3 * rng.standard_normal(len(above))
    of_controls = 5 + 2 * rng.standard_normal(len(above))
    score = np.maximum(np.where(people.patients, of_patients, of_controls), 0).round(1)
    people = People(people.labels, people.sex, people.site, people.diagnosis, score, people.age)
    return Truth(people, regions, labels, curves, reference, offset, chi, shifts)
