"""What earlier runs learned by streaming images, so that a run with nothing to do is quick.

Looking through the images of a person at 1 mm takes more than a second, planning everything
else some milliseconds. What one look told is kept in a small file for each person and believed
as long as size and times of the image are the same. Files with a problem are never remembered:
a disk that was not mounted yesterday may be there today.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qsmbids.plan.images import ImageInfo, inspect_image
from qsmbids.plan.sidecars import read_json_object

FORMAT = 1  # of the file; another one is not read
_FIELDS = tuple(f.name for f in dataclasses.fields(ImageInfo) if f.name != 'path')


class ImageMemory:
    """Looks at images, once for as long as they stay as they are.

    Parameters
    ----------
    path_of : callable
        The file of what is known about the images of a participant, from the label.
    write : callable, optional
        Writes such a file, from path and content. Without it nothing is kept.
    """

    def __init__(
        self,
        path_of: Callable[[str], Path],
        write: Callable[[Path, Mapping[str, Any]], None] | None = None,
    ) -> None:
        self._path_of = path_of
        self._write = write
        self._before: dict[str, dict[str, Any]] = {}
        self._now: dict[str, dict[str, Any]] = {}

    def recall(self, label: str) -> None:
        """Read what is known about the images of a participant."""
        path = self._path_of(label)
        content = (read_json_object(path)[0] if path.is_file() else None) or {}
        images = content.get('images') if content.get('format') == FORMAT else None
        self._before, self._now = images if isinstance(images, dict) else {}, {}

    def inspect(self, path: Path) -> ImageInfo:
        """Look at an image, or remember what an earlier look told."""
        state = _state(path)
        known = self._before.get(str(path))
        info = _restored(path, known) if state and known and known.get('state') == state else None
        if info is None:
            info = inspect_image(path)
        if state and not info.problem and _is_plain(info):
            self._now[str(path)] = {'state': state, 'told': _record(info)}
        return info

    def keep(self, label: str) -> None:
        """Write what is now known about a participant, if that is news.

        A folder that cannot be written to, or a full disk, costs only time: the images are
        looked at again.
        """
        others = {path: known for path, known in self._before.items() if path not in self._now}
        kept = {path: known for path, known in others.items() if os.path.exists(path)}
        now = dict(sorted((kept | self._now).items()))  # threads learn in any order
        if self._write is None or now == self._before:
            return
        try:
            self._write(self._path_of(label), {'format': FORMAT, 'images': now})
        except OSError:
            return


def _is_plain(info: ImageInfo) -> bool:
    """Whether the header holds only numbers that JSON has; damaged ones are looked at anew."""
    affines = (info.affine, info.qform, info.sform)
    numbers = [value for affine in affines for row in affine for value in row]
    return all(map(math.isfinite, (*numbers, info.slope, info.intercept)))


def _state(path: Path) -> list[int]:
    """Return size and times of a file, which any change of it changes; [] if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _record(info: ImageInfo) -> dict[str, Any]:
    """Return what was told in the words of JSON, which knows neither tuples nor NaN."""
    return {name: _plain(getattr(info, name)) for name in _FIELDS}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _restored(path: Path, known: Mapping[str, Any]) -> ImageInfo | None:
    """Return what was told; None when the record is not of this kind."""
    told = known.get('told')
    if not isinstance(told, dict) or set(told) != set(_FIELDS):
        return None
    values = {name: _tuples(value) for name, value in told.items()}
    for name in ('stored_low', 'stored_high'):
        values[name] = math.nan if values[name] is None else values[name]
    return ImageInfo(path, **values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
