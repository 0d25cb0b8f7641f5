import numpy as np
import pytest

from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.iron import IronScale


def test_default_is_the_post_mortem_slope_and_says_so():
    scale = IronScale()
    assert scale.slope == 0.89
    assert 'Langkammer 2012, post mortem' in scale.text
    # 213 ug/g, the iron of an adult globus pallidus, is 190 ppb on this line
    assert scale.chi(213.0) == pytest.approx(0.1896, abs=1e-4)


def test_iron_and_susceptibility_are_inverse_for_any_line():
    scale = IronScale(slope=0.66, offset=-24)
    iron = np.array([0.0, 20.0, 200.0])
    assert scale.iron(scale.chi(iron)) == pytest.approx(iron)
    assert scale.chi(0.0) == pytest.approx(-0.024)
    assert 'given by the user' in scale.text
    assert '(chi + 24 ppb) / 0.66' in scale.text


def test_a_step_in_susceptibility_is_a_step_in_iron_whatever_the_offset():
    for offset in (-24.0, 0.0, 30.0):
        scale = IronScale(1.1, offset)
        assert scale.iron(0.15) - scale.iron(0.04) == pytest.approx(100.0)


def test_missing_values_stay_missing_and_negative_ones_are_not_hidden():
    iron = IronScale().iron([np.nan, -0.0089])
    assert np.isnan(iron[0])
    assert iron[1] == pytest.approx(-10.0)


@pytest.mark.parametrize(('slope', 'offset'), [(0, 0), (0.00089, 0), (890, 0), (float('nan'), 0),
                                              (0.89, float('nan'))])  # fmt: skip
def test_a_line_in_the_wrong_unit_is_refused(slope, offset):
    with pytest.raises(LifespanError) as info:
        IronScale(slope, offset)
    assert len(str(info.value).splitlines()) == 3
    assert '--iron-' in str(info.value)
