"""The catalogue of methods: one entry for each, read by everything that names a method.

Command-line choices, ``--param``, sidecars, the methods text of the report and the table in
the documentation all come from here, and the parameter dataclass an entry points to is the
one place of its defaults. Functions are named by their import path, so that listing the
catalogue (``--help``) does not import the engine.
"""

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

    def load(self) -> Callable:
        """Import and return the function."""
        return _load(self.function)

    def parameter_class(self) -> type:
        """Import and return the parameter dataclass."""
        return _load(self.parameters)

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


STAGES: dict[str, str] = {
    'offset': 'Phase offset removal',
    'unwrapping': 'Phase unwrapping',
    'mask': 'Brain mask',
    'background': 'Background field removal',
    'inversion': 'Dipole inversion',
    'relaxometry': 'R2* and T2*',
}

CATALOGUE: tuple[Method, ...] = (
    Method(
        'offset', 'mcpc3ds', 'MCPC-3D-S',
        'qsmbids.qsm.offset:remove_phase_offset', 'qsmbids.qsm.offset:McpcParameters',
        'eckstein2018', 'offset from the first two echoes, smoothed and subtracted',
        bytes_per_voxel=60,
    ),
    Method(
        'unwrapping', 'romeo', 'ROMEO',
        'qsmbids.qsm.romeo:unwrap_romeo', 'qsmbids.qsm.romeo:RomeoParameters',
        'dymerska2021', 'quality-guided region growing, exact, consistent over echoes',
        bytes_per_voxel=60,
    ),
    Method(
        'unwrapping', 'laplacian', 'Laplacian',
        'qsmbids.qsm.laplacian:unwrap_laplacian', 'qsmbids.qsm.laplacian:LaplacianParameters',
        'schofield2003', 'smooth and fast; not a whole number of wraps from the data',
        bytes_per_voxel=60,
    ),
    Method(
        'mask', 'bet', 'BET-like surface',
        'qsmbids.qsm.bet:extract_brain', 'qsmbids.qsm.bet:BetParameters',
        'smith2002', 'a surface grown from inside the brain outwards', bytes_per_voxel=24,
    ),
    Method(
        'background', 'vsharp', 'V-SHARP',
        'qsmbids.qsm.vsharp:remove_background_vsharp', 'qsmbids.qsm.vsharp:VsharpParameters',
        'li2011,wu2012', 'spherical mean values of shrinking radius: fast, keeps the cortex',
        bytes_per_voxel=60,
    ),
    Method(
        'background', 'resharp', 'RESHARP',
        'qsmbids.qsm.resharp:remove_background_resharp',
        'qsmbids.qsm.resharp:ResharpParameters',
        'sun2014', 'regularised SHARP: robust to a poor rim, loses its radius at the edge',
        bytes_per_voxel=80,
    ),
    Method(
        'inversion', 'rts', 'RTS',
        'qsmbids.qsm.rts:invert_rts', 'qsmbids.qsm.rts:RtsParameters',
        'kames2018', 'direct where well posed, total variation in the cone of zeros',
        bytes_per_voxel=140,
    ),
    Method(
        'inversion', 'tv', 'TV',
        'qsmbids.qsm.tv:invert_tv', 'qsmbids.qsm.tv:TvParameters',
        'bilgic2014', 'least total variation that explains the field inside the mask',
        bytes_per_voxel=140,
    ),
    Method(
        'inversion', 'tkd', 'TKD',
        'qsmbids.qsm.tkd:invert_tkd', 'qsmbids.qsm.tkd:TkdParameters',
        'shmueli2009,schweser2013', 'truncated division: seconds, streaks; for a quick look',
        bytes_per_voxel=40,
    ),
    Method(
        'relaxometry', 'arlo', 'ARLO',
        'qsmbids.qsm.relaxometry:fit_r2star', 'qsmbids.qsm.relaxometry:ArloParameters',
        'pei2015', 'closed form for even echo spacing, weighted log-linear fit otherwise',
        bytes_per_voxel=24,
    ),
)  # fmt: skip

DEFAULT_METHODS: dict[str, str] = {
    'offset': 'mcpc3ds',
    'unwrapping': 'romeo',
    'mask': 'bet',
    'background': 'vsharp',
    'inversion': 'rts',
    'relaxometry': 'arlo',
}


def names(stage: str) -> list[str]:
    """Return the names of all methods of a stage, the default first.

    Examples
    --------
    >>> names('inversion')
    ['rts', 'tv', 'tkd']
    """
    found = [m.name for m in CATALOGUE if m.stage == stage]
    default = DEFAULT_METHODS[stage]
    return [default, *(n for n in found if n != default)]


def get(stage: str, name: str) -> Method:
    """Return one method.

    Raises
    ------
    ValueError
        If there is none of that name, with the names that exist.
    """
    for method in CATALOGUE:
        if method.stage == stage and method.name == name:
            return method
    if stage not in STAGES:
        raise ValueError(f'There is no stage {stage!r}. Stages are: {", ".join(STAGES)}.')
    raise ValueError(
        f'There is no {stage} method {name!r}. Choose from: {", ".join(names(stage))}.'
    )


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


def markdown_table() -> str:
    """Return all methods with their parameters and defaults, as in ``docs/processing.md``."""
    lines = ['| stage | method | what it does | parameters and defaults |', '|---|---|---|---|']
    for method in CATALOGUE:
        defaults = dataclasses.asdict(method.parameter_class()())
        shown = ', '.join(f'`{key}={value}`' for key, value in defaults.items())
        default = ' (default)' if DEFAULT_METHODS[method.stage] == method.name else ''
        lines.append(
            f'| {method.stage} | `{method.name}`{default} | {method.label}: {method.summary} '
            f'| {shown or "none"} |'
        )
    return '\n'.join(lines)
