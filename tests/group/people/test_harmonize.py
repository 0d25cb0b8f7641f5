"""ComBat removes sites and keeps what it should; it refuses where it cannot."""

import numpy as np
import pytest

from qsmbids.group.errors import GroupError
from qsmbids.group.people.harmonize import harmonize
from qsmbids.group.people.linear import fit_model
from qsmbids.group.people.overlap import cramers_v

MODEL = 'chi ~ diagnosis + age + sex'
EFFECT, SHIFT, SCALE = 0.015, 0.04, 2.0


def simulate(scans, n_regions=30, seed=0):
    """Site B measures 40 ppb more and with twice the spread."""
    rng = np.random.default_rng(seed)
    at_b = (scans['site'] == 'B').to_numpy()[:, None]
    patient = (scans['diagnosis'] == 'PD').to_numpy()[:, None]
    noise = 0.01 * rng.standard_normal((len(scans), n_regions)) * np.where(at_b, SCALE, 1)
    age = scans['age'].to_numpy()[:, None]
    return 0.05 + 0.0005 * age + EFFECT * patient + SHIFT * at_b + noise


def test_site_goes_and_diagnosis_stays(people, table, capsys):
    scans = people(200)
    # more patients at B: without keeping the diagnosis, its effect would be taken away
    rng = np.random.default_rng(0)
    odds = np.where(scans['diagnosis'] == 'PD', 0.7, 0.4)
    scans['site'] = np.where(rng.random(200) < odds, 'B', 'A')
    done = harmonize(scans, table(mean=simulate(scans)), 'site', [MODEL])
    assert capsys.readouterr().out == ''
    assert done.table.values['mean'].dtype == np.float32
    model = fit_model(scans, done.table, MODEL + ' + site').coefficients.frame
    site = model[model['term'] == 'site']
    assert abs(site['estimate'].mean()) < 0.001
    assert (site['p'] < 0.05).mean() < 0.1
    found = model[model['coefficient'] == 'diagnosis[PD]']
    assert found['estimate'].mean() == pytest.approx(EFFECT, abs=0.002)
    residual = {}
    new = done.table.values['mean'] - 0.0005 * scans['age'].to_numpy()[:, None]
    new = new - EFFECT * (scans['diagnosis'] == 'PD').to_numpy()[:, None]
    for name in 'AB':
        residual[name] = new[(scans['site'] == name).to_numpy()].std(axis=0).mean()
    assert residual['B'] / residual['A'] == pytest.approx(1, abs=0.1)


def test_table_of_sites(people, table):
    scans = people(200)
    done = harmonize(scans, table(mean=simulate(scans)), 'site', [MODEL])
    frame = done.sites.frame
    assert list(frame.columns) == [name for name, _, _ in done.sites.columns]
    by_site = frame.groupby('site')
    shift = by_site['shift'].mean()
    assert shift['B'] - shift['A'] == pytest.approx(SHIFT, abs=0.002)
    scale = by_site['scale'].mean()
    assert scale['B'] / scale['A'] == pytest.approx(SCALE, rel=0.1)
    assert by_site['n'].first().sum() == 200
    assert 'estimates of this cohort' in str(done.problems[-1])


def test_missing_values_constant_regions_and_unknown_sites(people, table):
    scans = people(120)
    y = simulate(scans, 8)
    y[:20, 0] = np.nan
    y[8:, 1] = np.nan
    y[:, 2] = 0.0
    scans.loc[30, 'site'] = ''
    done = harmonize(scans, table(mean=y), 'site', [MODEL])
    new = done.table.values['mean']
    assert np.isnan(new[:20, 0]).all()
    assert np.isfinite(np.delete(new, 30, axis=0)[20:, 0]).all()
    assert np.isnan(new[:, 1]).all()
    assert (np.delete(new[:, 2], 30) == 0).all()
    assert np.isnan(new[30]).all()
    text = ' '.join(map(str, done.problems))
    assert 'Region1 (mean)' in text
    assert 'without a value of site: sub-0030' in text
    # region 0 is done with the others: its site effect is gone, too
    b, a = (np.nanmean(new[(scans['site'] == s).to_numpy(), 0]) for s in 'BA')
    assert abs(b - a) < 0.01


def test_scattered_gaps_change_little(people, table):
    scans = people(200)
    y = simulate(scans)
    gaps = np.where(np.random.default_rng(1).random(y.shape) < 0.02, np.nan, y)
    whole, holed = (
        harmonize(scans, table(mean=v), 'site', [MODEL]).table.values['mean'] for v in (y, gaps)
    )
    assert (np.isnan(holed) == np.isnan(gaps)).all()
    # a tenth of the noise between people
    assert np.nanstd(holed - whole) < 0.001


def test_single_region(people, table):
    scans = people(60)
    done = harmonize(scans, table(mean=simulate(scans, 1)), 'site', [MODEL])
    assert np.isfinite(done.table.values['mean']).all()


def test_several_measures(people, table):
    scans = people(60)
    y = simulate(scans)
    done = harmonize(scans, table(mean=y, volume_mm3=1e4 * y), 'site', [MODEL],
                     ['mean', 'volume_mm3'])  # fmt: skip
    new = done.table.values
    np.testing.assert_allclose(new['volume_mm3'], 1e4 * new['mean'], rtol=1e-3)
    assert set(done.sites.frame['measure']) == {'mean', 'volume_mm3'}


def confounded(scans, kind):
    patient = scans['diagnosis'] == 'PD'
    if kind == 'same as diagnosis':
        scans['site'] = np.where(patient, 'B', 'A')
    elif kind == 'one mixed site':
        scans['site'] = np.where(patient & (np.arange(len(scans)) % 2 == 0), 'B', 'A')
    elif kind == 'other ages':
        scans['site'] = np.where(scans['age'] > 50, 'B', 'A')
    elif kind == 'one site':
        scans['site'] = 'A'
    elif kind == 'small site':
        scans['site'] = np.where(np.arange(len(scans)) < 4, 'B', 'A')
    return scans


@pytest.mark.parametrize(
    ('kind', 'words'),
    [
        ('same as diagnosis', 'site and diagnosis are confounded'),
        ('one mixed site', 'site and diagnosis are confounded'),
        ('other ages', 'site and age are confounded'),
        ('one site', 'same site'),
        ('small site', r'Too few people at site B \(4\)'),
    ],
)
def test_refused(people, table, kind, words):
    scans = confounded(people(), kind)
    with pytest.raises(GroupError, match=words) as caught:
        harmonize(scans, table(mean=np.random.default_rng(0).random((120, 5))), 'site', [MODEL])
    assert len(str(caught.value).splitlines()) == 3


def test_nothing_to_keep(people, table):
    with pytest.raises(GroupError, match='nothing to keep'):
        harmonize(people(), table(mean=np.ones((120, 2))), 'site', ['chi ~ site'])


def test_one_site_with_one_group_beside_mixed_ones_is_told(people, table):
    scans = people(150)
    control = scans['diagnosis'] == 'control'
    scans.loc[control & (np.arange(150) % 5 == 1), 'site'] = 'C'
    done = harmonize(scans, table(mean=simulate(scans)), 'site', [MODEL])
    assert any('site C has one group of diagnosis only' in str(p) for p in done.problems)


def test_cramers_v_of_independent_names():
    a = np.tile(['x', 'y'], 50)
    b = np.repeat(['1', '2'], 50)
    assert cramers_v(a, b) == pytest.approx(0)
