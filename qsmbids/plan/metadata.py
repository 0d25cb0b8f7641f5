"""Small rules that every reader of sidecar values shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from qsmbids.plan.sidecars import Sidecar


def is_number(value: Any) -> bool:
    """Tell whether a JSON value is a finite number.

    Examples
    --------
    >>> is_number(3), is_number('3'), is_number(True), is_number(float('nan'))
    (True, False, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def common_values(sidecars: Mapping[Path, Sidecar]) -> dict[str, Any]:
    """Return the metadata that all files of a scan share."""
    first, *rest = [sidecar.values for sidecar in sidecars.values()]
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in rest)
    }


def first_value(sidecars: Mapping[Path, Sidecar], key: str) -> Any:
    """Return the first value that any file of a scan has for a key, or None."""
    return next((s.values[key] for s in sidecars.values() if s.values.get(key) is not None), None)


def words(value: Any) -> list[str]:
    """Return the upper-case words of a DICOM-like value, a text or a list of texts.

    Examples
    --------
    >>> words(['ORIGINAL', 'PRIMARY', 'PHASE MAP', 'P'])
    ['ORIGINAL', 'PRIMARY', 'PHASE', 'MAP', 'P']
    """
    items = value if isinstance(value, list) else [value]
    text = ' '.join(item for item in items if isinstance(item, str))
    return text.upper().replace('\\', ' ').replace('_', ' ').split()
