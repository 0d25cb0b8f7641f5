"""A real dual-echo scan with the converter's own sidecars."""

import numpy as np
import pytest

from qsmbids.plan import describe, make_plan


def test_philips_dual_echo(philips):
    plan = make_plan(philips, age=30)
    (acquisition,) = plan.acquisitions
    assert plan.failed == ()
    assert acquisition.issues == ()
    assert acquisition.echo_times_s == (0.0023, 0.0046)
    assert acquisition.shape == (80, 80, 53)
    assert acquisition.voxel_size_mm == pytest.approx((3, 3, 3), abs=1e-3)
    assert acquisition.imaging_frequency_mhz.value == 127.748512
    assert acquisition.imaging_frequency_mhz.source == 'sidecar'
    assert acquisition.age_years.value == 30


def test_phase_is_in_radians_through_the_header_slope(philips):
    scaling = make_plan(philips, age=30).acquisitions[0].phase_scaling
    assert (scaling.slope, scaling.intercept, scaling.sign) == (1, 0, 1)
    assert scaling.source == 'sidecar'
    assert 'Philips' in scaling.sign_detail


def test_slab_is_slightly_oblique(philips):
    direction = make_plan(philips, age=30).acquisitions[0].b0_direction
    assert direction.source == 'header'
    angle = np.degrees(np.arccos(direction.value[2]))
    assert 3 < angle < 4.5


def test_description(philips):
    text = describe(make_plan(philips, age=30))
    assert '1 participant, 1 scan: 1 will be processed, 0 cannot be.' in text
    assert 'TE   2.300 ms' in text
    assert 'age:             30 years [command line: --age]' in text
