"""Do the age curves come back? Simulated cohorts with published noise, fitted again.

    python benchmarks/lifespan_recovery.py                    # 200 cohorts of 190 people each
    python benchmarks/lifespan_recovery.py --cohorts 1000 --seed 1
    python benchmarks/lifespan_recovery.py --sd-ratio 1       # the same spread at all ages
    python benchmarks/lifespan_recovery.py --white-sd 0.0101  # white matter, hard

Each cohort has 190 people whose ages are uniform between 1 and 83 years, as many as Li et al.
2014 had. Their values are the engineering prior of ``qsmbids.lifespan.prior`` plus a normal
deviation, whose standard deviation at 62 years is a published one (below) and grows by a
constant factor per year: by default it is half as large at birth. That factor is a choice of
this benchmark; no study gives it.

Standard deviations at 62 years are those between the people of Min 2024 (mean age 62 years):
of the paramagnetic part for nuclei, of the diamagnetic part for white matter (splenium;
posterior thalamic radiation for the optic radiation; posterior limb of the internal capsule
for the peduncle; table chi_dia_ROI_stats.csv of github.com/SNU-LIST/chi-separation-atlas). A
total susceptibility may scatter more; ``--white-sd 0.0101`` takes the 10.1 ppb that were found
between people in the external sagittal stratum at high field for all white matter.

Bias is given in per cent of the true value; the value at birth is zero in the nuclei, so that
its bias is in per cent of the total growth (depth). Coverage is the share of cohorts whose
95 % interval contains the truth. Binomial error of 200 cohorts: 1.5 points at 95 %.
"""

from __future__ import annotations

import argparse

import numpy as np

from qsmbids.lifespan.curves import Exponential
from qsmbids.lifespan.fit import fit_curve
from qsmbids.lifespan.prior import prior_curve

PEOPLE, YOUNGEST, OLDEST = 190, 1.0, 83.0
SD_AGE = 62.0
# standard deviation between people at 62 years, ppm
SD = {
    'GlobusPallidusInternal': 0.0104,
    'Putamen': 0.0206,
    'Caudate': 0.0074,
    'SubstantiaNigra': 0.0144,
    'RedNucleus': 0.0148,
    'CorpusCallosumSplenium': 0.0029,
    'OpticRadiation': 0.0036,
    'CerebralPeduncle': 0.0029,
}
WHITE = ('CorpusCallosumSplenium', 'OpticRadiation', 'CerebralPeduncle')


def truth(structure: str) -> dict[str, float]:
    """Return the derived quantities of the prior's curve."""
    curve = prior_curve(structure)
    if isinstance(curve, Exponential):
        return {
            'total_growth': curve.alpha,
            'age_at_90_percent': curve.plateau_age(0.9),
            'value_at_birth': curve.gamma,
            'plateau': curve.alpha + curve.gamma,
        }
    depth = curve(curve.extremum_age) - curve.offset
    return {
        'extremum_age': curve.extremum_age,
        'depth': depth,
        'extremum': depth + curve.offset,
        'value_at_birth': curve.offset,
    }


def simulate(
    structure: str, rng: np.random.Generator, sd_ratio: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return ages and values of one cohort."""
    age = rng.uniform(YOUNGEST, OLDEST, PEOPLE)
    sd = SD[structure] * sd_ratio ** ((age - SD_AGE) / SD_AGE)
    return age, prior_curve(structure)(age) + sd * rng.standard_normal(PEOPLE)


def recover(structure: str, cohorts: int, seed: int, sd_ratio: float) -> list[str]:
    """Return the table rows of a structure."""
    expected = truth(structure)
    family = 'exponential' if 'plateau' in expected else 'poisson'
    unit = abs(expected.get('total_growth', expected.get('depth')))
    rng = np.random.default_rng([seed, list(SD).index(structure)])
    found = {name: [] for name in expected}
    slopes, known, better = [], 0, 0
    for _ in range(cohorts):
        age, value = simulate(structure, rng, sd_ratio)
        fit = fit_curve(age, value, family)
        line = fit_curve(age, value, 'linear', intervals=False)
        better += fit.aicc < line.aicc
        known += fit.identifiable
        slopes.append((fit.spread.s1, *fit.spread.s1_interval))
        if fit.identifiable:
            for quantity in fit.derived:
                found[quantity.name].append((quantity.value, quantity.low, quantity.high))
    rows = []
    expected['spread_slope'] = np.log(sd_ratio) / SD_AGE
    found['spread_slope'] = slopes
    for name, true in expected.items():
        value, low, high = np.array(found[name]).T
        size = unit if name == 'value_at_birth' else abs(true) or 0.01
        mean, median = 100 * (value.mean() - true) / size, 100 * (np.median(value) - true) / size
        cover = 100 * np.mean((low <= true) & (true <= high))
        rows.append(
            f'| {structure} | {name} | {true:.4g} | {mean:+.1f} | {median:+.1f} '
            f'| {100 * value.std(ddof=1) / size:.0f} | {cover:.1f} '
            f'| {100 * known / cohorts:.0f} | {100 * better / cohorts:.0f} |'
        )
    return rows


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--cohorts', type=int, default=200)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--sd-ratio', type=float, default=2.0, help='SD at 62 years / at birth')
    parser.add_argument('--white-sd', type=float, help='SD of white matter at 62 years, ppm')
    parser.add_argument('--structure', nargs='+', default=list(SD), choices=list(SD))
    args = parser.parse_args()
    if args.white_sd is not None:
        SD.update(dict.fromkeys(WHITE, args.white_sd))
    print(
        '| structure | quantity | truth | mean bias (%) | median bias (%) | SD (%) '
        '| coverage (%) | identifiable (%) | better than linear (%) |\n'
        '|---|---|---|---|---|---|---|---|---|'
    )
    for structure in args.structure:
        for row in recover(structure, args.cohorts, args.seed, args.sd_ratio):
            print(row, flush=True)


if __name__ == '__main__':
    main()
