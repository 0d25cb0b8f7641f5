"""The methods of an acquisition with the parameters really used, for people and sidecars."""

from __future__ import annotations

from typing import Any

from qsmbids import __version__
from qsmbids.config import Config
from qsmbids.plan.models import Acquisition

MIN_ECHOES_R2STAR = 3  # with two echoes every fit is perfect and noise passes for decay


def steps_of(acquisition: Acquisition) -> list[str]:
    """Return the stages that an acquisition goes through, in order."""
    stages = [] if acquisition.brain_mask else ['mask']
    if acquisition.phase_scaling is not None:
        if len(acquisition.echoes) > 1:
            stages.append('offset')
        stages += ['unwrapping', 'background', 'inversion']
    if len(acquisition.echoes) >= MIN_ECHOES_R2STAR:
        stages.append('relaxometry')
    return stages


def settings_of(acquisition: Acquisition, config: Config, atlas: dict[str, Any]) -> dict[str, Any]:
    """Return what methods text and sidecars need to know of the settings.

    Returns
    -------
    dict
        ``steps`` (stage, method, label, summary, parameters, citation, version each),
        ``atlas``, ``reference`` and ``software``.
    """
    steps = []
    for stage in steps_of(acquisition):
        method = config.method(stage)
        steps.append(
            {
                'stage': stage,
                'method': method.name,
                'label': method.label,
                'summary': method.summary,
                'parameters': config.parameters(stage),
                'citation': method.citation,
                'version': method.version,
            }
        )
    return {
        'steps': steps,
        'atlas': {**atlas, 'registration': config.registration} if atlas else {},
        'reference': config.reference,
        'software': {'qsmbids': __version__},
    }
