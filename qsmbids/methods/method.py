"""What a method is: where its code and its parameters live, what it needs, what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Method:
    """One method of one stage.

    Parameters
    ----------
    stage : str
        Key of :data:`STAGES`.
    name : str
        What a person types after the stage's option.
    label : str
        Name in sidecars and text.
    function, parameters : str
        Import paths ``module:name`` of the function and of its parameter dataclass.
    citation : str
        Keys of ``data/references.bib``, separated by commas.
    summary : str
        One line of explanation.
    version : int
        Raised whenever the numbers the method gives change, so that results of an older
        version in a work folder are never used again.
    bytes_per_voxel : int
        Peak memory of the function beyond its inputs, per voxel of the matrix.
    seconds_per_megavoxel : float
        Processor time of one thread for a million voxels of the matrix; where echoes count,
        for five of them.
    takes : tuple of str
        Optional arguments that the function makes use of: ``weight`` (inverse noise),
        ``magnitude`` (root sum of squares), ``r2star`` (1/s), ``field_hz_per_ppm``.
    field : str
        Of an inversion: ``'local'``, or ``'total'`` if it removes the background itself.
    """

    stage: str
    name: str
    label: str
    function: str
    parameters: str
    citation: str
    summary: str
    version: int = 1
    bytes_per_voxel: int = 40
    seconds_per_megavoxel: float = 0.5
    takes: tuple[str, ...] = ()
    field: str = 'local'

    def load(self) -> Callable:
        """Import and return the function."""
        return _load(self.function)

    def parameter_class(self) -> type:
        """Import and return the parameter dataclass."""
        return _load(self.parameters)

    def parameter_names(self) -> list[str]:
        """Return the names of the parameters."""
        return [f.name for f in dataclasses.fields(self.parameter_class())]

    def make_parameters(self, overrides: Mapping[str, Any] | None = None) -> Any:
        """Return the parameters with some of them overridden.

        Parameters
        ----------
        overrides : mapping of str to str or number
            Text is converted to the type of the default.

        Raises
        ------
        ValueError
            For an unknown name or a value that is not of the right type.
        """
        cls = self.parameter_class()
        known = {f.name: f for f in dataclasses.fields(cls)}
        defaults = cls()
        values = {}
        for key, value in (overrides or {}).items():
            if key not in known:
                raise ValueError(
                    f'{self.stage} {self.name} has no parameter {key!r}. '
                    f'It has: {", ".join(known) or "none"}.'
                )
            values[key] = _convert(value, getattr(defaults, key), f'{self.stage}.{key}')
        return cls(**values)


def _load(path: str) -> Any:
    module, _, attribute = path.partition(':')
    return getattr(import_module(module), attribute)


def _convert(value: Any, default: Any, where: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        if isinstance(default, bool):
            return {'true': True, 'yes': True, '1': True, 'false': False, 'no': False, '0': False}[
                value.lower()
            ]
        if isinstance(default, int):
            return int(value)
        if isinstance(default, float):
            return float(value)
        if default is None:
            return None if value.lower() == 'none' else float(value)
        if isinstance(default, tuple):
            return tuple(float(v) for v in value.split(','))
    except (KeyError, ValueError):
        raise ValueError(
            f'{where} needs a value like {default!r}, got {value!r}. '
            'Write it as --param STAGE.NAME=VALUE.'
        ) from None
    return value
