"""Measure norms on simulated people: false positives, power, choice of the curve, tests.

    python benchmarks/norms.py flags      [--cohorts 30] [--people 200]
    python benchmarks/norms.py families   [--cohorts 100]
    python benchmarks/norms.py tests      [--cohorts 300]

People are as the built-in prior has them (engineering prior, not published values): its curves,
its spread that grows with age, independent regions. The tables of docs/norms.md come from here.
"""

from __future__ import annotations

import argparse

import numpy as np

from qsmbids.lifespan.choice import choose_curve, nested_test
from qsmbids.lifespan.fit import fit_curve
from qsmbids.lifespan.flags import FAR, flag
from qsmbids.lifespan.norm_fit import norm_of_fit
from qsmbids.lifespan.norm_prior import prior_norms, prior_spread
from qsmbids.lifespan.prior import prior_curve

REGIONS = tuple(norm.region for norm in prior_norms().norms)
FAMILIES = ('constant', 'linear', 'exponential', 'poisson')
NIGRA = REGIONS.index('SubstantiaNigra')
MORE = 0.040  # ppm in the substantia nigra of a patient


def people(region: str, age: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return values of healthy people in ppm."""
    sd = np.array([prior_spread(region, a) for a in age])
    return prior_curve(region)(age) + sd * rng.standard_normal(age.size)


def measure_flags(cohorts: int, n: int, held_out: int = 400) -> None:
    """Fit norms on n people, apply them to others, and to patients."""
    z_own, z_new, any_flag, beyond = [], [], [], []
    patients: dict[int, list[tuple[bool, bool]]] = {10: [], 30: [], 50: [], 62: [], 75: []}
    for seed in range(cohorts):
        rng = np.random.default_rng(seed)
        age = rng.uniform(1, 83, n)
        new = rng.uniform(age.min(), age.max(), held_out)
        p = np.empty((held_out, len(REGIONS)))
        sick = {a: np.empty((held_out, len(REGIONS))) for a in patients}
        for column, region in enumerate(REGIONS):
            value = people(region, age, rng)
            norm = norm_of_fit(choose_curve(age, value, FAMILIES).fit, age, region=region)
            z_own.append(norm.scores(age, value).z)
            scores = norm.scores(new, people(region, new, rng))
            z_new.append(scores.z)
            p[:, column] = scores.p
            for at, table in sick.items():
                years = np.full(held_out, float(at))
                shifted = people(region, years, rng) + MORE * (column == NIGRA)
                table[:, column] = norm.scores(years, shifted).p
        any_flag.append(flag(p)[1].any(axis=1).mean())
        for at, table in sick.items():
            flagged = flag(table)[1]
            alone = flagged[:, NIGRA] & (flagged.sum(axis=1) == 1)
            patients[at].append((flagged[:, NIGRA].mean(), alone.mean()))
        beyond.append((np.abs(np.array(z_new[-len(REGIONS) :])) > FAR).mean())
    own, others = np.concatenate(z_own), np.concatenate(z_new)
    print(f'{cohorts} norms of {n} people, {len(REGIONS)} regions, {held_out} others each')
    print(f'z of the people of the norm: mean {own.mean():+.3f}, SD {own.std():.3f}')
    print(f'z of others: mean {others.mean():+.3f}, SD {others.std():.3f}, '
          f'beyond 2: {100 * np.mean(beyond):.2f} % (4.55 % expected)')  # fmt: skip
    print(f'healthy people with a flagged region: {100 * np.mean(any_flag):.2f} % '
          f'(+- {100 * np.std(any_flag) / np.sqrt(cohorts):.2f})')  # fmt: skip
    for at, found in patients.items():
        nigra, alone = 100 * np.mean(found, axis=0)
        sd = 1000 * prior_spread('SubstantiaNigra', at)
        print(f'patient of {at} years, +40 ppb at an SD of {sd:.1f} ppb: '
              f'nigra flagged {nigra:.0f} %, it alone {alone:.0f} %')  # fmt: skip


def measure_families(cohorts: int) -> None:
    """Count how often each curve is chosen by AICc when one is true."""
    truths = ('GlobusPallidusInternal', 'SubstantiaNigra', 'Putamen', 'Caudate',
              'CorpusCallosumSplenium', 'CerebralPeduncle', 'ThalamusMedian')  # fmt: skip
    heads = [*FAMILIES, 'true > linear']
    print('truth'.ljust(26) + 'n'.rjust(4) + ''.join(head.rjust(14) for head in heads))
    for region in truths:
        for n in (100, 190):
            chosen, over_line = [], 0
            true = type(prior_curve(region)).__name__.lower()
            for seed in range(cohorts):
                rng = np.random.default_rng(seed)
                age = rng.uniform(1, 83, n)
                value = people(region, age, rng)
                choice = choose_curve(age, value, FAMILIES, intervals=False)
                chosen.append(choice.best)
                over_line += choice.fits[true].aicc < choice.fits['linear'].aicc
            shares = [100 * chosen.count(family) / cohorts for family in FAMILIES]
            shares.append(100 * over_line / cohorts)
            print(region.ljust(26) + f'{n:4d}' + ''.join(f'{s:12.0f} %' for s in shares))


def measure_tests(cohorts: int) -> None:
    """Count how often p against the constant is below 0.05 when nothing changes with age."""
    for n in (30, 100):
        below = dict.fromkeys(FAMILIES[1:], 0)
        for seed in range(cohorts):
            rng = np.random.default_rng(seed)
            age, value = rng.uniform(1, 83, n), 0.01 * rng.standard_normal(n)
            flat = fit_curve(age, value, 'constant', intervals=False)
            for family in below:
                fit = fit_curve(age, value, family, intervals=False)
                below[family] += nested_test(flat, fit)['p'] < 0.05
        shares = ', '.join(f'{f} {100 * k / cohorts:.1f} %' for f, k in below.items())
        print(f'n = {n}, p against the constant below 0.05: {shares}')


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('flags', 'families', 'tests'))
    parser.add_argument('--cohorts', type=int)
    parser.add_argument('--people', type=int, default=200)
    args = parser.parse_args()
    if args.what == 'flags':
        measure_flags(args.cohorts or 30, args.people)
    elif args.what == 'families':
        measure_families(args.cohorts or 100)
    else:
        measure_tests(args.cohorts or 300)


if __name__ == '__main__':
    main()
