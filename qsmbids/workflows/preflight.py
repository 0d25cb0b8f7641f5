"""What the options of a run cannot do for some scan, told before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qsmbids.config import Config
from qsmbids.plan.models import (
    MIN_ECHOES_BIPOLAR,
    MIN_ECHOES_R2STAR,
    Acquisition,
    Issue,
    Severity,
)
from qsmbids.qsm.mask_grammar import parse_mask
from qsmbids.workflows.outcome import atlas_label
from qsmbids.workflows.settings import mask_expression, mask_methods, steps_of

_NAMED = 3  # more keys in one sentence help nobody


def check_options(acquisitions: Sequence[Acquisition], config: Config) -> tuple[Issue, ...]:
    """Compare the options of a run with what each scan holds.

    Parameters
    ----------
    acquisitions : sequence of Acquisition
        The chosen scans that can be processed.
    config : Config

    Returns
    -------
    tuple of Issue
        Warnings: OPTION_WITHOUT_EFFECT for what is left out of a scan although it was asked
        for, WILL_FAIL for scans that an option cannot be carried out on.

    Raises
    ------
    ValueError
        If no scan can be processed because of one option.
    """
    found = []
    for impossible in (_without_given_mask, _without_quality, _without_r2star):
        concerned = [a for a in acquisitions if impossible(a, config)]
        if concerned:
            option, lack, why, fix = impossible(concerned[0], config)
            if len(concerned) == len(acquisitions):
                raise ValueError(f'{option}: {_listing(concerned)} {lack}.\n{why}\n{fix}')
            what = f'{option}: this scan is {lack}, so it will fail.'
            found += [_warning(a, 'WILL_FAIL', what, why, fix) for a in concerned]
    for acquisition in acquisitions:
        found += _without_effect(acquisition, config)
        found += _without_norms(acquisition, config)
    return tuple(found)


def _without_given_mask(acquisition: Acquisition, config: Config) -> tuple[str, ...]:
    """Return option, what lacks, why it matters, what to do; nothing if all is well."""
    names = parse_mask(mask_expression(acquisition, config)).names()
    if 'user' not in names or acquisition.brain_mask:
        return ()
    return (
        f'--mask "{config.mask}"',
        'without a mask of yours',
        'The brain cannot be marked without the mask "user".',
        'Give its folder with --derivatives masks=FOLDER, or leave "user" out.',
    )


def _without_quality(acquisition: Acquisition, config: Config) -> tuple[str, ...]:
    """Return the same for masks that are made from the phase."""
    used = [config.method('mask', name) for name in mask_methods(acquisition, config)]
    names = [method.name for method in used if 'quality' in method.takes]
    if not names or acquisition.phase_scaling is not None:
        return ()
    return (
        f'--mask "{config.mask}"',
        'without phase',
        f'The mask "{names[0]}" is made from the phase.',
        'Use another mask such as bet, or leave these scans out with --bids-filter-file.',
    )


def _without_r2star(acquisition: Acquisition, config: Config) -> tuple[str, ...]:
    """Return the same for an inversion or a reference that needs R2*."""
    method = config.method('inversion')
    planned = dict(steps_of(acquisition, config))
    if 'inversion' not in planned or 'relaxometry' in planned:
        return ()
    if config.reference == 'csf-r2star':
        option, reason = '--reference-region csf-r2star', 'Fluid is told from tissue by its R2*.'
        instead = '--reference-region csf or whole-brain'
    elif 'r2star' in method.takes:  # all that take it cannot do without
        option = f'--inversion {method.name}'
        reason, instead = f'{method.label} starts from a map of R2*.', '--inversion medi'
    else:
        return ()
    return (
        option,
        f'without the {MIN_ECHOES_R2STAR} echoes that R2* needs',
        reason,
        f'Use {instead}, or leave these scans out with --bids-filter-file.',
    )


def _without_effect(acquisition: Acquisition, config: Config) -> list[Issue]:
    """Return a warning for each option whose step is not planned for a scan."""
    wanted = {}  # stage to option and the echoes that it needs
    if config.has('separation'):
        option = f'--separation {config.methods["separation"]}'
        wanted['separation'] = option, MIN_ECHOES_R2STAR, 'The separation starts from R2*.'
    if config.bipolar == 'on':
        why = 'Fewer echoes cannot tell the readout from the offset.'
        wanted['bipolar'] = '--bipolar on', MIN_ECHOES_BIPOLAR, why
    if config.contrasts:
        wanted['contrast'] = f'--contrast {" ".join(config.contrasts)}', 1, ''
    planned = dict(steps_of(acquisition, config))
    n = len(acquisition.echoes)
    found = []
    for stage, (option, needed, why) in wanted.items():
        if stage in planned:
            continue
        if acquisition.phase_scaling is None:
            lack = 'the scan has no phase'
            why = 'Everything but R2* is made from the phase.'
            fix = 'Export the phase, or leave the option out for such scans.'
        elif n < needed:
            lack = f'the scan has {n} echo{"es" if n > 1 else ""}, and {needed} are needed'
            fix = 'Leave the option out for such scans; all else is done.'
        else:  # the only other ground on which a step is left out
            lack = 'the phase offset is not removed'
            why = 'The correction relies on echoes whose offset has been taken away.'
            fix = 'Leave --phase-offset none out, or --bipolar on.'
        what = f'{option} has no effect: {lack}.'
        found.append(_warning(acquisition, 'OPTION_WITHOUT_EFFECT', what, why, fix))
    return found


def _without_norms(acquisition: Acquisition, config: Config) -> list[Issue]:
    """Return a warning if the scan cannot be compared with the norms that were given."""
    norms = config.norms
    if norms is None or config.recon_only:
        return []
    atlas, strength = atlas_label(config.atlas), acquisition.field_strength_t
    if atlas != norms.atlas and not norms.follows_reference:
        reason: tuple[str, str, str] | None = (
            f'The norms are of the atlas {norms.atlas}, and {atlas} is used.',
            'A region of another atlas has other borders; there will be no z-scores.',
            'Use that atlas, or norms of this one.',
        )
    else:
        reason = norms.refusal(
            reference=config.reference, units=norms.units, curve_offset=0.0,
            field_strength_t=math.nan if strength is None else float(strength),
        )  # fmt: skip
    return [_warning(acquisition, 'OPTION_WITHOUT_EFFECT', *reason)] if reason else []


def _warning(acquisition: Acquisition, code: str, what: str, why: str, fix: str) -> Issue:
    return Issue(code, Severity.WARNING, what, why, fix, scope=acquisition.key)


def _listing(acquisitions: Sequence[Acquisition]) -> str:
    """Return ``a is`` or ``a, b, c and 2 more are``."""
    rest = len(acquisitions) - _NAMED
    text = ', '.join(a.key for a in acquisitions[:_NAMED])
    text += f' and {rest} more' if rest > 0 else ''
    return f'{text} {"is" if len(acquisitions) == 1 else "are"}'
