"""The methods text of a report: what was done, with the parameters that were used.

A pure function of the plan and the settings, so that it says what ran and nothing else. The
text is Markdown with ``[@key]`` citations of ``data/references.bib`` and covers what the QSM
consensus asks to be reported (https://doi.org/10.1002/mrm.30006).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qsmbids.bids.sidecars import inverts_total_field
from qsmbids.methods import STAGES
from qsmbids.plan.models import Acquisition
from qsmbids.report.markdown import literal
from qsmbids.report.values import fixed, significant

_MORE_STAGES = {
    'scaling': 'Phase scaling',
    'combination': 'Echo combination',
    'reference': 'Referencing',
    'registration': 'Registration to the atlas',
    'regions': 'Regional statistics',
}
_UNITS = {
    'mm': 'mm', 'mm3': 'mm³', 's': 's', 'ms': 'ms', 'hz': 'Hz', 'ppm': 'ppm', 'deg': '°',
    'rad': 'rad',
}  # fmt: skip
_HARDWARE = ('Manufacturer', 'ManufacturersModelName', 'SoftwareVersions', 'ReceiveCoilName')
_SEQUENCE = (
    ('RepetitionTime', 'repetition time', lambda v: f'{1000 * float(v):g} ms'),
    ('FlipAngle', 'flip angle', lambda v: f'{float(v):g}°'),
    ('PixelBandwidth', 'bandwidth', lambda v: f'{float(v):g} Hz/pixel'),
    ('ParallelReductionFactorInPlane', 'in-plane acceleration', lambda v: f'{float(v):g}'),
    ('PartialFourier', 'partial Fourier factor', lambda v: f'{float(v):g}'),
)

LICENCE_NOTE = (
    'This text may be used without restriction: it is dedicated to the public domain '
    '([CC0](https://creativecommons.org/publicdomain/zero/1.0/)).'
)


def methods_text(acquisition: Acquisition, settings: Mapping[str, Any]) -> str:
    """Write the methods section of one acquisition.

    Parameters
    ----------
    acquisition : Acquisition
        From the plan.
    settings : mapping
        ``steps``: sequence of mappings with stage, label (or method), summary, parameters,
        citation (keys separated by commas) and version, in the order they ran; ``atlas``:
        mapping with name, cohort, age_range; ``reference``: name of the reference region, or
        a mapping with region, value_ppm and n_voxels; ``mask``: expression of the brain mask;
        ``two_pass``; ``software``: name to version. Every key may be missing.

    Returns
    -------
    str
        Markdown.
    """
    parts = ['## Acquisition', _acquisition(acquisition)]
    steps = settings.get('steps') or ()
    if steps:
        parts += ['## Reconstruction', _phase(acquisition)]
        parts += [_step(step, single_step=inverts_total_field(settings)) for step in steps]
        parts += [*_choices(settings), *_separation(acquisition, steps)]
    reference = _reference(settings.get('reference'))
    if reference:
        parts.append(reference)
    if settings.get('atlas'):
        parts += ['## Atlas', _atlas(settings['atlas'], acquisition)]
    parts += ['## Software', _software(settings.get('software') or {}), LICENCE_NOTE]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _acquisition(acquisition: Acquisition) -> str:
    times = [f'{1000 * te:.4g}' for te in acquisition.echo_times_s]
    echoes = (
        f'one echo at {times[0]} ms' if len(times) == 1
        else f'{len(times)} echoes at {", ".join(times)} ms'
    )  # fmt: skip
    voxel = ' × '.join(f'{size:.3g}' for size in acquisition.voxel_size_mm)
    matrix = ' × '.join(str(n) for n in acquisition.shape)
    metadata = acquisition.metadata
    hardware = [literal(metadata[key]) for key in _HARDWARE if metadata.get(key)]
    on = f' on a scanner described as {", ".join(hardware)}' if hardware else ''
    sequence = [
        f'{name} {show(metadata[key])}'
        for key, name, show in _SEQUENCE
        if _is_number(metadata.get(key))
    ]
    more = f', {", ".join(sequence)}' if sequence else ''
    frequency = acquisition.imaging_frequency_mhz.value
    field = (
        ' at an unknown field strength'  # enough for R2*
        if frequency is None
        else f' at {acquisition.field_strength_t:.3g} T (imaging frequency {frequency:.5g} MHz)'
    )
    return (
        f'Gradient echo images with {echoes} were acquired{field}{on}, with a matrix of '
        f'{matrix}, voxels of {voxel} mm{more}.'
    )


def _phase(acquisition: Acquisition) -> str:
    scaling = acquisition.phase_scaling
    if scaling is None:
        return 'There was no phase image, so susceptibility could not be computed.'
    if scaling.complex:
        origin = 'Phase was taken as the argument of the complex images'
    elif scaling.slope == 1 and scaling.intercept == 0:
        origin = 'Phase images were in radians'
    else:
        origin = (
            'Phase images were converted to radians by one linear map for all echoes '
            f'(slope {scaling.slope:.6g}, intercept {scaling.intercept:.6g})'
        )
    sign = ' and inverted' if scaling.sign < 0 else ''
    b0 = ', '.join(fixed(v, 3) for v in acquisition.b0_direction.value)
    coils = ''
    if acquisition.n_coils > 1:
        coils = (
            f' Coil combination: the {acquisition.n_coils} receive coils were added up after the '
            'phase offset of each had been estimated from the first two echoes, smoothed and '
            'removed, as in MCPC-3D-S [@eckstein2018].'
        )
    return (
        f'{origin}{sign}, so that paramagnetic sources have positive phase.{coils} The field '
        f'direction in voxel axes was ({b0}); nothing was resampled to be axial. The processing '
        'follows the QSM consensus recommendations [@qsmconsensus2024].'
    )


def _step(step: Mapping[str, Any], *, single_step: bool = False) -> str:
    stage = str(step.get('stage', ''))
    title = STAGES.get(stage) or _MORE_STAGES.get(stage) or stage.replace('_', ' ').capitalize()
    if stage == 'background' and single_step:  # the map did not go through it
        title += ' (for the local field map)'
    title = literal(title)
    label = literal(step.get('label') or step.get('method') or '')
    text = f'**{title}**: {label}' if label else f'**{title}**'
    if step.get('citation'):
        text += f' {cite(step["citation"])}'
    if step.get('summary'):
        text += f', {literal(step["summary"]).rstrip(".")}'
    parameters = step.get('parameters') or {}
    if parameters:
        shown = '; '.join(_parameter(name, value) for name, value in parameters.items())
        text += f' (parameters: {shown})'
    return text + '.'


def _choices(settings: Mapping[str, Any]) -> list[str]:
    """Say what is more than one method after the other."""
    parts = []
    mask = str(settings.get('mask') or '')
    if mask == 'user':
        parts.append('The brain mask was supplied.')
    elif not mask.isalpha() and mask:
        given = ', where `user` is a mask that was supplied' if 'user' in mask else ''
        parts.append(f'The brain mask was `{mask}`{given}.')
    if 'atlas' in mask:
        parts.append(
            'The mask `atlas` is the brain of the atlas, brought to the magnitude by an affine '
            'and a diffeomorphic registration [@avants2008].'
        )
    if settings.get('two_pass'):
        parts.append(
            'The inversion was done twice, on the voxels of reliable phase and on all, and the '
            'first result was taken where it exists [@stewart2022].'
        )
    return parts


def _separation(acquisition: Acquisition, steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say where R2' came from."""
    if not any(step.get('stage') == 'separation' for step in steps):
        return []
    if acquisition.t2_map:
        kind = 'R2' if '_R2map' in Path(acquisition.t2_map).name else 'T2'
        origin = f"R2' was R2* minus R2, from a map of {kind} that was supplied."
    else:
        origin = (
            "There was no map of T2 or R2: a fixed share of R2* stands for R2' in the "
            'separation, which is experimental.'
        )
    return [literal(origin)]


def _reference(reference: Any) -> str:
    if not reference:
        return ''
    if not isinstance(reference, Mapping):
        reference = {'region': reference}
    region = str(reference.get('region', ''))
    if region == 'none':
        return 'Susceptibility was not referenced to any region.'
    text = f'Susceptibility is given relative to the mean of: {literal(region)}'
    if 'value_ppm' in reference:
        text += f' ({significant(reference["value_ppm"])} ppm was subtracted'
        if 'n_voxels' in reference:
            text += f', mean of {significant(reference["n_voxels"])} voxels'
        text += ')'
    return text + '.'


_PRIORS = (
    'Its age curves are engineering priors, not published norms; their form follows published '
    'work on the ageing brain [@li2014; @hallgren1958], their numbers are choices of this project.'
)
_ATLAS_ORIGIN = {
    'QSMLifespan': (
        ' Its geometry is an adult average at every age, derived from the Allen Human Reference '
        f'Atlas [@ding2016] on the MNI152 template [@fonov2011]. {_PRIORS}'
    ),
    'QSMLifespanAllen': (
        ' Its regions are those of the Allen Human Reference Atlas 3D 2020 [@ding2016] on the '
        f'MNI152 template [@fonov2011], the same at every age. {_PRIORS}'
    ),
    'QSMLifespanCIT168': (
        ' Its regions are those of CIT168 [@pauli2018], completed from the Allen Human Reference '
        f'Atlas [@ding2016], on the MNI152 template [@fonov2011], the same at every age. {_PRIORS}'
    ),
}


def _atlas(atlas: Mapping[str, Any], acquisition: Acquisition) -> str:
    text = f'Regions are those of the {literal(atlas.get("name", ""))} atlas'
    if atlas.get('cohort'):
        text += f', cohort {literal(atlas["cohort"])}'
    if atlas.get('age_range'):
        low, high = atlas['age_range']
        text += f' ({low:g} to {high:g} years)'
    if acquisition.age_years is not None:
        text += f', chosen for an age of {acquisition.age_years.value:g} years'
    text += '.'
    weights = atlas.get('cohort_weights')
    if weights:
        parts = [f'{weight:.2f} of cohort {literal(c)}' for c, weight in weights.items()]
        text += f' The template was mixed from the cohorts around this age: {", ".join(parts)}.'
    return text + _ATLAS_ORIGIN.get(str(atlas.get('name')), '')


def _software(software: Mapping[str, Any]) -> str:
    shown = ', '.join(f'{literal(name)} {literal(version)}' for name, version in software.items())
    return f'Computed with {shown}.' if shown else ''


def cite(keys: str | Iterable[str]) -> str:
    """Return a Markdown citation.

    Examples
    --------
    >>> cite('li2011,wu2012')
    '[@li2011; @wu2012]'
    """
    parts: Sequence[str] = keys.split(',') if isinstance(keys, str) else list(keys)
    return f'[{"; ".join(f"@{part.strip()}" for part in parts if part.strip())}]'


def _parameter(name: str, value: Any) -> str:
    """Return ``radius_mm = 6`` as ``radius 6 mm``."""
    words = name.split('_')
    unit = _UNITS.get(words[-1], '') if len(words) > 1 else ''
    if unit:
        words = words[:-1]
    space = '' if unit == '°' else ' '
    return f'{" ".join(words)} {_plain(value)}{space + unit if unit else ""}'


def _plain(value: Any) -> str:
    if value is None:
        return 'none'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, (list, tuple)):
        return ', '.join(_plain(v) for v in value)
    return literal(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
