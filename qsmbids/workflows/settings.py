"""The methods of an acquisition with the parameters really used, for people and sidecars."""

from __future__ import annotations

from typing import Any

from qsmbids import __version__, methods
from qsmbids.config import Config
from qsmbids.plan.models import MIN_ECHOES_BIPOLAR, MIN_ECHOES_R2STAR, Acquisition


def steps_of(acquisition: Acquisition, config: Config) -> list[tuple[str, str]]:
    """Return the steps that an acquisition goes through: pairs of stage and method, in order."""
    steps = [('mask', name) for name in mask_methods(acquisition, config)]
    chosen = []
    if acquisition.phase_scaling is not None:
        # the combination of coils has removed the offset of each already
        if len(acquisition.echoes) > 1 and acquisition.n_coils == 1 and config.has('offset'):
            chosen.append('offset')
        if corrects_bipolar(acquisition, config):
            chosen.append('bipolar')
        chosen += ['unwrapping', 'fieldmap']
        background_first = config.method('inversion').field == 'local'
        chosen += ['background', 'inversion'] if background_first else ['inversion', 'background']
    if len(acquisition.echoes) >= MIN_ECHOES_R2STAR:
        chosen.append('relaxometry')
        if acquisition.phase_scaling is not None and config.has('separation'):
            chosen.append('separation')
    steps += [(stage, config.methods[stage]) for stage in chosen]
    if acquisition.phase_scaling is not None:
        steps += [('contrast', name) for name in config.contrasts]
    return steps


def mask_expression(acquisition: Acquisition, config: Config) -> str:
    """Return the expression that makes the brain mask: what was asked for, or a given mask."""
    return config.mask or ('user' if acquisition.brain_mask else config.methods['mask'])


def mask_methods(acquisition: Acquisition, config: Config) -> list[str]:
    """Return the methods of the catalogue that the brain mask is made from."""
    from qsmbids.qsm.mask_grammar import parse_mask

    known = methods.names('mask')
    return [n for n in parse_mask(mask_expression(acquisition, config)).names() if n in known]


def corrects_bipolar(acquisition: Acquisition, config: Config) -> bool:
    """Return whether alternating readout is corrected: on request, or as the sidecar says."""
    if len(acquisition.echoes) < MIN_ECHOES_BIPOLAR or config.bipolar == 'off':
        return False
    if acquisition.n_coils == 1 and not config.has('offset'):
        return False  # it undoes what the removal of the offset has made of the readout phase
    return config.bipolar == 'on' or any(issue.code == 'BIPOLAR' for issue in acquisition.issues)


def settings_of(acquisition: Acquisition, config: Config, atlas: dict[str, Any]) -> dict[str, Any]:
    """Return what methods text and sidecars need to know of the settings.

    Returns
    -------
    dict
        ``steps`` (stage, method, label, summary, parameters, citation, version each),
        ``atlas``, ``reference`` and ``software``.
    """
    steps = []
    for stage, name in steps_of(acquisition, config):
        method = config.method(stage, name)
        steps.append(
            {
                'stage': stage,
                'method': method.name,
                'label': method.label,
                'summary': method.summary,
                'parameters': config.parameters(stage, name),
                'citation': method.citation,
                'version': method.version,
            }
        )
    return {
        'steps': steps,
        'atlas': {**atlas, 'registration': config.registration} if atlas else {},
        'reference': config.reference,
        'mask': mask_expression(acquisition, config),
        'two_pass': config.two_pass,
        'software': {'qsmbids': __version__},
    }
