"""The prior must agree with the published facts on the shape of the trajectories."""

import numpy as np
import pytest

from qsmbids.atlas.geometry import load_regions
from qsmbids.lifespan.prior import (
    REGIONS,
    TISSUES,
    chi_at_age,
    prior_curve,
    prior_origin,
    r2star_at_age,
)

AGES = np.linspace(1, 84, 831)
DEEP_GREY = [r.name for r in load_regions() if r.group == 'deep grey']
WHITE = [r.name for r in load_regions() if r.group == 'white matter']


def test_every_region_of_the_geometry_has_a_curve_and_no_other():
    assert set(REGIONS) == {region.name for region in load_regions()}


@pytest.mark.parametrize('name', REGIONS + TISSUES)
def test_every_number_says_that_it_is_no_published_value(name):
    assert prior_origin(name).startswith('engineering prior, not published values: ')
    assert np.isfinite(chi_at_age(name, AGES)).all()


def test_globus_pallidus_is_at_its_plateau_between_20_and_30_years():
    for name in ('GlobusPallidusExternal', 'GlobusPallidusInternal'):
        assert 20 <= prior_curve(name).plateau_age(0.9) <= 30


def test_amplitudes_follow_hallgren_iron():
    # 0.66 ppb per ug/g times 214.1, 146.2 and 96.6 ug/g
    grown = {n: prior_curve(n).alpha for n in ('GlobusPallidusInternal', 'Putamen', 'Caudate')}
    assert grown == pytest.approx(
        {'GlobusPallidusInternal': 0.1413, 'Putamen': 0.0965, 'Caudate': 0.0638}, abs=1e-4
    )


def test_putamen_and_caudate_still_rise_at_eighty():
    for name in ('Putamen', 'Caudate'):
        assert chi_at_age(name, 84) > chi_at_age(name, 80) > chi_at_age(name, 60)


def test_deep_grey_is_near_zero_in_infants_and_rises_fastest_in_childhood():
    for name in DEEP_GREY:
        assert 0 <= chi_at_age(name, 1) < 0.015
        rise = np.diff(chi_at_age(name, [0, 10, 20, 50, 80]))
        assert rise[0] > rise[1]
        assert chi_at_age(name, 10) - chi_at_age(name, 1) > 0
        assert (np.diff(chi_at_age(name, AGES)) > 0).all()


def test_order_of_the_nuclei_in_adults():
    order = ['GlobusPallidusInternal', 'SubstantiaNigra', 'RedNucleus', 'DentateNucleus',
             'Putamen', 'Caudate', 'NucleusAccumbens']  # fmt: skip
    for age in (30, 45, 60, 80):
        values = [chi_at_age(name, age) for name in order]
        assert values == sorted(values, reverse=True)


def test_growth_of_deep_nuclei_is_far_above_that_of_the_cortex():
    cortex = chi_at_age('CorticalGreyMatter', 80) - chi_at_age('CorticalGreyMatter', 0)
    for name in set(DEEP_GREY) - {'NucleusAccumbens'}:
        growth = chi_at_age(name, 80) - chi_at_age(name, 0)
        assert 0.06 < growth < 0.145
        assert growth > 4 * cortex


def test_white_matter_is_diamagnetic_falls_and_rises_again():
    expected = {'CerebralPeduncle': 45}
    for name in WHITE:
        chi = chi_at_age(name, AGES)
        assert (chi < 0).all()
        assert AGES[np.argmin(chi)] == pytest.approx(expected.get(name, 30), abs=0.1)
        assert chi[-1] > chi.min() + 0.003


def test_thalamus_has_its_maximum_at_forty():
    for name in ('ThalamusAnterior', 'ThalamusMedian', 'ThalamusLateral', 'Pulvinar'):
        assert 35 <= AGES[np.argmax(chi_at_age(name, AGES))] <= 45
    adult = [chi_at_age(n, 40) for n in ('ThalamusLateral', 'ThalamusMedian', 'Pulvinar')]
    assert adult == pytest.approx([0.0, 0.02, 0.05])


def test_r2star_follows_iron_and_field():
    assert r2star_at_age('GlobusPallidusInternal', 60) > r2star_at_age('Caudate', 60) > 15
    low, high = (r2star_at_age('Putamen', 60, field_strength_t=b) for b in (1.5, 3.0))
    assert high - 15 == pytest.approx(2 * (low - 15))
    assert r2star_at_age('CorpusCallosumGenu', 60) == 20
    assert r2star_at_age('LateralVentricle', [5, 60]).tolist() == [1.5, 1.5]
    assert r2star_at_age('VenousBlood', 60) == 35


def test_unknown_region_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="no age curve for 'Claustrum'") as info:
        chi_at_age('Claustrum', 30)
    assert 'RedNucleus' in str(info.value).splitlines()[2]
