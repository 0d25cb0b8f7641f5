import numpy as np
import pytest

from qsmbids.plan.phase_scaling import KNOWN_RANGES

PI = np.pi


def radians(tree, values):
    """Apply what was decided to some stored values."""
    scaling = tree.only().phase_scaling
    phase = scaling.slope * np.asarray(values, dtype=float) + scaling.intercept
    return np.angle(np.exp(1j * phase))


def write_phases(tree, *images, units=None, **header):
    """Write a scan with one phase image per echo."""
    tree.scan(times=tuple(0.005 * (n + 1) for n in range(len(images))), units=units)
    for n, data in enumerate(images, start=1):
        tree.image(f'sub-01/anat/sub-01_echo-{n}_part-phase_MEGRE.nii.gz', data, **header)


def test_known_ranges_exclude_each_other():
    for one in KNOWN_RANGES:
        assert [r for r in KNOWN_RANGES if r.fits(one.low, one.high)] == [one]


@pytest.mark.parametrize(
    ('low', 'high', 'dtype', 'value', 'expected'),
    [
        (0, 4095, np.uint16, [0, 1024, 2048], [-PI, -PI / 2, 0]),
        (-4096, 4094, np.int16, [-2048, 0, 1024], [-PI / 2, 0, PI / 4]),
        (-4096, 4095, np.int16, [-2048, 0, 1024], [-PI / 2, 0, PI / 4]),
        (-8192, 4096, np.int16, [-6144, 0, 2048], [PI / 2, 0, PI / 2]),
        (-3142, 3142, np.int16, [-1571, 0, 1000], [-1.571, 0, 1]),
        (-PI, PI, np.float32, [-1, 0, 2], [-1, 0, 2]),
        (0, 2 * PI, np.float32, [0, 1, 2 * PI - 1], [0, 1, -1]),
    ],
)
@pytest.mark.parametrize('units', [None, 'arbitrary'])
def test_ranges_that_are_known(tree, low, high, dtype, value, expected, units):
    write_phases(tree, *[tree.phase(low, high, dtype)] * 2, units=units)
    acquisition = tree.only()
    assert acquisition.usable
    assert acquisition.phase_scaling.source == 'inferred'
    np.testing.assert_allclose(radians(tree, value), expected, atol=1e-6)


def test_header_slope_is_part_of_the_value(tree):
    """dcm2niix writes Philips phase as integers with a slope to radians."""
    data = tree.phase(0, 4094, np.int16)
    write_phases(tree, data, data, slope=0.001534, inter=-PI)
    scaling = tree.only().phase_scaling
    assert (scaling.slope, scaling.intercept) == (1, 0)


def test_siemens_rescale_slope(tree):
    data = tree.phase(0, 4095, np.int16)
    write_phases(tree, data, data, slope=2, inter=-4096)
    assert tree.only().phase_scaling.slope == pytest.approx(PI / 4096)


@pytest.mark.parametrize(('low', 'high'), [(-PI, PI), (-1.01 * PI, 1.01 * PI), (0, 2 * PI)])
def test_units_rad(tree, low, high):
    write_phases(tree, *[tree.phase(low, high)] * 2, units='rad')
    scaling = tree.only().phase_scaling
    assert scaling.source == 'sidecar'
    assert (scaling.slope, scaling.intercept, scaling.complex) == (1, 0, False)
    assert tree.errors() == []


def test_units_rad_that_cannot_be(tree):
    """Unwrapped phase, or something else, called radians."""
    write_phases(tree, tree.phase(-30, 25), units='rad')
    issue = tree.issue('PHASE_RANGE_UNKNOWN')
    assert '-30 to 25' in issue.what
    assert '"rad"' in issue.what


def test_units_rad_on_integers_is_corrected_with_a_warning(tree):
    write_phases(tree, tree.phase(-4096, 4094, np.int16), units='rad')
    assert tree.issue('PHASE_UNITS_WRONG').severity == 'warning'
    assert tree.only().phase_scaling.slope == pytest.approx(PI / 4096)


def test_units_rad_with_a_narrow_range_warns(tree):
    write_phases(tree, tree.phase(-0.5, 0.5), units='rad')
    assert tree.only().usable
    assert tree.issue('PHASE_RANGE_NARROW').severity == 'warning'


@pytest.mark.parametrize(
    ('low', 'high'), [(-1, 1), (0, 1), (-2.5, 2.5), (-32768, 32767), (0, 255), (-180, 180)]
)
def test_unknown_range_is_refused_with_what_was_seen(tree, low, high):
    write_phases(tree, *[tree.phase(low, high)] * 2)
    assert tree.errors() == ['PHASE_RANGE_UNKNOWN']
    assert f'{low:g} to {high:g}' in tree.issue('PHASE_RANGE_UNKNOWN').what
    assert tree.only().phase_scaling is None


def test_odd_units_value_does_not_stop_anything(tree):
    write_phases(tree, tree.phase(0, 4095, np.int16), units=['rad'])
    assert tree.only().phase_scaling.source == 'inferred'


def test_echoes_are_scaled_jointly(tree):
    """Echoes that do not fill the range get the scale of those that do."""
    half = tree.phase(-2000, 2100, np.int16)
    write_phases(tree, half, tree.phase(-4096, 4094, np.int16), half)
    assert tree.only().phase_scaling.slope == pytest.approx(PI / 4096)
    np.testing.assert_allclose(radians(tree, [-2000]), -2000 / 4096 * PI)


@pytest.mark.parametrize(
    ('low', 'high', 'dtype'), [(0, 4095, np.int16), (-PI, PI, np.float32), (-3142, 3142, np.int16)]
)
def test_echoes_on_different_scales_are_refused(tree, low, high, dtype):
    write_phases(tree, tree.phase(low, high, dtype), tree.phase(-4096, 4094, np.int16))
    assert tree.errors() == ['PHASE_RANGES_DIFFER']
    assert 'echo-1_part-phase' in tree.issue('PHASE_RANGES_DIFFER').what


def test_left_over_slope_on_radians_is_refused(tree):
    write_phases(tree, tree.phase(), slope=2, inter=-4096, units='rad')
    assert tree.errors() == ['PHASE_SLOPE_FOREIGN']


def test_constant_phase_is_refused(tree):
    write_phases(tree, np.full((8, 8, 8), 0.5, np.float32), tree.phase(), units='rad')
    assert tree.errors() == ['PHASE_CONSTANT']


def test_nans_do_not_hide_the_range(tree):
    data = tree.phase()
    data[4, 4, 4] = np.nan
    write_phases(tree, data)
    assert tree.only().phase_scaling.detail.endswith('radians, -pi to pi')


def test_complex_needs_no_range(tree):
    tree.scan(parts=('real', 'imag'))
    scaling = tree.only().phase_scaling
    assert (scaling.complex, scaling.slope, scaling.intercept) == (True, 1, 0)


def test_complex_with_an_offset_is_refused(tree):
    tree.scan(parts=('real', 'imag'))
    tree.image('sub-01/anat/sub-01_echo-1_part-real_MEGRE.nii.gz', tree.magnitude())
    assert tree.errors() == ['COMPLEX_UNSIGNED']


# --- sign


@pytest.mark.parametrize(
    ('manufacturer', 'sign'),
    [
        ('Siemens', 1),
        ('SIEMENS', 1),
        ('Siemens Healthineers', 1),
        ('Philips Medical Systems', 1),
        ('GE', -1),
        ('GE MEDICAL SYSTEMS', -1),
        ('UIH', -1),
        ('United Imaging Healthcare', -1),
    ],
)
@pytest.mark.parametrize('parts', [('mag', 'phase'), ('real', 'imag')])
def test_sign_of_known_vendors(tree, manufacturer, sign, parts):
    tree.scan(parts=parts, metadata={'MagneticFieldStrength': 3, 'Manufacturer': manufacturer})
    scaling = tree.only().phase_scaling
    assert (scaling.sign, scaling.sign_source) == (sign, 'inferred')
    assert manufacturer in scaling.sign_detail


@pytest.mark.parametrize('manufacturer', [None, 'Hitachi', 'General', 7])
def test_sign_of_other_vendors_is_assumed_with_a_note(tree, manufacturer):
    tree.scan(metadata={'MagneticFieldStrength': 3, 'Manufacturer': manufacturer})
    assert tree.only().phase_scaling.sign == 1
    issue = tree.issue('PHASE_SIGN_ASSUMED')
    assert issue.severity == 'note'
    if manufacturer == 'Hitachi':
        assert 'Hitachi' in issue.what


@pytest.mark.parametrize(('wish', 'sign'), [('+', 1), ('-', -1)])
def test_sign_on_the_command_line(tree, wish, sign):
    tree.scan(metadata={'MagneticFieldStrength': 3, 'Manufacturer': 'GE'})
    scaling = tree.only(phase_sign=wish).phase_scaling
    assert (scaling.sign, scaling.sign_source) == (sign, 'command line')
    assert tree.only(phase_sign=wish).issues == ()
