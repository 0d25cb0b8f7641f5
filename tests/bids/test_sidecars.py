"""A sidecar names what an image was made from, and nothing that it was not."""

import json
from dataclasses import replace

import pytest

from qsmbids import methods
from qsmbids.bids.names import output_names
from qsmbids.bids.sidecars import sidecars
from qsmbids.plan.models import Acquisition, Decision, Echo, PhaseScaling, Source

FACTS = {
    'reference': {'region': 'csf', 'value_ppm': 0.01, 'n_voxels': 5,
                  'whole_brain_mean_ppm': 0.002, 'whole_brain_sd_ppm': 0.02},
}  # fmt: skip
REFERENCE, WHOLE_BRAIN = 'SusceptibilityReference', {'WholeBrainMean', 'WholeBrainSD'}
CONTRASTS = ('swi', 'clear-swi', 'tswi', 'smwi')
MASK, T2_MAP = '/masks/brain.nii.gz', '/maps/sub-01_T2map.nii.gz'
TOTAL, LOCAL, CHI, R2STAR, RSS, NOISE = (
    f'bids::sub-01/{name}.nii.gz'
    for name in ('fmap/sub-01_desc-total_fieldmap', 'fmap/sub-01_desc-local_fieldmap',
                 'anat/sub-01_Chimap', 'anat/sub-01_R2starmap', 'anat/sub-01_desc-rss_T2starw',
                 'fmap/sub-01_desc-noise_fieldmap')
)  # fmt: skip
MAGNITUDE, PHASE = (f'bids:raw:sub-01/anat/sub-01_part-{p}_MEGRE.nii.gz' for p in ('mag', 'phase'))


@pytest.fixture
def acquisition():
    mag, phase = (f'/bids/{name.removeprefix("bids:raw:")}' for name in (MAGNITUDE, PHASE))
    return Acquisition(
        entities=(('sub', '01'),), suffix='MEGRE',
        echoes=tuple(Echo(str(i), 0.005 * i, mag, phase, volume=i - 1) for i in (1, 2, 3)),
        shape=(8, 8, 8), voxel_size_mm=(1.0, 1.0, 1.0), affine=((1.0, 0.0, 0.0, 0.0),) * 4,
        b0_direction=Decision((0.0, 0.0, 1.0), Source.HEADER, ''),
        imaging_frequency_mhz=Decision(123.25, Source.SIDECAR, ''), phase_scaling=PhaseScaling(),
    )  # fmt: skip


def step(stage, name):
    method = methods.get(stage, name)
    return {'stage': stage, 'method': name, 'label': method.label, 'summary': method.summary,
            'parameters': {'of': name}}  # fmt: skip


def made(acquisition, *steps, part='', mask='bet'):
    """Return the sidecars of a run with these steps; of a part of its outputs."""
    chosen = [step(*s) for s in (('mask', 'bet'), ('background', 'vsharp'), *steps,
                                 ('relaxometry', 'arlo'))]  # fmt: skip
    names = output_names(acquisition.entities, separation=True, contrasts=CONTRASTS)
    if part == 'extras':
        names = {k: v for k, v in names.items() if k not in output_names(acquisition.entities)}
    settings = {'steps': chosen, 'mask': mask}
    found = sidecars(acquisition, names, settings, FACTS, '/bids')
    json.dumps(found)
    return found


@pytest.mark.parametrize('name', ['sstv', 'tgv'])
def test_map_from_the_total_field_saw_no_background_removal(acquisition, name):
    found = made(acquisition, ('inversion', name))
    chi, local = found['chi'], found['local_field']
    assert not [key for key in chi if key.startswith('BackgroundFieldRemoval')]
    assert TOTAL in chi['Sources']
    assert local['BackgroundFieldRemoval'] == 'V-SHARP'
    assert 'set aside' in local['Description']
    assert {TOTAL, CHI} <= set(local['Sources'])
    assert {REFERENCE, *WHOLE_BRAIN} <= set(chi)


def test_map_from_the_local_field(acquisition):
    found = made(acquisition, ('inversion', 'rts'))
    assert found['chi']['BackgroundFieldRemovalParameters'] == {'of': 'vsharp'}
    assert LOCAL in found['chi']['Sources']
    assert CHI not in found['local_field']['Sources']
    assert 'set aside' not in found['local_field']['Description']


def test_cosmos_inverts_local_fields_however_they_were_made(acquisition):
    found = made(acquisition, ('inversion', 'sstv'), ('cosmos', 'cosmos'))
    assert found['chi']['BackgroundFieldRemoval'] == 'V-SHARP'


@pytest.mark.parametrize('part', ['', 'extras'])
@pytest.mark.parametrize(
    ('name', 'sources', 'referenced'),
    [('chisep', [CHI, R2STAR], True), ('chisep-joint', [LOCAL, NOISE, R2STAR], False)],
)
def test_separated_maps(acquisition, part, name, sources, referenced):
    with_map = replace(acquisition, t2_map=T2_MAP)
    for scan, more, origin in (
        (acquisition, [], 'a share of R2* (experimental)'),
        (with_map, [T2_MAP], 'R2* - R2'),
    ):
        found = made(scan, ('inversion', 'sstv'), ('separation', name), part=part)
        for key in ('chi_positive', 'chi_negative'):
            assert found[key]['Sources'] == sources + more
            assert found[key]['R2PrimeFrom'] == origin
            assert (REFERENCE in found[key]) is referenced
            assert not WHOLE_BRAIN & set(found[key])
            assert 'sources' not in found[key]


@pytest.mark.parametrize(
    ('mask', 'given', 'sources'),
    [
        ('bet', '', [RSS]),
        ('bet', MASK, [RSS]),
        ('user', MASK, [MASK]),
        ('erode(user, 2) & threshold', MASK, [MASK, RSS]),
        ('quality', MASK, [MAGNITUDE, PHASE]),
        ('', MASK, [MASK]),
        ('', '', [RSS]),
    ],
)
def test_brain_mask_comes_from_what_its_expression_names(acquisition, mask, given, sources):
    found = made(replace(acquisition, brain_mask=given), mask=mask)['brain_mask']
    assert found['Sources'] == sources
    assert found.get('MaskExpression', '') == (mask or ('user' if given else ''))
    if mask == 'bet':
        assert found['MaskParameters'] == {'bet': {'of': 'bet'}}


@pytest.mark.parametrize('part', ['', 'extras'])
def test_weighted_images(acquisition, part):
    found = made(acquisition, *(('contrast', name) for name in CONTRASTS), part=part)
    for key in ('tswi', 'tswi_minip', 'smwi', 'smwi_minip'):
        assert found[key]['Sources'] == [RSS, CHI]
        assert found[key][REFERENCE] == 'csf'
        assert not WHOLE_BRAIN & set(found[key])
    for key in ('swi', 'swi_minip', 'clearswi', 'clearswi_minip'):
        assert found[key]['Sources'] == [MAGNITUDE, PHASE]
        assert REFERENCE not in found[key]


def test_combination_of_coils(acquisition):
    found = made(replace(acquisition, n_coils=16), ('inversion', 'sstv'))
    for key in ('chi', 'total_field'):
        assert found[key]['CoilCombination'] == 'MCPC-3D-S'
        assert found[key]['CoilCombinationParameters']['n_coils'] == 16
    assert 'CoilCombination' not in made(acquisition, ('inversion', 'sstv'))['chi']
