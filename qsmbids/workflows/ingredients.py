"""What the outputs of an acquisition are made of, in a form that can be compared and read.

Two runs with equal ingredients give equal outputs, so the second need not be made. What the
plan has found in files and headers stands in the acquisition itself, every field of it. Of the
settings each is named here: as deciding, as decided by the plan, or as without influence; a
test sees to it that none is forgotten. Paths are relative to the dataset, so that it may lie
elsewhere the next time (a container, another mount).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qsmbids import __version__
from qsmbids.config import Config
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Acquisition
from qsmbids.workflows.settings import mask_expression, settings_of

# settings that decide the outputs and are looked at as they are
DECIDING = (
    'mask', 'methods', 'params', 'bipolar', 'two_pass', 'contrasts', 'reference',
    'haematocrit', 'norms', 'recon_only', 'random_seed',
)  # fmt: skip
# settings of the comparison with an atlas; without one they decide nothing
DECIDING_WITH_ATLAS = (
    'atlas', 'atlas_cache', 'cohort', 'age_interpolation', 'strict_age', 'registration',
)  # fmt: skip
# settings whose effect stands in the acquisition, or in which acquisitions there are
IN_THE_PLAN = (
    'bids_dir', 'participant_labels', 'session_labels', 'filters', 'derivatives',
    'mask_derivatives', 'age_years', 'phase_sign', 'b0_dir', 'field_strength_t', 'cosmos',
)  # fmt: skip
# settings of how, where and how much at once; of the group level, which is always made anew
WITHOUT_INFLUENCE = (
    'output_dir', 'work_dir', 'levels', 'build_atlas', 'atlas_licence', 'group', 'nprocs',
    'omp_nthreads', 'mem_gb', 'cpu_source', 'mem_source', 'plugin_file', 'cluster',
    'cluster_args', 'clean_workdir', 'wait_minutes', 'keep_work', 'redo', 'resource_monitor',
    'stop_on_first_crash', 'reports_only', 'dry_run', 'verbose', 'command', 'run_id',
)  # fmt: skip

_NOT_FILES = ('metadata', 'issues')  # texts in these are never names of input files


def ingredients(
    acquisition: Acquisition | CosmosGroup, config: Config, cohort: str
) -> dict[str, Any]:
    """Return everything that decides the outputs, as nested plain values.

    Parameters
    ----------
    acquisition : Acquisition or CosmosGroup
    config : Config
    cohort : str
        Label of the cohort of the atlas; '' without an atlas.

    Returns
    -------
    dict
        ``software``, ``settings``, ``atlas`` and ``scans``; each scan with its ``files``
        (path below the dataset to size and time of change).
    """
    group = acquisition if isinstance(acquisition, CosmosGroup) else None
    scans = group.acquisitions if group else (acquisition,)
    found: dict[str, Any] = {
        'software': __version__,
        'key': acquisition.key,
        'settings': _settings(scans[0], config),
        'atlas': _atlas(scans, config, cohort),
        'scans': [_scan(scan, config) for scan in scans],
    }
    if group:
        method = config.method('cosmos')
        found['cosmos'] = [method.name, method.version, config.parameters('cosmos')]
    return found


def _settings(acquisition: Acquisition, config: Config) -> dict[str, Any]:
    """Return the settings, of methods and parameters those that the acquisition meets."""
    steps = settings_of(acquisition, config, {})['steps']
    return {
        'steps': [[s['stage'], s['method'], s['version'], s['parameters']] for s in steps],
        'mask': mask_expression(acquisition, config),
        'bipolar': config.bipolar,
        'two_pass': config.two_pass,
        'contrasts': list(config.contrasts),
        'reference': config.reference,
        'haematocrit': config.haematocrit,
        'norms': _norms(config),
        'recon_only': config.recon_only,
        'random_seed': config.random_seed,
    }


def _atlas(scans: tuple[Acquisition, ...], config: Config, cohort: str) -> dict[str, Any]:
    if config.recon_only or all(scan.phase_scaling is None for scan in scans):
        return {}
    return {
        'name': config.atlas if not Path(config.atlas).is_dir() else Path(config.atlas).name,
        'files': _once(config, 'atlas', atlas_stamp),
        'cohort': cohort,
        'cohort_asked_for': config.cohort,
        'age_interpolation': config.age_interpolation,
        'registration': config.registration,
    }


def atlas_stamp(config: Config) -> str:
    """Return what changes with the atlas: the version of the built-in one, else its files."""
    from qsmbids.atlas import builtin
    from qsmbids.atlas.store import find_atlas

    if config.atlas == builtin.NAME:  # written anew into each work folder
        return f'built in, version {builtin.VERSION}'
    root = find_atlas(config.atlas, config.atlas_cache, config.work_dir)
    files = sorted(path for path in root.rglob('*') if path.is_file())
    return checksum({str(path.relative_to(root)): _stamp(path) for path in files})


def _norms(config: Config) -> str:
    return '' if config.norms is None else _once(config, 'norms', _norms_stamp)


def _norms_stamp(config: Config) -> str:
    return f'{config.norms.name} {checksum(asdict(config.norms))}'


def _scan(acquisition: Acquisition, config: Config) -> dict[str, Any]:
    """Return an acquisition as plain values, paths relative, and the state of its files."""
    roots = {str(config.bids_dir): ''}
    roots |= {str(folder): f'<{name}>/' for name, folder in config.derivatives.items()}
    roots = dict(sorted(roots.items(), key=lambda item: -len(item[0])))  # the innermost first
    content = asdict(acquisition)
    content['issues'] = sorted({issue.code for issue in acquisition.issues})
    looked_at = {key: value for key, value in content.items() if key not in _NOT_FILES}
    files = {
        _relative(text, roots): _stamp(Path(text))
        for text in sorted(set(_texts(looked_at)))
        if os.path.isabs(text)
    }
    return {**_with_relative_paths(content, roots), 'files': files}


def _stamp(path: Path) -> list[int] | None:
    """Return size and time of the last change (ns); None when the file is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _texts(value)


def _with_relative_paths(content: Any, roots: Mapping[str, str]) -> Any:
    if isinstance(content, str):
        return _relative(content, roots)
    if isinstance(content, Mapping):
        return {str(key): _with_relative_paths(value, roots) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_with_relative_paths(value, roots) for value in content]
    return content


def _relative(text: str, roots: Mapping[str, str]) -> str:
    if '/' not in text:
        return text
    for root, name in roots.items():
        text = text.replace(f'{root}/', name)
    return text


_shared: tuple[Config, dict[str, str]] | None = None  # what is the same for all of a run


def _once(config: Config, name: str, make: Any) -> str:
    """Return a value that depends on the settings alone, made once for each run."""
    global _shared
    if _shared is None or _shared[0] is not config:
        _shared = (config, {})
    if name not in _shared[1]:
        _shared[1][name] = make(config)
    return _shared[1][name]


def checksum(content: Any) -> str:
    """Return the SHA-256 of nested plain values, whatever the order of their keys."""
    import hashlib
    import json

    text = json.dumps(content, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """Turn numpy scalars and arrays, sets and paths into what JSON knows."""
    if hasattr(value, 'tolist'):
        return value.tolist()
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
