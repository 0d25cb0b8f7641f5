"""JSON sidecars with BIDS inheritance, read so that a broken file is reported by name.

A layout library stops at the first sidecar it cannot parse, or passes over it silently,
which is why reading is done here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsmbids.plan.filenames import BidsName, comparable
from qsmbids.plan.findings import Findings


@dataclass(frozen=True)
class Sidecar:
    """Metadata of one image, merged over all sidecars that apply to it."""

    values: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Path] = field(default_factory=dict)  # the file each value came from
    broken: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _JsonFile:
    values: dict[str, Any] | None
    problem: str = ''
    encoding_problem: str = ''


class SidecarReader:
    """Reads the sidecars of a dataset, each file and each folder only once.

    Parameters
    ----------
    root : Path
        The dataset; sidecars are searched from here down to the image.

    Notes
    -----
    A sidecar applies to an image when it lies in the same folder or above, has the same
    suffix, and every entity in its name is in the image's name with the same value.
    Files further down, and in one folder those with more entities, override the others,
    key by key. Thus ``MEGRE.json`` at the root and ``sub-01_echo-1_MEGRE.json`` (shared by
    magnitude and phase) both apply to ``sub-01_echo-1_part-phase_MEGRE.nii.gz``.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._above_of: dict[Path, list[Path]] = {}
        self._folders: dict[Path, list[BidsName]] = {}
        self._files: dict[Path, _JsonFile] = {}

    def read(self, image: BidsName, findings: Findings) -> Sidecar:
        """Merge what all sidecars say about an image.

        Parameters
        ----------
        image : BidsName
            The image.
        findings : Findings
            Receives SIDECAR_BROKEN (error) and SIDECAR_ENCODING (warning).

        Returns
        -------
        Sidecar
            Empty when there is none.
        """
        values: dict[str, Any] = {}
        origin: dict[str, Path] = {}
        broken = []
        for path in self._applicable(image):
            content = self._load(path)
            _report(path, content, findings)
            if content.values is None:
                broken.append(path)
                continue
            values.update(content.values)
            origin.update(dict.fromkeys(content.values, path))
        return Sidecar(values, origin, tuple(broken))

    def _applicable(self, image: BidsName) -> list[Path]:
        """List the sidecars of an image, the most general first."""
        found = []
        for folder in self._above(image.path.parent):
            here = [name for name in self._names(folder) if _applies(name, image)]
            here.sort(key=lambda name: (len(name.entities), name.path.name))
            found += [name.path for name in here]
        return found

    def forget(self, folder: Path) -> None:
        """Drop what was read in a folder and below; thousands of people would fill the memory."""
        for known in (self._above_of, self._folders, self._files):
            for path in [path for path in known if path.is_relative_to(folder)]:
                del known[path]

    def _above(self, folder: Path) -> list[Path]:
        """Return the folders from the dataset down to this one."""
        if folder not in self._above_of:
            places = [f for f in (folder, *folder.parents) if f.is_relative_to(self.root)]
            self._above_of[folder] = places[::-1]
        return self._above_of[folder]

    def _names(self, folder: Path) -> list[BidsName]:
        if folder not in self._folders:
            self._folders[folder] = [BidsName.parse(p) for p in sorted(folder.glob('*.json'))]
        return self._folders[folder]

    def _load(self, path: Path) -> _JsonFile:
        if path not in self._files:
            self._files[path] = _read_json(path)
        return self._files[path]


def read_json_object(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Read a JSON object.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    values : dict or None
        None when the file cannot be used.
    problem : str
        Why, in words; '' when all is well.
    """
    content = _read_json(path)
    return content.values, content.problem


def _applies(sidecar: BidsName, image: BidsName) -> bool:
    return sidecar.suffix == image.suffix and all(
        key in image.entities and comparable(key, value) == image.get(key)
        for key, value in sidecar.entities.items()
    )


def _read_json(path: Path) -> _JsonFile:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return _JsonFile(None, 'it is a link to a file that is not there (not downloaded?)')
    except OSError as error:
        return _JsonFile(None, f'it cannot be opened ({error.strerror})')
    if not raw.strip():
        return _JsonFile(None, 'it is empty')
    text, encoding_problem = _decode(raw)
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        return _JsonFile(
            None, f'it is not JSON: line {error.lineno}, column {error.colno}: {error.msg}'
        )
    except RecursionError:
        return _JsonFile(None, 'it is nested too deeply')
    if not isinstance(values, dict):
        kind = {list: 'a list', str: 'a text'}.get(type(values), 'a single value')
        return _JsonFile(None, f'it holds {kind} where an object {{...}} is needed')
    return _JsonFile(values, encoding_problem=encoding_problem)


def _decode(raw: bytes) -> tuple[str, str]:
    """Return the text, and what is wrong with its encoding."""
    if raw.startswith(b'\xef\xbb\xbf'):
        return raw[3:].decode('utf-8', 'replace'), 'starts with a byte-order mark'
    try:
        return raw.decode('utf-8'), ''
    except UnicodeDecodeError:
        return raw.decode('latin-1'), 'is not UTF-8 and was read as Latin-1'


def _report(path: Path, content: _JsonFile, findings: Findings) -> None:
    name = findings.relative(path)
    if content.values is None:
        findings.error(
            'SIDECAR_BROKEN',
            f'{name} cannot be read: {content.problem}.',
            'The echo time and the units of the image are written there.',
            'Repair the file; it must hold one JSON object.',
            path,
        )
    elif content.encoding_problem:
        findings.warning(
            'SIDECAR_ENCODING',
            f'{name} {content.encoding_problem}.',
            'It was read all the same, but other programs stop at it.',
            'Save the file as UTF-8 without a byte-order mark.',
            path,
        )
