"""Finding the images of an atlas of somebody else, by their names.

Two layouts are known. In the one of the published lifespan atlas every age bin has files that
begin with its ages::

    40_50_BB_LPI.nii   40_50_atlas_label.nii.gz   50_60_BB_LPI.nii   ...

In the other there is one template with one label image for all ages. Files whose names do not
begin with ages belong to all bins: one label image may serve all templates that lie on its
grid. What a file is is told by the words in its name or, if these mislead, by patterns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from qsmbids.atlas.errors import AtlasError

_AGES = re.compile(r'(\d{1,3}(?:\.\d+)?)[_-](\d{1,3}(?:\.\d+)?)(?=[_-]|$)')
# words that tell the kind, looked for in this order; a name without any is a map
_WORDS = {
    'mask': r'mask',
    'dseg': r'label|labels|dseg|seg|segmentation|parcellation|parc',
    't2starw': r't2star|t2starw|t2s|mag|magnitude|gre',
    'r2starmap': r'r2star|r2starmap|r2s',
    't1w': r't1|t1w|mprage',
    'chi_std': r'std|sd|stddev',
}
KINDS = ('chi', *_WORDS)
OPTIONS = {
    'chi': '--chi', 'dseg': '--label-images', 'mask': '--mask', 't1w': '--t1w',
    't2starw': '--t2starw', 'chi_std': '--std', 'r2starmap': '--r2star',
}  # fmt: skip
_PLAIN_WORDS = {
    'chi': 'susceptibility template', 'dseg': 'label image', 'mask': 'brain mask',
    't1w': 'T1-weighted image', 't2starw': 'GRE magnitude', 'chi_std': 'standard deviation',
    'r2starmap': 'R2* map',
}  # fmt: skip

Ages = tuple[float, float]


@dataclass(frozen=True)
class BinFiles:
    """The images of one age bin.

    Parameters
    ----------
    ages : (float, float)
        As written in the names, years.
    images : mapping of str to Path
        Kind (`KINDS`) to file; ``chi`` and ``dseg`` are always there.
    """

    ages: Ages
    images: Mapping[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The bin as in the file names, ``40_50``."""
        return f'{self.ages[0]:g}_{self.ages[1]:g}'


def find_bins(
    folder: Path,
    *,
    patterns: Mapping[str, str] | None = None,
    ages: Ages | None = None,
) -> list[BinFiles]:
    """Find the images of every age bin.

    Parameters
    ----------
    folder : Path
        Looked through with its subfolders.
    patterns : mapping of str to str, optional
        Kind to a pattern for names or paths within the folder, e.g. ``{'t1w': '*_brain.nii*'}``.
        Replaces what the words in the names would say.
    ages : (float, float), optional
        Ages of an atlas without ages in its names, which then has one bin.

    Returns
    -------
    list of BinFiles
        Youngest first.

    Raises
    ------
    AtlasError
        If there is no template, a template has no labels, there are several files of one kind
        for one bin, a pattern matches nothing, or ages are given that the names have, too.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AtlasError(
            f'there is no folder {folder}.',
            'The images of the atlas are read from it.',
            'Give the folder into which you unpacked the atlas.',
        )
    if ages is not None and not 0 <= ages[0] < ages[1]:
        raise AtlasError(
            f'{ages[0]:g} to {ages[1]:g} years is no range of ages.',
            'The atlas is chosen by the age of a person.',
            'Give --ages LOW HIGH, the lower age first.',
        )
    images = sorted(p for p in folder.rglob('*') if re.search(r'\.nii(\.gz)?$', p.name))
    images = [p for p in images if p.is_file() and not p.name.startswith('.')]
    kinds = _sort_by_kind(folder, images, dict(patterns or {}))
    found: dict[Ages | None, dict[str, list[Path]]] = {}
    for path, kind in kinds.items():
        found.setdefault(ages_of(path, folder), {}).setdefault(kind, []).append(path)
    if found.keys() - {None} and ages is not None:
        raise AtlasError(
            'the file names have ages already, and --ages was given.',
            'One of the two would be ignored.',
            'Leave out --ages, or rename the files.',
        )
    for_all = {kind: _only(paths, kind, '') for kind, paths in found.pop(None, {}).items()}
    if not found and ages is not None and 'chi' in for_all:
        found[ages] = {}
    bins = [
        BinFiles(
            bin_ages,
            for_all | {k: _only(paths, k, f'{bin_ages[0]:g}_{bin_ages[1]:g}')
                       for k, paths in kinds_of_bin.items()},
        )
        for bin_ages, kinds_of_bin in sorted(found.items())
    ]  # fmt: skip
    bins = [b for b in bins if 'chi' in b.images]
    if not bins:
        raise _nothing_found(folder, images, 'chi' in for_all)
    for one in bins:
        if 'dseg' not in one.images:
            raise AtlasError(
                f'the template {one.images["chi"]} has no label image.',
                'Regions cannot be measured without labels.',
                f'Add {one.name}_*label*.nii.gz, or name it with --label-images PATTERN.',
            )
    return bins


def ages_of(path: Path, folder: Path) -> Ages | None:
    """Read the ages from the beginning of a file name, else of a folder on the way to it.

    Examples
    --------
    >>> ages_of(Path('a/40_50_BB_LPI.nii'), Path('a'))
    (40.0, 50.0)
    >>> ages_of(Path('a/QSM_atlas_mask.nii.gz'), Path('a')) is None
    True
    """
    for part in (re.sub(r'\.nii(\.gz)?$', '', path.name), *path.relative_to(folder).parts[-2::-1]):
        match = _AGES.match(part)
        if match and float(match[1]) < float(match[2]):
            return float(match[1]), float(match[2])
    return None


def kind_of(name: str) -> str:
    """Tell from a name (with the folders before it) what an image is.

    Examples
    --------
    >>> [kind_of(n) for n in ('40_50_BB_LPI.nii', '40_50_atlas_label.nii.gz', 'T1w/40_50.nii')]
    ['chi', 'dseg', 't1w']
    """
    words = re.split(r'[^a-z0-9]+', re.sub(r'\.nii(\.gz)?$', '', name.lower()))
    for kind, pattern in _WORDS.items():
        if any(re.fullmatch(pattern, word) for word in words):
            return kind
    return 'chi'


def _sort_by_kind(
    folder: Path, images: Sequence[Path], patterns: Mapping[str, str]
) -> dict[Path, str]:
    """Give every image its kind; kinds that have a pattern are taken by it alone."""
    kinds: dict[Path, str] = {}
    for kind, pattern in patterns.items():
        matching = [
            p for p in images
            if fnmatch(p.name, pattern) or fnmatch(p.relative_to(folder).as_posix(), pattern)
        ]  # fmt: skip
        if not matching:
            raise AtlasError(
                f'no image in {folder} matches {OPTIONS[kind]} "{pattern}".',
                f'It was to name the {_PLAIN_WORDS[kind]} of the atlas.',
                'Write the pattern with * for what differs, in quotes: "*_T1w.nii.gz".',
            )
        for path in matching:
            if path in kinds:
                raise AtlasError(
                    f'{path} matches both {OPTIONS[kinds[path]]} and {OPTIONS[kind]}.',
                    'An image is one thing only.',
                    'Make the patterns narrower.',
                )
            kinds[path] = kind
    for path in images:
        if path not in kinds:
            kind = kind_of(path.relative_to(folder).as_posix())
            if kind not in patterns:
                kinds[path] = kind
    return kinds


def _only(paths: Sequence[Path], kind: str, bin_name: str) -> Path:
    if len(paths) > 1:
        names = ', '.join(path.name for path in paths[:4])
        raise AtlasError(
            f'{len(paths)} files could be the {_PLAIN_WORDS[kind]}'
            f'{f" of {bin_name}" if bin_name else ""}: {names}.',
            'One is needed for each age bin.',
            f'Name it with {OPTIONS[kind]} PATTERN.',
        )
    return paths[0]


def _nothing_found(folder: Path, images: Sequence[Path], without_ages: bool) -> AtlasError:
    if without_ages:
        return AtlasError(
            f'no template in {folder} has its ages in its name.',
            'The atlas is chosen by the age of a person.',
            'Give --ages LOW HIGH for the one template, or name the files <from>_<to>_*.nii.gz.',
        )
    seen = f'{len(images)} images with other names' if images else 'no NIfTI image at all'
    return AtlasError(
        f'{folder} holds no susceptibility template ({seen}).',
        'A template is named <from>_<to>_*.nii or .nii.gz, by the ages it is for.',
        'Give the folder that holds the images, or name them with --chi PATTERN.',
    )
