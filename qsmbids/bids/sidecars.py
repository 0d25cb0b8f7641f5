"""What stands in the JSON beside each output: units, parents, and how it was made.

The keys follow BIDS where BIDS has one; ours are in CamelCase and explained in
``docs/outputs.md``. The consensus on reporting (10.1002/mrm.30006) asks for the parameters of
every step and for the reference region; both stand in the sidecar of the map itself.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from qsmbids import methods
from qsmbids.bids.names import contrast_keys, output_names
from qsmbids.plan.models import Acquisition

# acquisition fields passed on when all echoes agree
_PASSED_ON = (
    'Manufacturer', 'ManufacturersModelName', 'DeviceSerialNumber', 'SoftwareVersions',
    'MagneticFieldStrength', 'ImagingFrequency', 'MRAcquisitionType', 'ScanningSequence',
    'SequenceVariant', 'PulseSequenceType', 'PulseSequenceName', 'RepetitionTime', 'FlipAngle',
    'PixelBandwidth', 'ReceiveCoilName', 'CoilCombinationMethod', 'ParallelAcquisitionTechnique',
    'ParallelReductionFactorInPlane', 'PartialFourier', 'SliceThickness',
)  # fmt: skip

DESCRIPTIONS = {
    'atlas': 'Susceptibility that the atlas expects at the age, in the space of the scan',
    'brain': 'Brain mask',
    'cosmos': 'Susceptibility from several orientations of the head, and where it is known',
    'clearswi': 'CLEAR-SWI: all echoes, weighted by unwrapped phase',
    'diamagnetic': 'Susceptibility of the diamagnetic sources of each voxel, at most 0',
    'lesions': 'One row of measures for each marked lesion',
    'local': 'Field of sources inside the brain, after background removal',
    'noise': 'Standard deviation of the total field that the magnitude implies',
    'paramagnetic': 'Susceptibility of the paramagnetic sources of each voxel, at least 0',
    'preproc': 'Root sum of squares of the echo magnitudes, resampled to the atlas',
    'qc': 'Quality numbers of one acquisition',
    'qsm': 'Voxels in which susceptibility was reconstructed',
    'regions': 'One row of statistics for each atlas region',
    'rss': 'Root sum of squares of the echo magnitudes',
    'smwi': 'Magnitude weighted by susceptibility (SMWI)',
    'total': 'Field of all sources, from the unwrapped and combined phase',
    'tswi': 'Magnitude weighted by susceptibility (tSWI)',
    'veins': 'One row of measures for each marked vein',
}
# in place of 'local' after a single-step inversion
_LOCAL_AFTER_CHI = (
    'Field of sources inside the brain: the field of the susceptibility map (before referencing) '
    'was set aside, background removal was applied to the rest of the total field, and the two '
    'were added'
)


def sidecars(
    acquisition: Acquisition,
    names: Mapping[str, str],
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
    bids_dir: str,
) -> dict[str, dict[str, Any]]:
    """Return the sidecar of each output that has one.

    Parameters
    ----------
    acquisition : Acquisition
        What was measured.
    names : mapping
        Key to output path of what is written now; it may be a part of
        :func:`qsmbids.bids.names.output_names`, whose other outputs serve as parents.
    settings : mapping
        ``steps``: the methods with their parameters, as in the methods text; ``mask``: the
        expression of the brain mask.
    facts : mapping
        ``reference`` and ``atlas``: what the run found out.
    bids_dir : str
        The raw dataset, to which raw sources are relative.
    """
    scan = _acquisition_fields(acquisition)
    magnitude = _raw(acquisition, bids_dir, ('magnitude', 'real', 'imag'))
    everything = _raw(acquisition, bids_dir, ('magnitude', 'phase', 'real', 'imag'))
    steps = {step['stage']: step for step in settings.get('steps', ())}
    atlas = facts.get('atlas') or {}
    space = _space(atlas)
    parents_by_key = {**_reconstructed(acquisition, steps), **names}

    def parents(*keys: str) -> list[str]:
        return [f'bids::{parents_by_key[key]}' for key in keys if key in parents_by_key]

    def one(
        description: str, units: str, sources: Sequence[str] = (), **more: Any
    ) -> dict[str, Any]:
        return {
            'Description': description, 'Units': units, 'Sources': list(sources),
            'SkullStripped': True, **scan, **more,
        }  # fmt: skip

    chi = _chi_fields(acquisition, steps, facts)
    single_step = inverts_total_field(settings)
    field = parents('total_field' if single_step else 'local_field')
    local = parents('total_field', 'brain_mask', *(['chi'] if single_step else []))
    signs = _separation_fields(acquisition, steps, facts, parents)
    found = {
        'chi': one('Magnetic susceptibility, paramagnetic positive', 'ppm',
                   field + parents('qsm_mask'), **chi),
        'chi_positive': one(DESCRIPTIONS['paramagnetic'], 'ppm', **signs),
        'chi_negative': one(DESCRIPTIONS['diamagnetic'], 'ppm', **signs),
        'rss': one(DESCRIPTIONS['rss'], 'arbitrary', magnitude, SkullStripped=False),
        'brain_mask': {'Type': 'Brain', 'Description': DESCRIPTIONS['brain'],
                       **_mask_fields(acquisition, settings, parents('rss'), everything)},
        'qsm_mask': {'Type': 'ROI', 'Description': DESCRIPTIONS['qsm'],
                     'Sources': parents('brain_mask', 'total_field')},
        'total_field': one(DESCRIPTIONS['total'], 'Hz', everything,
                           **_coil_fields(acquisition),
                           **_step_fields(steps, 'offset', 'bipolar', 'unwrapping', 'fieldmap')),
        'local_field': one(_LOCAL_AFTER_CHI if single_step else DESCRIPTIONS['local'], 'Hz',
                           local, **_step_fields(steps, 'background')),
        'field_noise': one(DESCRIPTIONS['noise'], 'Hz', everything),
        'fmap_magnitude': one(DESCRIPTIONS['rss'], 'arbitrary', magnitude, SkullStripped=False),
        'r2star': one('Effective transverse relaxation rate', '1/s', magnitude,
                      **_step_fields(steps, 'relaxometry')),
        't2star': one('Effective transverse relaxation time', 's', magnitude,
                      **_step_fields(steps, 'relaxometry')),
        's0': one('Signal at echo time zero', 'arbitrary', magnitude),
        'dseg': {'Description': f'Regions of {atlas.get("name")} in the space of the scan',
                 'Sources': parents('rss', 'chi'), **_atlas_fields(atlas)},
        'template_chi': {'Description': DESCRIPTIONS['atlas'], 'Units': 'ppm',
                         'SkullStripped': True, **_atlas_fields(atlas)},
        'norm_chi': one('Magnetic susceptibility in atlas space', 'ppm', parents('chi'),
                        **space, **_reference_fields(facts), **_whole_brain_fields(facts)),
        'norm_r2star': one('R2* in atlas space', '1/s', parents('r2star'), **space),
        'norm_rss': one(DESCRIPTIONS['preproc'], 'arbitrary', parents('rss'), **space,
                        SkullStripped=False),
        'xfm_forward': _transform('the scan', 'the atlas', atlas),
        'xfm_inverse': _transform('the atlas', 'the scan', atlas),
    }  # fmt: skip
    for step in settings.get('steps', ()):
        if step['stage'] == 'contrast':
            if 'chi' in _arguments(step):
                make = partial(one, sources=parents('rss', 'chi'), **_reference_fields(facts))
            else:
                make = partial(one, sources=everything)
            found |= _contrast_sidecars(step, make)
    return {key: content for key, content in found.items() if key in names}


def inverts_total_field(settings: Mapping[str, Any]) -> bool:
    """Return whether the map comes from the total field.

    Background removal then makes the local field and has no part in the map. COSMOS always
    inverts local fields, even if these were made with such an inversion.

    Examples
    --------
    >>> inverts_total_field({'steps': [{'stage': 'inversion', 'method': 'sstv'}]})
    True
    """
    steps = settings.get('steps') or ()
    if any(s.get('stage') == 'cosmos' for s in steps):
        return False
    names = [s.get('method') for s in steps if s.get('stage') == 'inversion']
    return any(name and methods.get('inversion', name).field == 'total' for name in names)


def mask_expression(acquisition: Acquisition, settings: Mapping[str, Any]) -> str:
    """Return the expression of the brain mask; '' if nothing is known of it."""
    return str(settings.get('mask') or ('user' if acquisition.brain_mask else ''))


def _reconstructed(acquisition: Acquisition, steps: Mapping) -> dict[str, str]:
    """Return the outputs before extras and atlas, which are written apart from those."""
    return output_names(
        acquisition.entities,
        phase=acquisition.phase_scaling is not None,
        relaxation='relaxometry' in steps,
    )


def _arguments(step: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the function of a step is called with: its images are among it."""
    return tuple(inspect.signature(methods.get(step['stage'], step['method']).load()).parameters)


def _contrast_sidecars(
    step: Mapping[str, Any], one: Callable[..., dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the sidecars of a weighted image and of its projection."""
    image, projection = contrast_keys(step['method'])
    made = {'Contrast': step['label'], 'ContrastParameters': step['parameters']}
    return {
        image: one(f'{step["label"]}: {step["summary"]}', 'arbitrary', **made),
        projection: one(f'Minimum intensity projection of {step["label"]}', 'arbitrary', **made),
    }


def _separation_fields(
    acquisition: Acquisition, steps: Mapping, facts: Mapping, parents: Callable[..., list[str]]
) -> dict[str, Any]:
    """Return what the separated maps are made from, and whether they have a reference."""
    if 'separation' not in steps:
        return {}
    fields = _step_fields(steps, 'separation')
    if 'chi_ppm' in _arguments(steps['separation']):
        sources = parents('chi', 'r2star')
        fields |= _reference_fields(facts)
    else:  # from the field: absolute
        sources = parents('local_field', 'field_noise', 'r2star')
    if acquisition.t2_map:
        sources.append(acquisition.t2_map)
    fields['R2PrimeFrom'] = 'R2* - R2' if acquisition.t2_map else 'a share of R2* (experimental)'
    return {'sources': sources, **fields}


def _mask_fields(
    acquisition: Acquisition, settings: Mapping[str, Any], rss: list[str], raw: list[str]
) -> dict[str, Any]:
    """Return what the brain mask is made from, and how."""
    text = mask_expression(acquisition, settings)
    if not text:
        return {'Sources': rss}
    from qsmbids.qsm.mask_grammar import parse_mask  # with the numerics: not for a finished run

    names = parse_mask(text).names()
    sources = [acquisition.brain_mask] if 'user' in names and acquisition.brain_mask else []
    if set(names) - {'user', 'quality'}:
        sources += rss
    if 'quality' in names:
        sources += raw
    fields: dict[str, Any] = {'Sources': sources, 'MaskExpression': text}
    parameters = {
        step['method']: step.get('parameters', {})
        for step in settings.get('steps', ())
        if step['stage'] == 'mask'
    }
    return fields | ({'MaskParameters': parameters} if parameters else {})


def _coil_fields(acquisition: Acquisition) -> dict[str, Any]:
    """Return how receive coils that were stored one by one became one image."""
    if acquisition.n_coils == 1:
        return {}
    from qsmbids.qsm.coils import CoilParameters

    return {
        'CoilCombination': 'MCPC-3D-S',
        'CoilCombinationParameters': {'n_coils': acquisition.n_coils, **asdict(CoilParameters())},
    }


def _acquisition_fields(acquisition: Acquisition) -> dict[str, Any]:
    fields = {k: acquisition.metadata[k] for k in _PASSED_ON if k in acquisition.metadata}
    times = [round(te, 9) for te in acquisition.echo_times_s]
    fields['EchoTime'] = times[0] if len(times) == 1 else times
    if acquisition.imaging_frequency_mhz.value is not None:  # R2* does not need it
        fields['ImagingFrequency'] = acquisition.imaging_frequency_mhz.value
    fields['B0Direction'] = [round(float(v), 6) for v in acquisition.b0_direction.value]
    if acquisition.age_years is not None:
        fields['AgeYears'] = acquisition.age_years.value
    return fields


def _chi_fields(acquisition: Acquisition, steps: Mapping, facts: Mapping) -> dict[str, Any]:
    scaling = acquisition.phase_scaling
    fields: dict[str, Any] = {
        'EstimationReference': 'QSM consensus recommendations, doi:10.1002/mrm.30006',
        'EstimationAlgorithm': steps.get('inversion', {}).get('label', ''),
        'PhaseSignConvention': 'paramagnetic positive',
    }
    if scaling is not None:
        fields['PhaseScaling'] = {
            'Slope': scaling.slope, 'Intercept': scaling.intercept, 'Sign': scaling.sign,
            'ComplexInput': scaling.complex, 'DecidedFrom': str(scaling.source),
        }  # fmt: skip
    background = () if inverts_total_field({'steps': steps.values()}) else ('background',)
    fields |= _coil_fields(acquisition) | _step_fields(
        steps, 'offset', 'bipolar', 'unwrapping', 'fieldmap', *background, 'inversion'
    )
    return fields | _reference_fields(facts) | _whole_brain_fields(facts)


_STEP_KEYS = {
    'offset': 'PhaseOffsetRemoval',
    'bipolar': 'ReadoutPhaseCorrection',
    'unwrapping': 'PhaseUnwrapping',
    'fieldmap': 'EchoCombination',
    'background': 'BackgroundFieldRemoval',
    'inversion': 'DipoleInversion',
    'relaxometry': 'RelaxometryMethod',
    'separation': 'SourceSeparation',
}


def _step_fields(steps: Mapping[str, Mapping], *stages: str) -> dict[str, Any]:
    """Name each method and its parameters."""
    fields: dict[str, Any] = {}
    for stage in stages:
        if stage in steps:
            key = _STEP_KEYS[stage]
            fields[key] = steps[stage]['label']
            fields[f'{key}Parameters'] = steps[stage].get('parameters', {})
    return fields


def _reference_fields(facts: Mapping) -> dict[str, Any]:
    reference = facts.get('reference') or {}
    if not reference:
        return {}
    return {
        'SusceptibilityReference': reference['region'],
        'SusceptibilityReferenceValue': reference['value_ppm'],
        'SusceptibilityReferenceVoxels': reference['n_voxels'],
    }


def _whole_brain_fields(facts: Mapping) -> dict[str, Any]:
    """Return mean and spread of the referenced map, which no map made from it shares."""
    reference = facts.get('reference') or {}
    if not reference:
        return {}
    return {
        'WholeBrainMean': reference['whole_brain_mean_ppm'],
        'WholeBrainSD': reference['whole_brain_sd_ppm'],
    }


def _atlas_fields(atlas: Mapping) -> dict[str, Any]:
    if not atlas:
        return {}
    return {
        'Atlas': atlas['name'],
        'AtlasCohort': atlas['cohort'],
        'AtlasCohortAgeRange': atlas['age_range'],
        'AtlasNote': atlas.get('note', ''),
        **({'AtlasCohortWeights': weights} if (weights := atlas.get('cohort_weights')) else {}),
    }


def _space(atlas: Mapping) -> dict[str, Any]:
    if not atlas:
        return {}
    where = f'{atlas["name"]} atlas, cohort {atlas["cohort"]}'
    return {
        'SpatialReference': atlas.get('spatial_reference', where),
        'Resolution': atlas.get('resolution', '1 mm isotropic'),
        **_atlas_fields(atlas),
    }


def _transform(start: str, end: str, atlas: Mapping) -> dict[str, Any]:
    return {
        'Description': f'Resamples images from the space of {start} to that of {end}',
        'Format': 'ITK composite transform (HDF5), LPS millimetres',
        'Convention': (
            f'Maps points of {end} to points of {start}, as resampling an image needs; '
            'give it to antsApplyTransforms -t as it is'
        ),
        **_atlas_fields(atlas),
    }


def _raw(acquisition: Acquisition, bids_dir: str, kinds: Sequence[str]) -> list[str]:
    files = dict.fromkeys(  # once each, in order
        getattr(echo, kind) for kind in kinds for echo in acquisition.echoes
    )
    return [f'bids:raw:{os.path.relpath(f, bids_dir)}' for f in files if f]
