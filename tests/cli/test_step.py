"""``qsmbids-step``: the same numbers as the functions of the engine, and files that say how."""

import numpy as np
import pytest

from qsmbids import __version__, methods, qsm

FIELD = ('--field', 'field.nii.gz', '--mask', 'mask.nii.gz')
TIMES = ('--echo-times', '0.004', '0.010', '0.016', '0.022')
PHASES = [f'phase-{e}.nii.gz' for e in range(1, 5)]
MAGNITUDES = [f'magnitude-{e}.nii.gz' for e in range(1, 5)]


def call(stage, name, *arguments, parameters=None, **maps):
    method = methods.get(stage, name)
    return method.load()(*arguments, parameters=method.make_parameters(parameters), **maps)


# ------------------------------------------------------------------------------ inversions
def test_inversion_is_that_of_the_engine(sphere):
    code = sphere.run(
        'invert', 'tkd', *FIELD, '--out', 'chi.nii.gz', '--imaging-frequency', '123.2',
        '--param', 'threshold=0.25', '--out-mask', 'chi-mask.nii.gz',
    )  # fmt: skip
    assert code == 0
    field_ppm = qsm.hz_to_ppm(sphere.field_hz, 123.2)
    expected = call(
        'inversion', 'tkd', field_ppm, sphere.mask, sphere.grid, parameters={'threshold': 0.25}
    )
    np.testing.assert_allclose(sphere.read('chi'), expected, atol=1e-6)
    np.testing.assert_array_equal(sphere.read('chi-mask') > 0, sphere.mask)
    assert sphere.grid.oblique_angle_deg == pytest.approx(25)  # or the kernel was not turned


def test_sphere_has_its_susceptibility_in_a_tilted_slab(sphere):
    assert sphere.run('invert', 'rts', *FIELD, '--out', 'chi.nii.gz', '--field-strength', '2.893',
                      '--noise', 'noise.nii.gz') == 0  # fmt: skip
    chi = sphere.read('chi')
    inside = chi[sphere.inner].mean() - chi[sphere.mask & ~sphere.inner].mean()
    assert inside == pytest.approx(0.4, abs=0.06)


def test_noise_becomes_the_weight(sphere):
    command = ('invert', 'tv', *FIELD, '--imaging-frequency', '123.2', '--param', 'iterations=3')
    assert sphere.run(*command, '--out', 'even.nii.gz') == 0
    assert sphere.run(*command, '--out', 'weighted.nii.gz', '--noise', 'noise.nii.gz') == 0
    noise = sphere.read('noise')
    weight = np.where(sphere.mask, 1 / np.where(sphere.mask, noise, 1), 0).astype(np.float32)
    expected = call(
        'inversion', 'tv', qsm.hz_to_ppm(sphere.field_hz, 123.2), sphere.mask, sphere.grid,
        weight=weight, parameters={'iterations': '3'},
    )  # fmt: skip
    np.testing.assert_allclose(sphere.read('weighted'), expected, atol=1e-5)
    assert not np.allclose(sphere.read('even'), expected, atol=1e-4)


def test_noise_of_zero_means_unknown(sphere, capsys):
    noise = sphere.read('noise')
    noise[12, 13, 11] = 0
    sphere.save('holes', noise)
    command = ('invert', 'tv', *FIELD, '--imaging-frequency', '123.2', '--param', 'iterations=2')
    assert sphere.run(*command, '--out', 'chi.nii.gz', '--noise', 'holes.nii.gz') == 0
    assert 'no positive number in 1 voxels' in capsys.readouterr().err
    assert np.isfinite(sphere.read('chi')).all()


def test_sidecar_says_how_it_was_made(sphere):
    sphere.run('invert', 'tkd', *FIELD, '--out', 'chi.nii.gz', '--imaging-frequency', '123.2',
               '--b0-dir', '0', '0', '-2', '--param', 'inversion.threshold=0.25')  # fmt: skip
    sidecar = sphere.sidecar('chi')
    method = methods.get('inversion', 'tkd')
    assert sidecar['Units'] == 'ppm'
    assert (sidecar['Stage'], sidecar['Method']) == ('inversion', 'tkd')
    assert sidecar['MethodVersion'] == method.version
    assert sidecar['Parameters']['threshold'] == 0.25
    assert set(sidecar['Parameters']) == set(method.parameter_names())
    assert sidecar['Inputs'] == {'field': ['field.nii.gz'], 'mask': ['mask.nii.gz']}
    assert any('doi:10.' in work for work in sidecar['References'])
    assert sidecar['GeneratedBy'] == [{'Name': 'qsmbids-step', 'Version': __version__}]
    assert sidecar['ImagingFrequency'] == 123.2
    assert sidecar['B0Direction'] == [0, 0, -1]
    assert sidecar['Command'].startswith('qsmbids-step invert tkd --field field.nii.gz')
    assert sidecar['Seconds'] >= 0


def test_inputs_are_named_from_where_the_result_lies(sphere):
    (sphere.folder / 'out').mkdir()
    sphere.run('background', 'vsharp', *FIELD, '--out', 'out/local.nii')
    assert sphere.sidecar('out/local')['Inputs']['field'] == ['../field.nii.gz']


# ----------------------------------------------------------------------------------- units
def test_field_in_ppm(sphere):
    sphere.save('ppm', qsm.hz_to_ppm(sphere.field_hz, 123.2))
    files = ('--field', 'ppm.nii.gz', '--mask', 'mask.nii.gz')
    assert sphere.run('invert', 'tkd', *files, '--field-unit', 'ppm', '--out', 'a.nii') == 0
    sphere.save('ppm', qsm.hz_to_ppm(sphere.field_hz, 123.2), Units='ppm')
    assert sphere.run('invert', 'tkd', *files, '--out', 'b.nii.gz') == 0
    command = ('invert', 'tkd', *FIELD, '--imaging-frequency', '123.2')
    assert sphere.run(*command, '--out', 'c.nii.gz') == 0
    np.testing.assert_array_equal(sphere.read('b'), sphere.read('c'))


def test_command_line_comes_before_the_sidecar(sphere, capsys):
    sphere.save('field', sphere.field_hz, ImagingFrequency=123.2)
    assert sphere.run('invert', 'tkd', *FIELD, '--out', 'a.nii.gz') == 0
    assert sphere.sidecar('a')['ImagingFrequency'] == 123.2
    assert 'Note' not in capsys.readouterr().err
    assert sphere.run('invert', 'tkd', *FIELD, '--out', 'b.nii.gz', '--field-strength', '3') == 0
    assert sphere.sidecar('b')['ImagingFrequency'] == pytest.approx(127.73, abs=0.01)
    assert 'sidecar says 123.20 MHz' in capsys.readouterr().err


def test_background_keeps_the_unit(sphere):
    sphere.save('ppm', qsm.hz_to_ppm(sphere.field_hz, 123.2), Units='ppm')
    command = ('background', 'vsharp', '--mask', 'mask.nii.gz', '--param', 'largest_radius_mm=6')
    assert sphere.run(*command, '--field', 'field.nii.gz', '--out', 'local.nii.gz',
                      '--out-mask', 'after.nii.gz') == 0  # fmt: skip
    local, after = call(
        'background', 'vsharp', sphere.field_hz, sphere.mask, sphere.grid,
        parameters={'largest_radius_mm': 6.0},
    )  # fmt: skip
    np.testing.assert_array_equal(sphere.read('local'), local)
    np.testing.assert_array_equal(sphere.read('after'), after)
    assert sphere.sidecar('local')['Units'] == 'Hz'
    assert sphere.sidecar('after')['Type'] == 'ROI'
    assert sphere.run(*command, '--field', 'ppm.nii.gz', '--out', 'scaled.nii.gz') == 0
    assert sphere.sidecar('scaled')['Units'] == 'ppm'
    np.testing.assert_allclose(sphere.read('scaled') * 123.2, local, atol=1e-3)


# ---------------------------------------------------------------------------------- echoes
def test_one_file_per_echo_or_one_for_all(sphere):
    command = ('unwrap', 'romeo', '--mask', 'mask.nii.gz')
    sphere.run(*command, '--phase', *PHASES, '--magnitude', *MAGNITUDES, '--out', 'many.nii.gz')
    sphere.run(*command, '--phase', 'phase.nii.gz', '--magnitude', 'magnitude.nii.gz',
               *TIMES, '--out', 'one.nii.gz')  # fmt: skip
    expected = call(
        'unwrapping', 'romeo', sphere.phase, sphere.magnitude, sphere.echo_times_s, sphere.mask,
        sphere.grid,
    )  # fmt: skip
    for name in ('many', 'one'):
        np.testing.assert_array_equal(sphere.read(name), expected)
        assert sphere.sidecar(name)['EchoTime'] == list(sphere.echo_times_s)


def test_echo_times_of_sidecars_decide_the_order(sphere):
    command = ('unwrap', 'romeo', '--mask', 'mask.nii.gz', '--magnitude', *MAGNITUDES)
    sphere.run(*command, '--phase', *PHASES, '--out', 'sorted.nii.gz')
    sphere.run(*command, '--phase', *PHASES[::-1], '--out', 'reversed.nii.gz')
    np.testing.assert_array_equal(sphere.read('sorted'), sphere.read('reversed'))
    assert sphere.sidecar('reversed')['Inputs']['phase'] == PHASES


def test_sidecars_may_be_named(sphere):
    sphere.run(
        'unwrap', 'romeo', '--phase', 'phase.nii.gz', '--magnitude', 'magnitude.nii.gz',
        '--mask', 'mask.nii.gz', '--out', 'out.nii.gz',
        '--sidecar', *(f'phase-{e}.json' for e in range(1, 5)),
    )  # fmt: skip
    assert sphere.sidecar('out')['EchoTime'] == list(sphere.echo_times_s)
    assert sphere.sidecar('out')['ImagingFrequency'] == sphere.frequency_mhz


def test_metadata_of_a_dataset_are_inherited(sphere):
    (sphere.folder / 'dataset_description.json').write_text('{"Name": "x"}')
    (sphere.folder / 'MEGRE.json').write_text('{"MagneticFieldStrength": 7}')
    (sphere.folder / 'sub-1').mkdir()
    sphere.save(
        'sub-1/sub-1_part-mag_MEGRE', sphere.magnitude, EchoTime=[0.004, 0.01, 0.016, 0.022]
    )
    code = sphere.run('relaxometry', 'arlo', '--magnitude', 'sub-1/sub-1_part-mag_MEGRE.nii.gz',
                      '--mask', 'mask.nii.gz', '--out', 'r2s.nii.gz')  # fmt: skip
    assert code == 0
    assert sphere.sidecar('r2s')['ImagingFrequency'] == pytest.approx(298.04, abs=0.01)


def test_a_whole_chain_needs_the_facts_only_once(sphere):
    """Each sidecar holds what the next step has to know."""
    mask, magnitude = ('--mask', 'mask.nii.gz'), ('--magnitude', *MAGNITUDES)
    steps = (
        ('offset', 'mcpc3ds', '--phase', *PHASES, *magnitude, '--out', 'a.nii.gz',
         '--out-offset', 'offset.nii.gz'),
        ('unwrap', 'romeo', '--phase', 'a.nii.gz', *magnitude, '--out', 'b.nii.gz'),
        ('fieldmap', 'weighted', '--unwrapped', 'b.nii.gz', *magnitude, '--out', 'c.nii.gz',
         '--out-noise', 'n.nii.gz', '--out-reliability', 'r.nii.gz'),
        ('background', 'vsharp', '--field', 'c.nii.gz', '--out', 'd.nii.gz',
         '--out-mask', 'm.nii.gz', '--param', 'largest_radius_mm=6'),
    )  # fmt: skip
    for step in steps:
        assert sphere.run(*step, *mask) == 0
    last = ('invert', 'rts', '--field', 'd.nii.gz', '--mask', 'm.nii.gz', '--noise', 'n.nii.gz')
    assert sphere.run(*last, '--out', 'chi.nii.gz') == 0
    sidecar = sphere.sidecar('chi')
    assert sidecar['ImagingFrequency'] == sphere.frequency_mhz
    assert sidecar['B0Direction'] == pytest.approx(sphere.grid.b0_direction, abs=1e-5)
    assert [sphere.sidecar(n)['Units'] for n in ('a', 'c', 'n', 'd')] == ['rad', 'Hz', 'Hz', 'Hz']
    offset = sphere.read('offset')[sphere.mask]
    assert np.median(offset) == pytest.approx(0.5, abs=0.05)
    chi, inside = sphere.read('chi'), sphere.read('m') > 0
    assert chi[sphere.inner].mean() - chi[inside & ~sphere.inner].mean() > 0.2


# --------------------------------------------------------------------------- other verbs
def test_relaxometry_gives_t2star_too(sphere):
    assert sphere.run(
        'relaxometry', 'arlo', '--magnitude', *MAGNITUDES, '--mask', 'mask.nii.gz',
        '--out', 'r.nii.gz', '--out-s0', 's.nii.gz', '--out-t2star', 't.nii.gz',
    ) == 0  # fmt: skip
    r2star, s0 = call('relaxometry', 'arlo', sphere.magnitude, sphere.echo_times_s, sphere.mask)
    np.testing.assert_array_equal(sphere.read('r'), r2star)
    np.testing.assert_array_equal(sphere.read('s'), s0)
    inside = r2star > 0
    np.testing.assert_allclose(sphere.read('t')[inside], 1 / r2star[inside], rtol=1e-6)
    assert (sphere.read('t')[~inside] == 0).all()


@pytest.mark.parametrize('name', methods.names('contrast'))
def test_contrast_and_its_projection(sphere, name):
    sphere.save('chi', np.where(sphere.inner, 0.2, 0).astype(np.float32))
    from qsmbids.cli.step_arguments import usable_options
    from qsmbids.cli.step_verbs import VERBS

    verb = VERBS['contrast']
    files = {'magnitude': 'magnitude', 'phase': 'phase', 'unwrapped': 'phase'}
    needed, _ = usable_options(verb, verb.find(name))
    given = []
    for option in needed:
        kind = option.removeprefix('--')
        given += [option, f'{files.get(kind, kind)}.nii.gz']
    assert sphere.run('contrast', name, *given, *TIMES, '--out', 'i.nii.gz',
                      '--out-projection', 'p.nii.gz') == 0  # fmt: skip
    image, projection = sphere.read('i'), sphere.read('p')
    assert image[sphere.mask].any()
    assert (projection[sphere.mask] <= image[sphere.mask]).all()
    assert sphere.sidecar('p')['Parameters']['projection_mm'] == 8.0


def test_reference_is_told(sphere):
    chi = np.where(sphere.inner, 0.3, 0.1).astype(np.float32)
    sphere.save('chi', chi)
    sphere.save('region', sphere.inner)
    assert sphere.run('reference', 'median', '--chi', 'chi.nii.gz', '--mask', 'mask.nii.gz',
                      '--region', 'region.nii.gz', '--out', 'a.nii.gz') == 0  # fmt: skip
    expected, value, n = qsm.reference_to(chi, sphere.inner, sphere.mask, statistic='median')
    np.testing.assert_array_equal(sphere.read('a'), expected)
    sidecar = sphere.sidecar('a')
    assert sidecar['SusceptibilityReferenceValue'] == pytest.approx(value)
    assert sidecar['SusceptibilityReferenceVoxels'] == n
    fluid = ('reference', 'csf', '--chi', 'chi.nii.gz', '--mask', 'mask.nii.gz')
    assert sphere.run(*fluid, '--out', 'c.nii.gz') == 2  # of which region?
    assert sphere.run(*fluid, '--region', 'region.nii.gz', '--out', 'c.nii.gz') == 0
    assert 0 < sphere.sidecar('c')['SusceptibilityReferenceVoxels'] < n
    assert sphere.run('reference', 'mean', '--chi', 'chi.nii.gz', '--mask', 'mask.nii.gz',
                      '--out', 'b.nii.gz') == 0  # fmt: skip
    assert sphere.read('b')[sphere.mask].mean() == pytest.approx(0, abs=1e-6)
    assert sphere.sidecar('b')['WholeBrainMean'] == pytest.approx(0, abs=1e-6)


def test_masks_by_name_and_by_expression(sphere):
    image = ('--magnitude', *MAGNITUDES)
    assert sphere.run('mask', 'threshold', *image, '--out', 'a.nii.gz') == 0
    rss = np.sqrt((sphere.magnitude**2).sum(axis=0))
    a = call('mask', 'threshold', rss, sphere.grid)
    np.testing.assert_array_equal(sphere.read('a'), a)
    assert sphere.run('mask', 'quality', *image, '--phase', *PHASES, '--out', 'b.nii.gz') == 0
    expression = 'erode(threshold & quality, 2) - user'
    sphere.save('drop', sphere.inner)
    assert sphere.run('mask', expression, *image, '--phase', *PHASES, '--mask', 'drop.nii.gz',
                      '--out', 'c.nii.gz', '--param', 'closing_mm=2') == 0  # fmt: skip
    both = a & (sphere.read('b') > 0)
    np.testing.assert_array_equal(
        sphere.read('c') > 0, qsm.erode(both, 2.0, sphere.grid) & ~sphere.inner
    )
    parameters = sphere.sidecar('c')['Parameters']
    assert parameters['expression'] == expression
    assert parameters['methods']['quality']['closing_mm'] == 2
    assert 'closing_mm' not in parameters['methods']['threshold']


def test_uncombined_coils(sphere):
    """One file per echo, its volumes are the coils."""
    phase = qsm.wrap(np.stack([sphere.phase, sphere.phase + 1]))
    magnitude = np.stack([sphere.magnitude, 0.8 * sphere.magnitude])
    for e, time in enumerate(sphere.echo_times_s):
        sphere.save(f'coils-phase-{e}', phase[:, e], EchoTime=time)
        sphere.save(f'coils-magnitude-{e}', magnitude[:, e], EchoTime=time)
    files = {k: [f'coils-{k}-{e}.nii.gz' for e in range(4)] for k in ('phase', 'magnitude')}
    assert sphere.run(
        'coils', 'mcpc3ds', '--phase', *files['phase'], '--magnitude', *files['magnitude'],
        '--mask', 'mask.nii.gz', '--out', 'p.nii.gz', '--out-magnitude', 'm.nii.gz',
    ) == 0  # fmt: skip
    from qsmbids.qsm.coils import combine_coils

    expected = combine_coils(phase, magnitude, sphere.echo_times_s, sphere.mask, sphere.grid)
    np.testing.assert_allclose(sphere.read('p'), expected[0], atol=1e-4)
    np.testing.assert_allclose(sphere.read('m'), expected[1], rtol=1e-4, atol=1e-4)


def test_separation_with_t2_or_without(sphere, monkeypatch):
    """R2' = R2* - 1/T2 when there is a T2; R2* alone is another, experimental argument."""
    from qsmbids.methods import Method
    from qsmbids.qsm.chisep import separate_chi

    method = Method(
        'separation', 'closed-form', 'x', 'qsmbids.qsm.chisep:separate_chi',
        'qsmbids.qsm.chisep:ChiSeparationParameters', '', 'x', takes=('r2prime', 'r2star'),
    )  # fmt: skip
    monkeypatch.setattr(methods, 'CATALOGUE', (method,))
    chi = np.where(sphere.inner, 0.05, -0.01).astype(np.float32)
    r2star, t2 = np.full_like(chi, 30), np.full_like(chi, 0.05)
    for name, image in (('chi', chi), ('r2star', r2star), ('t2', t2)):
        sphere.save(name, image)
    command = ('separate', 'closed-form', '--chi', 'chi.nii.gz', '--mask', 'mask.nii.gz',
               '--imaging-frequency', '123.2', '--r2star', 'r2star.nii.gz')  # fmt: skip
    assert sphere.run(*command, '--t2', 't2.nii.gz', '--out', 'a.nii.gz', '--out-negative',
                      'b.nii.gz', '--out-total', 'c.nii.gz') == 0  # fmt: skip
    facts = {'field_hz_per_ppm': 123.2}
    plus, minus = separate_chi(chi, sphere.mask, sphere.grid, r2prime=r2star - 20, **facts)
    for name, expected in (('a', plus), ('b', minus), ('c', plus + minus)):
        np.testing.assert_allclose(sphere.read(name), expected, atol=1e-6)
    assert sphere.run(*command, '--out', 'd.nii.gz') == 0
    plus, _ = separate_chi(chi, sphere.mask, sphere.grid, r2star=r2star, **facts)
    np.testing.assert_allclose(sphere.read('d'), plus, atol=1e-6)
    sphere.save('t2', 1000 * t2)
    assert sphere.run(*command, '--t2', 't2.nii.gz', '--out', 'e.nii.gz') == 65
    sphere.save('r2', 1 / t2)
    both = ('--t2', 't2.nii.gz', '--r2', 'r2.nii.gz')
    assert sphere.run(*command, *both, '--out', 'e.nii.gz') == 2
