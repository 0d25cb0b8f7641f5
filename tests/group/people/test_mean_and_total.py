"""Whether iron and atrophy can be told apart in simulated nuclei."""

import numpy as np
import pytest

from qsmbids.group.people.mean_and_total import mean_and_total, reading


def nuclei(scans, *, iron=1.0, shrunk=1.0, seed=5):
    """Two regions: patients have ``iron`` times the total in ``shrunk`` times the volume."""
    rng = np.random.default_rng(seed)
    n = len(scans)
    patient = (scans['diagnosis'] == 'PD').to_numpy()[:, None]
    total = 100 * np.where(patient, [iron, 1.0], 1.0) * (1 + 0.08 * rng.standard_normal((n, 2)))
    volume = 1000 * np.where(patient, [shrunk, 1.0], 1.0)
    volume = volume * (1 + 0.08 * rng.standard_normal((n, 2)))
    return {'mean': total / volume, 'total': total, 'volume_mm3': volume}


def reading_of(people, table, **truth):
    scans = people(200)
    values = nuclei(scans, **truth)
    result, problems = mean_and_total(scans, table(**values), 'chi ~ diagnosis + age')
    assert not problems
    frame = result.frame
    assert list(frame.columns) == [name for name, _, _ in result.columns]
    mine = frame[(frame['region'] == 'Region0') & (frame['coefficient'] == 'diagnosis[PD]')]
    return mine.iloc[0]


def test_atrophy_without_iron(people, table):
    row = reading_of(people, table, shrunk=0.8)
    assert row['mean_estimate'] == pytest.approx(0.025, abs=0.006)
    assert row['total_q'] > 0.05
    assert 'shrinkage may explain it' in row['reading']


def test_iron_without_atrophy(people, table):
    row = reading_of(people, table, iron=1.3)
    assert row['total_estimate'] == pytest.approx(30, abs=5)
    assert row['reading'] == (
        'mean higher, total higher, no difference of the volume found: volume does not explain it'
    )


def test_both(people, table):
    row = reading_of(people, table, iron=1.3, shrunk=0.8)
    assert 'more than volume explains' in row['reading']


def test_neither(people, table):
    assert reading_of(people, table)['reading'] == 'no difference found'


def test_measures_that_are_not_there_or_empty(people, table):
    scans = people(100)
    values = nuclei(scans)
    values['high_mean'] = np.full((100, 2), np.nan)
    result, problems = mean_and_total(scans, table(**values), 'volume_mm3 ~ diagnosis')
    assert 'high_mean' in str(problems[0])
    assert 'right_minus_left_p' not in result.frame


@pytest.mark.parametrize(
    ('mean', 'total', 'volume', 'typical', 'expected'),
    [
        (1, 0, -1, 0.1, 'shrinkage may explain'),
        (-1, 0, -1, -0.1, 'shrinkage may explain'),
        (1, 0, -1, -0.1, 'change together'),
        (-1, 0, 1, 0.1, 'a larger volume may explain'),
        (1, -1, -1, 0.1, 'volume outweighs'),
        (0, -1, -1, 0.1, 'volume without a change of the mean'),
        (1, 0, 0, 0.1, 'the mean alone'),
        (0, 1, 0, 0.1, 'the total alone'),
    ],
)
def test_rule(mean, total, volume, typical, expected):
    cells = {}
    for name, way in (('mean', mean), ('total', total), ('volume_mm3', volume)):
        cells |= {f'{name}_estimate': float(way or 1), f'{name}_q': 0.01 if way else 0.5}
    assert expected in reading(cells, typical)


def test_reading_of_what_was_not_tested():
    assert reading({'mean_q': np.nan}, 0.1) == 'mean not tested'
    assert reading({'mean_q': 0.01, 'mean_estimate': 1.0}, 0.1).startswith('mean higher; total')
