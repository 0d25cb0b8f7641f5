"""Where atlases lie, and finding one by its name.

::

    <cache>/QSMLifespanAllen/   an atlas, fetched, imported or built; tpl-<name> is inside
    <cache>/.downloads/         files of transfers that were cut
    <cache>/.fetch-*            being made; renamed to the name of the atlas when whole

The cache is the folder of ``--atlas-cache``, or of the environment variable
``QSMBIDS_ATLAS_CACHE``, or ``share/qsmbids/atlases`` of the Python installation, which is
where a container image brings them. The last one is always looked at too, so that an image's
own atlases stay in reach of somebody who keeps others elsewhere. Nothing lies in HOME.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from qsmbids.atlas import builtin, sources
from qsmbids.atlas.builtin_texts import builtin_credits
from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.dataset import Atlas, open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import label_table
from qsmbids.atlas.import_write import PROVENANCE as IMPORT_FILE
from qsmbids.atlas.sources import UnknownAtlasError

CACHE_VARIABLE = 'QSMBIDS_ATLAS_CACHE'
SOURCE_FILE = 'source.json'  # in an atlas folder that was fetched: from where and when
UNKNOWN_LICENCE = 'not stated'


@dataclass(frozen=True)
class AtlasEntry:
    """One line of a list of atlases.

    Parameters
    ----------
    name : str
    kind : str
        'built-in', 'fetched', 'imported' or 'own' (built, or copied there).
    folder : Path or None
        None for the built-in one, which is written where it is used.
    ages : str
        Of all cohorts, e.g. ``1-84 years, 10 cohorts``; '' if it is broken.
    n_regions : int
    licence : str
    problem : str
        Why it cannot be used; '' if nothing is known against it.
    """

    name: str
    kind: str
    folder: Path | None
    ages: str
    n_regions: int
    licence: str
    problem: str = ''


def installed_folder() -> Path:
    """Return the folder of the atlases that came with the installation or image."""
    return Path(sys.prefix) / 'share' / 'qsmbids' / 'atlases'


def cache_folder(option: Path | None = None) -> Path:
    """Return the folder for fetched, imported and built atlases; it need not exist.

    Parameters
    ----------
    option : Path, optional
        What ``--atlas-cache`` was given.
    """
    if option is not None:
        return Path(option).absolute()
    variable = os.environ.get(CACHE_VARIABLE, '')
    return Path(variable).expanduser().absolute() if variable else installed_folder()


def find_atlas(name_or_path: str, cache: Path | None, work_dir: Path) -> Path:
    """Return the folder of an atlas.

    Parameters
    ----------
    name_or_path : str
        ``QSMLifespan``, which is built in; a folder; or the name of an atlas in the cache.
    cache : Path or None
        What ``--atlas-cache`` was given.
    work_dir : Path
        The built-in atlas is written to ``work_dir/atlases``: its descriptions only, see
        `qsmbids.atlas.builtin.write_builtin` for the images.

    Raises
    ------
    UnknownAtlasError
        If there is no such atlas; the text says how to get it.
    """
    if name_or_path == builtin.NAME:
        return builtin.write_builtin(Path(work_dir) / 'atlases', [])
    if name_or_path and Path(name_or_path).is_dir():
        return Path(name_or_path).absolute()
    cached = find_cached(name_or_path, cache)
    if cached is None:
        raise _unknown(name_or_path, cache)
    return cached


def find_cached(name: str, cache: Path | None) -> Path | None:
    """Return the folder of an atlas in the cache or the installation, or None."""
    if not re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9+._-]*', name):  # a path, or a hidden folder
        return None
    folders = (place / name for place in _places(cache))
    return next((folder for folder in folders if folder.is_dir()), None)


def list_atlases(cache: Path | None = None) -> tuple[AtlasEntry, ...]:
    """Return the atlases that are there: the built-in one, then those in the cache by name.

    Notes
    -----
    Descriptions and tables are read and the names of images looked for, which takes no time;
    the images themselves are read by `check_atlas`. A folder that cannot be used is listed
    with the reason.
    """
    entries = {builtin.NAME: _builtin_entry()}
    for place in _places(cache):
        for folder in sorted(place.iterdir()) if place.is_dir() else ():
            if folder.is_dir() and not folder.name.startswith('.'):
                entries.setdefault(folder.name, _entry(folder))
    return tuple(entries.values())


def check_atlas(folder: Path, name: str, *, images: bool) -> Atlas:
    """Open an atlas and check that it is whole.

    Parameters
    ----------
    folder : Path
    name : str
        The name that it should have.
    images : bool
        Read the images of every cohort, about a second for each; else only their names.

    Raises
    ------
    AtlasError
        If anything is missing or does not fit, or the atlas has another name.
    """
    atlas = open_atlas(folder)
    if atlas.name != name:
        raise AtlasError(
            f'the folder {folder} holds the atlas {atlas.name}, not {name}.',
            'An atlas is found by its name.',
            f'Rename the folder to {atlas.name}.',
        )
    for cohort in atlas.cohorts:
        if images:
            atlas.files(cohort.label)
        else:
            _check_names(atlas, cohort.label)
    return atlas


def kind_of(folder: Path) -> str:
    """Return whether an atlas in the cache was 'fetched', 'imported', or is one's 'own'."""
    if (folder / SOURCE_FILE).is_file():
        return 'fetched'
    return 'imported' if (folder / IMPORT_FILE).is_file() else 'own'


def read_source(folder: Path) -> dict:
    """Return what was noted when an atlas was fetched; empty if nothing readable was."""
    try:
        content = json.loads((folder / SOURCE_FILE).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def describe_ages(cohorts: tuple[Cohort, ...]) -> str:
    """Return the ages that an atlas covers, in words.

    Examples
    --------
    >>> describe_ages((Cohort('1', 'young', 20, 30), Cohort('2', 'older', 30, 40)))
    '20-40 years, 2 cohorts'
    """
    low, high = min(c.age_min for c in cohorts), max(c.age_max for c in cohorts)
    plural = '' if len(cohorts) == 1 else 's'
    return f'{low:.3g}-{high:.3g} years, {len(cohorts)} cohort{plural}'


def _places(cache: Path | None) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((cache_folder(cache), installed_folder())))


def _builtin_entry() -> AtlasEntry:
    ages = describe_ages(builtin.cohort_bins())
    licence = builtin_credits(builtin.NAME, builtin.VERSION).licence
    return AtlasEntry(builtin.NAME, 'built-in', None, ages, len(label_table()), licence)


def _entry(folder: Path) -> AtlasEntry:
    try:
        atlas = check_atlas(folder, folder.name, images=False)
    except (AtlasError, OSError) as error:
        problem = str(error).splitlines()[0]
        return AtlasEntry(folder.name, kind_of(folder), folder, '', 0, '', problem)
    licence = str(atlas.description.get('License') or UNKNOWN_LICENCE)
    ages = describe_ages(atlas.cohorts)
    return AtlasEntry(folder.name, kind_of(folder), folder, ages, len(atlas.labels), licence)


def _check_names(atlas: Atlas, cohort: str) -> None:
    place = atlas.root / f'tpl-{atlas.name}' / f'cohort-{cohort}'
    for ending in ('Chimap', 'desc-brain_mask', 'dseg'):
        if not any(place.rglob(f'*_{ending}.nii*')):
            raise AtlasError(
                f'cohort {cohort} of {atlas.name} has no image _{ending}.',
                'A run would refuse it.',
                'Fetch or import the atlas again.',
            )


def _unknown(name: str, cache: Path | None) -> UnknownAtlasError:
    if name in sources.SOURCES:
        option = '' if cache is None else f' --atlas-cache {cache}'
        return UnknownAtlasError(
            f'the atlas {name} has not been fetched yet: it is not in {cache_folder(cache)}.',
            'Its files are not part of the program, and a run downloads nothing.',
            f'Run `qsmbids-atlas fetch {name}{option}` once, on a machine with network.',
        )
    here = [entry.name for entry in list_atlases(cache)]
    near = difflib.get_close_matches(name, [*here, *sources.SOURCES], n=1)
    hint = f' Did you mean {near[0]}?' if near else ''
    return UnknownAtlasError(
        f'{name} is neither a folder nor the name of an atlas.{hint}',
        'Regions are taken from an atlas.',
        f'Give a folder or one of: {", ".join(here)}. `qsmbids-atlas list` shows which others '
        'can be fetched.',
    )
