"""Which template a person is compared with."""

from dataclasses import replace

import pytest

from qsmbids.config import Config
from qsmbids.plan.planner import make_plan
from qsmbids.workflows.acquisition import init_acquisition_wf
from qsmbids.workflows.atlas_ages import ages_outside, atlas_ages
from qsmbids.workflows.atlas_choice import choose_atlas


@pytest.fixture
def config(coarse_dataset, tmp_path):
    return Config(coarse_dataset, tmp_path / 'out', tmp_path / 'work', omp_nthreads=1)


@pytest.fixture
def acquisition(coarse_dataset):
    return make_plan(coarse_dataset, participant_labels=('01',)).acquisitions[0]


def of_age(acquisition, age):
    return replace(acquisition, age_years=replace(acquisition.age_years, value=age))


def choice(acquisition, config):
    return choose_atlas([acquisition], config)[acquisition.key]


def test_template_between_two_middles_is_mixed(acquisition, config):
    found = choice(of_age(acquisition, 31.0), config)
    assert found.cohort == '6'
    assert found.facts['cohort_weights'] == {'5': 0.5, '6': 0.5}
    assert [weight for _, weight in found.mix] == [0.5, 0.5]
    workflow = init_acquisition_wf(acquisition, config, found)
    graph = workflow._graph
    mixing = workflow.get_node('age_template')
    assert {node.name for node in graph.successors(mixing)} >= {
        'register', 'warp_atlas', 'maps_to_atlas',
    }  # fmt: skip


def test_curve_offset_follows_the_mixture(acquisition, config):
    ends = [
        choice(of_age(acquisition, age), replace(config, age_interpolation='off'))
        for age in (26.0, 36.0)
    ]
    middle = choice(of_age(acquisition, 31.0), config).facts['curve_offset_ppm']
    assert middle == pytest.approx(sum(c.facts['curve_offset_ppm'] for c in ends) / 2)


@pytest.mark.parametrize(
    'wish', [{'age_interpolation': 'off'}, {'cohort': '6'}], ids=['off', 'cohort']
)
def test_template_of_one_cohort(acquisition, config, wish):
    found = choice(of_age(acquisition, 31.0), replace(config, **wish))
    assert found.cohort == '6'
    assert not found.mix
    assert 'cohort_weights' not in found.facts
    names = init_acquisition_wf(acquisition, config, found).list_node_names()
    assert 'age_template' not in names


def test_unknown_age_is_not_mixed(acquisition, config):
    assert not choice(replace(acquisition, age_years=None), config).mix


def test_changed_atlas_is_registered_again(acquisition, config):
    """Paths are in the cache key; the stamp brings the content in."""
    first = choice(acquisition, config)
    keys = [
        init_acquisition_wf(acquisition, config, changed)
        .get_node('warp_atlas').inputs.code_version
        for changed in (first, replace(first, stamp='other'))
    ]  # fmt: skip
    assert keys[0] != keys[1]


def test_ages_are_told_before_the_run(acquisition, config, tmp_path):
    ages = atlas_ages([acquisition], config)
    assert ages.summary == 'QSMLifespan, 10 cohorts, 1 to 84 years'
    assert not (tmp_path / 'work').exists()
    assert ages_outside([acquisition], ages, config) == ()
    (warning,) = ages_outside([of_age(acquisition, 0.5)], ages, config)
    assert warning.code == 'AGE_OUTSIDE_ATLAS'
    assert '0.5 y' in warning.what
    assert ages_outside([of_age(acquisition, 0.5)], ages, replace(config, cohort='1')) == ()
    with pytest.raises(ValueError, match=r'0\.5'):
        ages_outside([of_age(acquisition, 0.5)], ages, replace(config, strict_age=True))
    for wish in ({'recon_only': True}, {'reports_only': True}):
        assert atlas_ages([acquisition], replace(config, **wish)) is None
    assert atlas_ages([replace(acquisition, phase_scaling=None)], config) is None
