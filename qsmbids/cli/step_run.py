"""One call of ``qsmbids-step``: read, compute, write."""

from __future__ import annotations

import dataclasses
import inspect
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsmbids.cli.step_arguments import Argument, bind, refuse_unused
from qsmbids.cli.step_messages import ProgressLine, StepError
from qsmbids.cli.step_outputs import (
    Result,
    check_outputs,
    name_results,
    references_of,
    sidecar_content,
    write,
)
from qsmbids.cli.step_physics import Physics
from qsmbids.cli.step_read import Reader
from qsmbids.cli.step_scan import Given, Scan
from qsmbids.cli.step_verbs import Verb
from qsmbids.methods import Method
from qsmbids.qsm.fft import set_workers


@dataclass(frozen=True)
class Request:
    """What the command line asked for.

    Parameters
    ----------
    verb : Verb
    method : str
        Its name; of the verb ``mask`` also an expression.
    overrides : dict of str to str
        Parameters of the method.
    files : dict of str to list of Path
        Input images by option.
    outputs : dict of str to Path
        Images to be written by option.
    given : Given
        What the command line says about the scan.
    overwrite : bool
        Whether outputs that exist may be replaced.
    threads : int
    command : str
        For the sidecars.
    """

    verb: Verb
    method: str
    overrides: dict[str, str]
    files: dict[str, list[Path]]
    outputs: dict[str, Path]
    given: Given
    overwrite: bool
    threads: int
    command: str


def run(request: Request) -> list[tuple[Path, str]]:
    """Do what was asked for.

    Returns
    -------
    list of (Path, str)
        The images that were written, with their units.

    Raises
    ------
    StepError
        With its exit code.
    ValueError
        From the engine, for data that it cannot work with.
    """
    verb = request.verb
    method, parameters, bound = understand(request)
    inputs = [path for paths in request.files.values() for path in paths]
    check_outputs(request.outputs, inputs, request.overwrite)
    scan = Scan(request.files, request.given)
    physics = Physics(scan)
    reader = Reader(verb, scan, physics)
    set_workers(request.threads)
    arguments = {name: argument.read(reader) for name, argument in bound.items()}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    returned, seconds = _call(verb, method, arguments, parameters)
    images, facts = name_results(verb, method, returned, arguments, parameters)
    result = Result(images, facts, seconds)
    wanted = {option: path for option, path in request.outputs.items() if option in images}
    by_option = {output.option: output for output in verb.outputs}
    contents = {
        option: sidecar_content(
            verb, method, by_option[option], physics, result,
            _record(request, scan, method, parameters, path),
        )
        for option, path in wanted.items()
    }  # fmt: skip
    write(wanted, images, contents, scan.first.path)
    for option in request.outputs:
        if option not in images:
            raise StepError(
                f'{verb.name} {method.name} gives nothing for --{option}.',
                'Not every method of a stage has all results; the others were written.',
                f'Leave --{option} out.',
            )
    return [(path, contents[option].get('Units', 'mask')) for option, path in wanted.items()]


def understand(request: Request) -> tuple[Method, Any, dict[str, Argument]]:
    """Return the method, its parameters and its arguments; nothing is read yet.

    Raises
    ------
    StepError
        For anything on the command line that cannot be done.
    """
    verb, given = request.verb, list(request.files)
    method = verb.find(request.method)
    try:
        if method is None and verb.name == 'mask':
            from qsmbids.cli.step_mask import read_expression

            return read_expression(verb, request.method, request.overrides, given)
        if method is None:
            raise no_method(verb, request.method)
        parameters = method.make_parameters(request.overrides)
    except ValueError as error:
        raise _usage(verb, error) from None
    binding = bind(verb, method, given)
    refuse_unused(verb, [method], given, binding.used)
    return method, parameters, binding.arguments


def _call(
    verb: Verb, method: Method, arguments: Mapping[str, Any], parameters: Any
) -> tuple[Any, float]:
    """Call the function of a method; return what it returns, and the seconds it took."""
    function = method.load()
    line = ProgressLine(f'{verb.name} {method.name}')
    extra = {'progress': line} if 'progress' in inspect.signature(function).parameters else {}
    start = time.perf_counter()
    try:
        returned = function(**arguments, parameters=parameters, **extra)
    finally:
        line.close()
    return returned, time.perf_counter() - start


def _record(
    request: Request, scan: Scan, method: Method, parameters: Any, path: Path
) -> dict[str, Any]:
    """Return parameters, references, inputs and command for a sidecar."""
    folder = path.absolute().parent
    return {
        'Parameters': dataclasses.asdict(parameters),
        'References': references_of(method),
        'Inputs': {
            option: [Path(os.path.relpath(p.absolute(), folder)).as_posix() for p in paths]
            for option, paths in scan.files.items()
        },
        'Command': request.command,
    }


def no_method(verb: Verb, name: str) -> StepError:
    """Return the error of a method that was not named, or does not exist."""
    names = ', '.join(method.name for method in verb.methods())
    if not names:
        return StepError(
            f'This version has no method for {verb.name} yet.',
            f'qsmbids-step can only {verb.summary} with a method of the catalogue.',
            'See qsmbids-step --list for what there is.',
        )
    return StepError(
        f'{verb.name} has no method {name!r}.' if name else f'{verb.name} needs a method.',
        'It is the first argument, before all options.',
        f'Choose from: {names}.',
    )


def _usage(verb: Verb, error: ValueError) -> StepError:
    """Return the error of a parameter, or of a mask expression, in three lines."""
    what, *rest = str(error).splitlines()
    if len(rest) >= 2:
        return StepError(what, rest[0], '\n'.join(rest[1:]))
    return StepError(
        what,
        'The result depends on it, so nothing is guessed.',
        f'See qsmbids-step {verb.name} --list for methods, parameters and defaults.',
    )
