"""Mask expressions for ``qsmbids-step mask``, such as ``'bet & quality'``."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qsmbids.cli.step_arguments import Argument, bind, refuse_unused
from qsmbids.cli.step_messages import StepError
from qsmbids.cli.step_read import Reader
from qsmbids.cli.step_verbs import Verb
from qsmbids.methods import Method
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.mask_grammar import parse_mask

USER = 'user'  # the name of the mask that was given with --mask


@dataclass(frozen=True, kw_only=True)
class ExpressionParameters:
    """An expression, and the parameters of each method in it."""

    expression: str = USER
    methods: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


def combine_masks(
    masks: Mapping[str, np.ndarray], grid: Grid, *, parameters: ExpressionParameters
) -> np.ndarray:
    """Evaluate a mask expression; see :mod:`qsmbids.qsm.mask_grammar`."""
    expression = parse_mask(parameters.expression, tuple(masks))
    return expression.evaluate(masks, grid)


def read_expression(
    verb: Verb, text: str, overrides: Mapping[str, str], given: Collection[str]
) -> tuple[Method, ExpressionParameters, dict[str, Argument]]:
    """Understand an expression over the masks of the catalogue and one of the user.

    Parameters
    ----------
    verb : Verb
        The sub-command.
    text : str
        The expression.
    overrides : mapping of str to str
        Parameters; each counts for every method in the expression that has it.
    given : collection of str
        Options of input files that were given.

    Returns
    -------
    method : Method
        One that stands for the expression.
    parameters : ExpressionParameters
        Of all methods in it.
    bound : dict of str to Argument
        What :func:`combine_masks` needs.

    Raises
    ------
    StepError, ValueError
        If the text is no expression, or something is missing or not used.
    """
    known = {method.name: method for method in verb.methods()}
    expression = parse_mask(text, (*known, USER))
    used = [known[name] for name in expression.names() if name != USER]
    _refuse_unknown(used, overrides)
    chosen = {
        method.name: method.make_parameters(
            {k: v for k, v in overrides.items() if k in _parameters_of(method)}
        )
        for method in used
    }
    bindings = {method.name: bind(verb, method, given) for method in used}
    wants_user = USER in expression.names()
    if wants_user and 'mask' not in given:
        raise StepError(
            f'The expression {expression} needs --mask.',
            f'{USER!r} stands for a mask of yours.',
            f'Give its file with --mask, or leave {USER!r} out.',
        )
    files = {option for binding in bindings.values() for option in binding.used}
    refuse_unused(verb, used, given, files | ({'mask'} if wants_user else set()))

    def make_masks(reader: Reader) -> dict[str, np.ndarray]:
        masks = {USER: reader.mask()} if wants_user else {}
        for method in used:
            arguments = bindings[method.name].arguments
            values = {name: argument.read(reader) for name, argument in arguments.items()}
            masks[method.name] = method.load()(**values, parameters=chosen[method.name])
        return masks

    stand_in = Method(
        verb.stage, str(expression), 'Mask expression',
        'qsmbids.cli.step_mask:combine_masks', 'qsmbids.cli.step_mask:ExpressionParameters',
        ','.join(method.citation for method in used), 'masks combined by an expression',
    )  # fmt: skip
    parameters = ExpressionParameters(
        expression=str(expression),
        methods={name: dataclasses.asdict(values) for name, values in chosen.items()},
    )
    bound = {
        'masks': Argument(make_masks, ()),
        'grid': Argument(Reader.grid, (), is_map=False),
    }
    return stand_in, parameters, bound


def _parameters_of(method: Method) -> set[str]:
    return {field.name for field in dataclasses.fields(method.parameter_class())}


def _refuse_unknown(used: list[Method], overrides: Mapping[str, str]) -> None:
    for name in overrides:
        if not any(name in _parameters_of(method) for method in used):
            raise StepError(
                f'No mask of the expression has the parameter {name!r}.',
                'It would change nothing.',
                'See qsmbids-step mask --list for the parameters of each method.',
            )
