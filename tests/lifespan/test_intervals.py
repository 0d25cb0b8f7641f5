import numpy as np
import pytest

from qsmbids.lifespan.curves import Exponential, Poisson
from qsmbids.lifespan.fit import fit_curve

AGE = np.random.default_rng(11).uniform(1, 83, 120)
NOISE = np.random.default_rng(12).standard_normal(120)
PUTAMEN = Exponential(0.0965, 0.04, 0.01)
WHITE = Poisson.from_depth(depth=-0.025, time_constant=30, offset=-0.01)


def lmfit_intervals(function, value, **start):
    import lmfit

    model = lmfit.Model(function)
    result = model.fit(value, age=AGE, **start)
    table = result.conf_interval(sigmas=[0.95])
    return {name: (rows[0][1], rows[-1][1]) for name, rows in table.items()}


def test_profile_of_the_exponential_is_that_of_lmfit():
    value = PUTAMEN(AGE) + 0.012 * NOISE
    fit = fit_curve(AGE, value, spread='constant')
    expected = lmfit_intervals(
        lambda age, alpha, beta, gamma: alpha * (1 - np.exp(-beta * age)) + gamma,
        value, alpha=0.09, beta=0.05, gamma=0.0,
    )  # fmt: skip
    for name, interval in expected.items():
        width = interval[1] - interval[0]
        assert fit.intervals[name] == pytest.approx(interval, abs=0.01 * width)


def test_profile_of_a_derived_quantity_is_that_of_its_reparameterisation():
    value = PUTAMEN(AGE) + 0.012 * NOISE
    fit = fit_curve(AGE, value, spread='constant')
    expected = lmfit_intervals(
        lambda age, plateau, t90, gamma: (
            gamma + (plateau - gamma) * (1 - np.exp(-np.log(10) / t90 * age))
        ),
        value, plateau=0.1, t90=50.0, gamma=0.0,
    )  # fmt: skip
    derived = {d.name: (d.low, d.high) for d in fit.derived}
    for ours, theirs in (('plateau', 'plateau'), ('age_at_90_percent', 't90')):
        width = np.ptp(expected[theirs])
        assert derived[ours] == pytest.approx(expected[theirs], abs=0.01 * width)


def test_profile_of_the_poisson_depth_is_that_of_lmfit():
    value = WHITE(AGE) + 0.006 * NOISE
    fit = fit_curve(AGE, value, 'poisson', spread='constant')
    expected = lmfit_intervals(
        lambda age, depth, turn, birth: depth * age / turn * np.exp(1 - age / turn) + birth,
        value, depth=-0.02, turn=35.0, birth=0.0,
    )  # fmt: skip
    derived = {d.name: (d.low, d.high) for d in fit.derived}
    for ours, theirs in (('depth', 'depth'), ('extremum_age', 'turn'),
                         ('value_at_birth', 'birth')):  # fmt: skip
        width = np.ptp(expected[theirs])
        assert derived[ours] == pytest.approx(expected[theirs], abs=0.01 * width)


def test_extremum_of_a_parabola_is_that_of_fieller():
    value = 0.02 + 0.0016 * AGE - 1.6e-5 * AGE**2 + 0.006 * NOISE
    fit = fit_curve(AGE, value, 'quadratic', spread='constant')
    from scipy.stats import t

    columns = np.vander(AGE, 3, increasing=True)
    coef, ss = np.linalg.lstsq(columns, value, rcond=None)[:2]
    covariance = np.linalg.inv(columns.T @ columns) * ss[0] / (AGE.size - 3)
    q = t.ppf(0.975, AGE.size - 3) ** 2
    b, c = coef[1], coef[2]
    v = covariance[1:, 1:]
    roots = np.roots(
        [4 * (c**2 - q * v[1, 1]), 4 * (b * c - q * v[0, 1]), b**2 - q * v[0, 0]]
    )  # (b + 2 c age)² = q var(b + 2 c age)
    at = fit.derived[0]
    assert at.value == pytest.approx(-b / (2 * c))
    assert (at.low, at.high) == pytest.approx(sorted(roots), rel=1e-5)
    top = fit.derived[1]
    assert top.low < top.value < top.high
    assert top.value == pytest.approx(fit.predict(at.value))


@pytest.mark.parametrize('family', ['linear', 'cubic', 'exponential', 'poisson', 'spline'])
def test_band_contains_the_curve_and_grows_with_the_level(family):
    value = PUTAMEN(AGE) + 0.012 * NOISE
    ages = np.array([0.0, 5, 30, 60, 83])
    fit, wide = (fit_curve(AGE, value, family, level=level) for level in (0.95, 0.99))
    low, high = fit.band(ages)
    assert (low < fit.predict(ages)).all()
    assert (fit.predict(ages) < high).all()
    assert (np.subtract(*wide.band(ages)[::-1]) > high - low).all()


def test_band_at_birth_is_the_interval_of_the_value_at_birth():
    fit = fit_curve(AGE, PUTAMEN(AGE) + 0.012 * NOISE)
    low, high = fit.band([0.0])
    assert (low[0], high[0]) == pytest.approx(fit.intervals['gamma'])


def test_intervals_shrink_with_the_root_of_the_number_of_people():
    value = PUTAMEN(AGE) + 0.004 * NOISE
    one = fit_curve(AGE, value, spread='constant')
    four = fit_curve(np.tile(AGE, 4), np.tile(value, 4), spread='constant')
    for a, b in zip(one.derived, four.derived, strict=True):
        assert (a.high - a.low) / (b.high - b.low) == pytest.approx(2, rel=0.1)


def test_without_intervals_the_curve_is_the_same():
    value = PUTAMEN(AGE) + 0.012 * NOISE
    fit, bare = (fit_curve(AGE, value, intervals=flag) for flag in (True, False))
    assert bare.values == fit.values
    assert bare.identifiable
    assert np.isnan(list(bare.intervals.values())).all()
    assert [d.value for d in bare.derived] == [d.value for d in fit.derived]
    assert np.isnan([d.low for d in bare.derived]).all()


def coverage(curve, family, sd, cohorts, robust=False):
    inside = []
    for seed in range(cohorts):
        rng = np.random.default_rng([seed, 99])
        age = rng.uniform(1, 83, 190)
        noise = sd * 2 ** ((age - 62) / 62) * rng.standard_normal(190)
        fit = fit_curve(age, curve(age) + noise, family, robust=robust)
        true = dict(zip(fit.names, vars(curve).values(), strict=True))
        low, high = fit.band([5, 40, 80])
        inside.append(
            [fit.intervals[n][0] < true[n] < fit.intervals[n][1] for n in fit.names]
            + list((low < curve([5, 40, 80])) & (curve([5, 40, 80]) < high))
        )
    return np.mean(inside)


def test_intervals_and_band_cover_the_truth():
    # 95 % on average over six correlated quantities; 35 cohorts: error about 2.5 points
    assert 0.885 < coverage(PUTAMEN, 'exponential', 0.0206, 35) < 0.99
    assert 0.885 < coverage(WHITE, 'poisson', 0.0101, 35) < 0.99


def test_robust_intervals_cover_the_truth_too():
    assert 0.86 < coverage(PUTAMEN, 'exponential', 0.0206, 15, robust=True) < 0.995


def test_a_second_valley_of_the_profile_widens_the_interval():
    from qsmbids.lifespan.families import PoissonFamily
    from qsmbids.lifespan.intervals import profile_region
    from qsmbids.lifespan.mean import profile

    rng = np.random.default_rng(5)
    age = rng.uniform(1, 83, 60)
    value = 0.3 * WHITE(age) + 0.012 * rng.standard_normal(60)
    family = PoissonFamily(age)
    weight = np.full(60, 1 / 0.012**2)
    shapes = np.geomspace(*family.shape_bounds(), 400)
    squares = profile(family, age, value, weight, shapes).squares
    best = shapes[squares.argmin()]
    for allowed in (0.5, 1.0, 2.0, 4.0):
        region = profile_region(family, age, value, weight, best, allowed)
        fits = shapes[squares <= squares.min() + allowed]
        assert region.shapes[0] <= fits[0] * 1.02
        assert region.shapes[-1] >= fits[-1] / 1.02
        assert (region.slack >= 0).all()
