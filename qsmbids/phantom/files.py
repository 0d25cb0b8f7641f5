"""Small writers shared by the raw data set and its truth."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

BIDS_VERSION = '1.11.1'


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, readable by people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def write_tsv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a tab-separated table; NaN becomes the BIDS value ``n/a``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', encoding='utf-8', newline='') as stream:
        writer = csv.writer(stream, delimiter='\t', lineterminator='\n')
        writer.writerow(header)
        writer.writerows([[_cell(value) for value in row] for row in rows])


def write_image(
    path: Path,
    stored: np.ndarray,
    affine: np.ndarray,
    dtype: type[np.generic],
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
) -> None:
    """Write a NIfTI file with a scanner affine (form codes 1).

    Parameters
    ----------
    path : Path
        Ends in ``.nii.gz``.
    stored : (nx, ny, nz) array
        The numbers in the file; a reader gets slope * stored + intercept.
    affine : (4, 4) float
    dtype : numpy type
        Of the stored numbers.
    slope, intercept : float
        NIfTI scaling.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(stored.astype(dtype), affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units('mm', 'sec')
    image.header.set_slope_inter(slope, intercept)  # given scaling: data are written as is
    image.to_filename(path)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return 'n/a' if np.isnan(value) else f'{value:.6g}'
    return value
