import json

import numpy as np
import pytest
from scipy import stats

from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.flags import fdr, flag
from qsmbids.lifespan.norm_prior import prior_norms
from qsmbids.lifespan.norms import Norm, NormSet

AGES = tuple(np.arange(0.0, 81.0, 2.0))
MEAN = tuple(0.1 * (1 - np.exp(-0.05 * np.array(AGES))))


def norm(**changed):
    given = {'region': 'Putamen', 'hemisphere': 'B', 'age': AGES, 'mean': MEAN,
             'sd': (0.01,) * len(AGES), 'n': 50}  # fmt: skip
    return Norm(**given | changed)


def norms(*members, **changed):
    given = {'name': 'mine', 'atlas': 'QSMLifespan', 'reference': 'whole-brain',
             'field_strength_t': 3.0, 'provenance': {'n': 50, 'ages': [0, 80]}}  # fmt: skip
    return NormSet(members or (norm(),), **given | changed)


def scan(**changed):
    given = {'reference': 'whole-brain', 'units': 'ppm', 'field_strength_t': 3.0,
             'curve_offset': -0.01}  # fmt: skip
    return given | changed


# --------------------------------------------------------------------------------- scores
def test_without_uncertainty_z_is_the_distance_in_standard_deviations():
    scores = norm().scores(31.3, 0.1 * (1 - np.exp(-0.05 * 31.3)) + np.array([-0.02, 0, 0.01]))
    assert scores.z == pytest.approx([-2, 0, 1], abs=2e-3)
    assert scores.centile == pytest.approx(100 * stats.norm.cdf(scores.z))
    assert scores.p == pytest.approx(2 * stats.norm.sf(np.abs(scores.z)))


def test_an_uncertain_norm_widens_what_is_normal():
    few = norm(mean_se=(0.005,) * len(AGES), df=(10.0,) * len(AGES))
    scores = few.scores(40, few.expected(40) + 0.03)
    t = 0.03 / np.hypot(0.01, 0.005)
    assert scores.sd == pytest.approx(np.hypot(0.01, 0.005))
    assert scores.p == pytest.approx(2 * stats.t.sf(t, 10))
    assert scores.z == pytest.approx(stats.norm.isf(stats.t.sf(t, 10)))
    assert scores.z < norm().scores(40, few.expected(40) + 0.03).z == pytest.approx(3)


def test_a_shift_moves_the_norm_and_nothing_else():
    plain, moved = norm().scores(40, 0.09), norm().scores(40, 0.07, shift=-0.02)
    assert moved.z == pytest.approx(plain.z)
    assert moved.expected == pytest.approx(plain.expected - 0.02)


def test_there_is_no_score_outside_the_ages_or_without_a_value():
    scores = norm().scores([81.0, np.nan, 40.0], [0.08, 0.08, np.nan])
    assert np.isnan([scores.z, scores.centile, scores.p]).all()
    assert np.isfinite(scores.expected).tolist() == [False, False, True]


def test_values_far_out_keep_a_finite_and_ordered_z():
    z = norm().scores(40, [-5.0, 0.09, 0.39, 5.0]).z
    assert np.isfinite(z).all()
    assert (np.diff(z) > 0).all()


# ---------------------------------------------------------------------------------- flags
def test_fdr_keeps_what_is_missing_and_treats_each_row_alone():
    p = np.array([[0.01, np.nan, 0.04], [0.5, 0.5, 0.5], [np.nan] * 3])
    adjusted = fdr(p)
    assert adjusted[0] == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert adjusted[1] == pytest.approx([0.5] * 3)
    assert np.isnan(adjusted[2]).all()


def test_five_of_a_hundred_healthy_people_have_a_flagged_region():
    z = np.random.default_rng(1).standard_normal((20000, 20))
    # independent regions, and regions that share half of their variance
    for together in (0.0, 0.5):
        shared = np.sqrt(together) * z[:, :1] + np.sqrt(1 - together) * np.c_[z[:, 1:], z[::-1, 1]]
        _, flagged = flag(2 * stats.norm.sf(np.abs(shared)))
        rate = flagged.any(axis=1).mean()
        assert rate < 0.055
        if together == 0:
            assert rate > 0.045


def test_a_single_region_has_to_lie_three_deviations_out_among_twenty():
    p = np.full(20, 0.5)
    for z, expected in ((2.9, False), (3.1, True)):
        p[7] = 2 * stats.norm.sf(z)
        assert flag(p)[1].tolist() == [False] * 7 + [expected] + [False] * 12


# ------------------------------------------------------------------------------- refusals
def test_a_scan_like_the_norms_is_accepted():
    assert norms().refusal(**scan()) is None
    assert norms().refusal(**scan(field_strength_t=2.89)) is None
    assert norms(field_strength_t=None).refusal(**scan(field_strength_t=np.nan)) is None


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        ({'reference': 'csf'}, 'relative to csf'),
        ({'reference': 'none'}, 'relative to none'),
        ({'reference': ''}, 'an unknown reference'),
        ({'units': 'ppb'}, 'is in ppb'),
        ({'units': ''}, 'an unknown unit'),
        ({'field_strength_t': 1.5}, 'at 1.5 T'),
        ({'field_strength_t': 7.0}, 'at 7 T'),
        ({'field_strength_t': np.nan}, 'an unknown field strength'),
    ],
)
def test_a_scan_unlike_the_norms_is_refused(changed, words):
    reason = norms().refusal(**scan(**changed))
    assert len(reason) == 3
    assert words in reason[0]


def test_the_prior_is_moved_or_refused():
    prior = prior_norms()
    assert prior.refusal(**scan(field_strength_t=7.0)) is None
    assert 'no recorded offset' in prior.refusal(**scan(curve_offset=np.nan))[0]
    assert 'no reference' in prior.refusal(**scan(reference='none'))[0]


# ---------------------------------------------------------------------------------- files
@pytest.mark.parametrize('original', [norms(), prior_norms()], ids=['fitted', 'prior'])
def test_a_file_gives_back_the_norms_and_the_same_bytes(original):
    text = original.to_json()
    again = NormSet.from_json(text)
    assert again.to_json() == text
    age = np.linspace(*original.norms[0].age_range, 50)
    for old, new in zip(original.norms, again.norms, strict=True):
        assert new.expected(age) == pytest.approx(old.expected(age), abs=1e-7)
        assert new.scores(age, 0.05).z == pytest.approx(old.scores(age, 0.05).z, abs=1e-3)
    assert again.notice == original.notice
    assert again.field_strength_t == original.field_strength_t


def test_the_file_can_be_read_by_a_person():
    lines = norms().to_json().splitlines()
    assert len(lines) < 50
    assert any(line.strip().startswith('"age": [0.0, 2.0, 4.0') for line in lines)


def broken(change):
    content = json.loads(norms(norm(), norm(region='Caudate')).to_json())
    change(content)
    return json.dumps(content)


def table_of(content):
    return content['regions'][0]['table']


BROKEN = {
    'is no JSON': lambda c: None,
    'does not say "format"': lambda c: c.update(format='something'),
    'schema version 2.0': lambda c: c.update(schema_version='2.0'),
    "no entry 'map'": lambda c: c.pop('map'),
    "no entry 'field_strength_t'": lambda c: c['map'].pop('field_strength_t'),
    "no entry 'reference'": lambda c: c['map'].pop('reference'),
    "no entry 'provenance'": lambda c: c.pop('provenance'),
    "no entry 'sd'": lambda c: table_of(c).pop('sd'),
    'wrong kind': lambda c: c['map'].update(field_strength_t='three'),
    'instead of a text': lambda c: c['map'].update(reference=''),
    'instead of true or false': lambda c: c['map'].update(follows_reference='no'),
    'holds no region': lambda c: c.update(regions=[]),
    'holds a region twice': lambda c: c['regions'].append(c['regions'][0]),
    'not average or separate': lambda c: c['map'].update(hemispheres='both'),
    'which is not L, R or B': lambda c: c['regions'][0].update(hemisphere='left'),
    'ages but 40 values of mean': lambda c: table_of(c)['mean'].pop(),
    'values of df': lambda c: table_of(c).update(df=[3]),
    'do not rise': lambda c: table_of(c)['age'].reverse(),
    'negative': lambda c: table_of(c)['age'].__setitem__(0, -1),
    'not above zero': lambda c: table_of(c)['sd'].__setitem__(3, 0),
    'no finite number': lambda c: table_of(c)['mean'].__setitem__(3, float('nan')),
    'fewer than two ages': lambda c: c['regions'][0].update(
        table={'age': [3], 'mean': [0.1], 'sd': [0.1]}
    ),
}


@pytest.mark.parametrize('words', BROKEN)
def test_a_broken_file_is_refused_in_three_lines_with_its_name(words):
    text = '{"format"' if words == 'is no JSON' else broken(BROKEN[words])
    with pytest.raises(LifespanError) as info:
        NormSet.from_json(text, 'here/norms.json')
    lines = str(info.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith('here/norms.json ')
    assert words in lines[0]


FOLLOWERS = {
    'a fitted norm': lambda c: c.update(json.loads(norms().to_json())),
    'another spread': lambda c: table_of(c)['sd'].__setitem__(3, 0.05),
    'another atlas': lambda c: c['map'].update(atlas='Mine'),
    'no warning': lambda c: c.update(notice=''),
}


@pytest.mark.parametrize('change', FOLLOWERS)
def test_only_the_built_in_prior_follows_the_reference(change):
    content = json.loads(prior_norms().to_json())
    assert NormSet.from_json(json.dumps(content)).follows_reference
    FOLLOWERS[change](content)
    content['map']['follows_reference'] = True
    with pytest.raises(LifespanError, match='is not the built-in prior') as info:
        NormSet.from_json(json.dumps(content), 'here/norms.json')
    lines = str(info.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith('here/norms.json ')


def test_a_later_minor_version_with_more_entries_can_be_read():
    text = broken(lambda c: c.update(schema_version='1.7', more=[1]))
    assert len(NormSet.from_json(text).norms) == 2
