"""Options that choose methods and their parameters, all read from the catalogue."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from qsmbids import methods
from qsmbids.config import BRAIN_MASKS

# option to stage; the stages in which one method is chosen
_CHOICES = {
    'phase-offset': 'offset',
    'unwrapping': 'unwrapping',
    'field-map': 'fieldmap',
    'background-removal': 'background',
    'inversion': 'inversion',
    'relaxometry': 'relaxometry',
    'separation': 'separation',
}
_MAY_BE_NONE = ('offset', 'separation')
# stages that a run may do without, and what makes them part of it
_HOW_TO_WANT = {
    'offset': 'choose a method with --phase-offset',
    'bipolar': 'leave --bipolar off out',
    'separation': 'choose a method with --separation',
    'contrast': 'choose images with --contrast',
    'cosmos': 'add --cosmos',
}


def add_methods(group: argparse._ArgumentGroup) -> None:
    """Add the options of all stages."""
    for option, stage in _CHOICES.items():
        choices = methods.names(stage) + (['none'] if stage in _MAY_BE_NONE else [])
        group.add_argument(
            *both(option), choices=choices, dest=f'method_{stage}',
            default=methods.DEFAULT_METHODS.get(stage, 'none'),
            help=f'{methods.STAGES[stage]}. ' + _summaries(stage),
        )  # fmt: skip
    group.add_argument(
        '--mask', metavar='EXPRESSION', type=_mask_expression,
        help='what the brain is: a mask, or several combined, such as "bet & quality" or '
        '"fill(erode(threshold, 2))". user: your own, from --derivatives; atlas: the brain of '
        f'the atlas; {_summaries("mask")} (default: user if there is one, else bet)',
    )  # fmt: skip
    group.add_argument(
        '--bipolar', choices=('auto', 'on', 'off'), default='auto',
        help='correct the phase of echoes that were read in alternating directions (three echoes '
        'or more); auto: if the sidecar says so. It spoils data that are not bipolar',
    )  # fmt: skip
    group.add_argument(
        *both('two-pass'), action='store_true',
        help='invert the voxels of reliable phase alone first, to keep streaks from poor ones '
        'away; takes twice the time and an --inversion of the local field, such as rts',
    )  # fmt: skip
    group.add_argument(
        '--contrast', nargs='+', choices=methods.names('contrast'), default=[],
        help='weighted images to make as well, each with its minimum intensity projection. '
        + _summaries('contrast'),
    )  # fmt: skip
    group.add_argument(
        '--param', nargs='+', default=[], metavar='STAGE.NAME=VALUE',
        help='parameters of the chosen methods, e.g. inversion.regularisation=0.2; stages are '
        + ', '.join(methods.STAGES),
    )  # fmt: skip


def both(name: str) -> list[str]:
    """Return the spellings with dashes and with underscores."""
    return list(dict.fromkeys([f'--{name}', '--' + name.replace('-', '_')]))


def chosen_methods(args: argparse.Namespace) -> dict[str, str]:
    """Return the method of each stage; '' for a stage that is left out."""
    chosen = dict(methods.DEFAULT_METHODS)
    for stage in _CHOICES.values():
        name = getattr(args, f'method_{stage}')
        chosen[stage] = '' if name == 'none' else name
    return chosen


def read_params(
    parser: argparse.ArgumentParser, args: argparse.Namespace, chosen: dict[str, str]
) -> dict[str, dict[str, str]]:
    """Sort the overrides by stage; refuse those that no chosen method has."""
    found: dict[str, dict[str, str]] = {}
    for value in args.param:
        place, equals, text = value.partition('=')
        stage, dot, name = place.partition('.')
        if not (equals and dot) or stage not in methods.STAGES:
            parser.error(
                f'--param {value}: write STAGE.NAME=VALUE with a stage of '
                f'{", ".join(methods.STAGES)}'
            )
        found.setdefault(stage, {})[name] = text
    for stage, overrides in found.items():
        if not _wanted(stage, args, chosen):
            parser.error(
                f'--param {stage}.{next(iter(overrides))}: the stage {stage} is not part of this '
                f'run; {_HOW_TO_WANT[stage]}, or leave the parameter out'
            )
        try:
            _check_overrides(stage, overrides, _used(stage, args, chosen))
        except ValueError as error:
            parser.error(str(error))
    return found


def _wanted(stage: str, args: argparse.Namespace, chosen: dict[str, str]) -> bool:
    """Return whether the run may come to a stage at all."""
    if stage == 'contrast':
        return bool(args.contrast)
    if stage == 'cosmos':
        return args.cosmos
    if stage == 'bipolar':
        return args.bipolar != 'off'
    return bool(chosen[stage])


def _used(stage: str, args: argparse.Namespace, chosen: dict[str, str]) -> list[methods.Method]:
    """Return the methods of a stage that the run may call."""
    if stage == 'contrast':
        names = args.contrast
    elif stage == 'mask':
        from qsmbids.qsm.mask_grammar import parse_mask

        leaves = parse_mask(args.mask or chosen['mask'], BRAIN_MASKS).names()
        names = [name for name in leaves if name in methods.names('mask')]
    else:
        names = [chosen[stage]]
    return [methods.get(stage, name) for name in names]


def _check_overrides(
    stage: str, overrides: dict[str, str], used: Sequence[methods.Method]
) -> None:
    """Raise ValueError unless each override fits one of the methods, and its value too."""
    for name, text in overrides.items():
        owners = [method for method in used if name in method.parameter_names()]
        if not owners:
            known = sorted({n for method in used for n in method.parameter_names()})
            raise ValueError(
                f'--param {stage}.{name}: {", ".join(m.name for m in used) or "no method"} of the '
                f'stage {stage} has no such parameter. There is: {", ".join(known) or "none"}.'
            )
        for method in owners:
            method.make_parameters({name: text})


def _summaries(stage: str) -> str:
    """Return what each method of a stage does; a percent sign would be a format."""
    text = '; '.join(f'{n}: {methods.get(stage, n).summary}' for n in methods.names(stage))
    return text.replace('%', '%%')


def _mask_expression(text: str) -> str:
    """Check the expression of a brain mask before anything runs."""
    from qsmbids.qsm.mask_grammar import parse_mask

    try:
        parse_mask(text, BRAIN_MASKS)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
