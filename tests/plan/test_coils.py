"""Uncombined coils are told from echoes and repetitions, and the plan says so."""

import numpy as np
import pytest

from qsmbids.plan.describe import describe

METADATA = {'MagneticFieldStrength': 3.0, 'Manufacturer': 'Siemens'}
COILS = 4


def write(tree, times=(0.005, 0.010, 0.015), parts=('mag', 'phase'), coils=None):
    """Write a scan with a coil axis; ``coils`` sets another size for some (echo, part)."""
    for number, time in enumerate(times, start=1):
        for part in parts:
            shape = (8, 8, 8, (coils or {}).get((number, part), COILS))
            data = {
                'mag': tree.magnitude, 'phase': tree.phase,
                'real': lambda shape: tree.phase(-500, 500, shape=shape),
                'imag': lambda shape: tree.phase(-500, 500, shape=shape),
            }[part](shape=shape)  # fmt: skip
            stem = f'sub-01/anat/sub-01_echo-{number}_part-{part}_MEGRE'
            tree.image(f'{stem}.nii.gz', data)
            tree.json(f'{stem}.json', {**METADATA, 'EchoTime': time, 'Units': 'rad'})


def codes(acquisition):
    return [issue.code for issue in acquisition.issues]


@pytest.mark.parametrize('parts', [('mag', 'phase'), ('real', 'imag')])
def test_coils_are_counted(tree, parts):
    write(tree, parts=parts)
    acquisition = tree.only()
    assert acquisition.usable
    assert acquisition.n_coils == COILS
    assert acquisition.shape == (8, 8, 8)
    assert acquisition.echo_times_s == (0.005, 0.010, 0.015)
    assert [echo.volume for echo in acquisition.echoes] == [None] * 3
    assert codes(acquisition) == ['UNCOMBINED_COILS']
    issue = tree.issue('UNCOMBINED_COILS')
    assert issue.severity == 'note'
    assert '4 volumes' in issue.what


def test_as_many_coils_as_echoes(tree):
    """Each file has one echo time, so its volumes are no echoes."""
    write(tree, times=(0.005, 0.010, 0.015, 0.020))
    acquisition = tree.only()
    assert (acquisition.n_coils, len(acquisition.echoes)) == (4, 4)


def test_the_dry_run_says_so(tree):
    write(tree)
    text = describe(tree.plan())
    assert 'coils:           4, combined' in text
    assert 'uncombined receive coils' in text
    assert 'volume 1' not in text


def test_combined_images_have_one_coil(good):
    assert good.only().n_coils == 1
    assert 'coils' not in describe(good.plan())


def test_list_of_times_stays_echoes(tree):
    for part, data in (('mag', tree.magnitude), ('phase', tree.phase)):
        stem = f'sub-01/anat/sub-01_part-{part}_MEGRE'
        tree.image(f'{stem}.nii.gz', data(shape=(8, 8, 8, 3)))
        tree.json(f'{stem}.json', {**METADATA, 'EchoTime': [0.005, 0.01, 0.015], 'Units': 'rad'})
    acquisition = tree.only()
    assert acquisition.n_coils == 1
    assert len(acquisition.echoes) == 3


@pytest.mark.parametrize(
    'how',
    [
        {'times': (0.005,)},  # one echo: repetitions, or coils that nothing can combine
        {'parts': ('mag',)},  # no phase
    ],
)
def test_what_cannot_be_told_is_refused(tree, how):
    write(tree, **how)
    assert not tree.only().usable
    assert set(tree.errors()) == {'FOUR_D_MISMATCH'}


@pytest.mark.parametrize('odd', [(2, 'phase'), (1, 'mag')])
def test_a_lost_coil_is_an_error(tree, odd):
    write(tree, coils={odd: COILS - 1})
    assert 'SHAPE_MISMATCH' in tree.errors()
    assert not tree.only().usable


def test_extremes_of_all_coils_set_one_scale(tree):
    """Every coil of every echo shares the map to radians."""
    write(tree, times=(0.005, 0.010))
    for number in (1, 2):
        values = np.random.default_rng(number).integers(0, 4096, (8, 8, 8, COILS))
        values[..., 0] //= 2  # one coil does not fill the range
        values[0, 0, :2, 1] = 0, 4095
        stem = f'sub-01/anat/sub-01_echo-{number}_part-phase_MEGRE'
        tree.image(f'{stem}.nii.gz', values.astype(np.int16))
        tree.edit(f'{stem}.json', Units='arbitrary')
    scaling = tree.only().phase_scaling
    assert scaling.slope == pytest.approx(2 * np.pi / 4096, rel=1e-3)
