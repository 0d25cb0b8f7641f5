"""Looks at one NIfTI file: what the header says, and whether the data are all there.

The data are streamed once in pieces, so a truncated or damaged file is found before
anything runs, at the price of one decompression and a few megabytes of memory.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np

# bytes decompressed at a time
CHUNK_BYTES = 2 * 2**20
HEADER_BYTES = 540  # of NIfTI-2; that of NIfTI-1 is shorter
PROBLEMS = (
    'NOT_DOWNLOADED', 'EMPTY_FILE', 'NOT_NIFTI', 'TRUNCATED', 'UNSUPPORTED_TYPE', 'BAD_DIMENSIONS',
)  # fmt: skip
# an unlocked git-annex file or a git-lfs file that was not fetched holds this text instead
_POINTERS = (b'/annex/objects/', b'version https://git-lfs')

Affine = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ImageInfo:
    """What one look at an image file told.

    With a ``problem`` the numbers below it are not valid. Extremes are over the finite
    voxels; ``low`` and ``high`` include the header's scl_slope and scl_inter, the stored
    ones do not.
    """

    path: Path
    problem: str = ''  # a code, see `PROBLEMS`
    detail: str = ''  # the problem in words
    shape: tuple[int, ...] = ()
    affine: Affine = ()  # as nibabel takes it: sform, else qform
    qform: Affine = ()
    sform: Affine = ()
    qform_code: int = 0
    sform_code: int = 0
    dtype: str = ''
    slope: float = 1.0
    intercept: float = 0.0
    stored_low: float = math.nan
    stored_high: float = math.nan
    n_not_finite: int = 0

    @property
    def n_values(self) -> int:
        """Number of values in the file."""
        return math.prod(self.shape)

    @property
    def low(self) -> float:
        """Smallest value, scaled by the header."""
        return min(self._scaled_extremes)

    @property
    def high(self) -> float:
        """Largest value, scaled by the header."""
        return max(self._scaled_extremes)

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Return the first three axes."""
        return self.shape[:3]

    @property
    def n_volumes(self) -> int:
        """Return the number of 3-D volumes."""
        return math.prod(self.shape[3:])

    @property
    def _scaled_extremes(self) -> tuple[float, float]:
        return tuple(
            value * self.slope + self.intercept for value in (self.stored_low, self.stored_high)
        )


def inspect_image(path: str | Path) -> ImageInfo:
    """Read the header of a NIfTI file and stream its data.

    Parameters
    ----------
    path : path-like
        A ``.nii`` or ``.nii.gz`` file.

    Returns
    -------
    ImageInfo
        With ``problem`` set when the file cannot be used; nothing is raised for bad files.
    """
    path = Path(path)
    problem, detail = _look_at_file(path)
    if problem:
        return ImageInfo(path, problem, detail)
    try:
        with _open(path) as stream:
            return _inspect(path, stream)
    except (gzip.BadGzipFile, zlib.error):
        detail = 'its name ends in .gz but it is not gzip-compressed'
    except OSError as error:
        detail = f'it cannot be opened ({error.strerror})'
    return ImageInfo(path, 'NOT_NIFTI', detail)


def _inspect(path: Path, stream: BinaryIO) -> ImageInfo:
    """Read the header and the data from a file that was opened once."""
    header_type, problem, detail = _look_at_start(stream)
    if problem:
        return ImageInfo(path, problem, detail)
    try:
        stream.seek(0)
        with np.errstate(all='ignore'):  # impossible affines are found by the checks
            header = header_type.from_fileobj(stream)
            slope, intercept = header.get_slope_inter()
            affine = header.get_best_affine()
    except EOFError:
        return ImageInfo(path, 'TRUNCATED', 'it ends within the header')
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        nib.wrapstruct.WrapStructError,
        OSError,
        ValueError,
    ) as error:
        return ImageInfo(path, 'NOT_NIFTI', f'its header is damaged ({_first_line(error)})')

    shape = tuple(int(n) for n in header.get_data_shape())
    qform, qform_code = _qform(header)
    dtype = header.get_data_dtype()
    if dtype.kind not in 'iuf':
        return ImageInfo(path, 'UNSUPPORTED_TYPE', f'its values are of type {dtype}')
    if len(shape) not in (3, 4) or min(shape[:3]) < 2 or 0 in shape:
        size = ' x '.join(str(n) for n in shape)
        return ImageInfo(path, 'BAD_DIMENSIONS', f'its size is {size}, not a volume')
    try:
        stream.seek(header.get_data_offset())
        low, high, n_not_finite = _scan(stream, dtype, math.prod(shape))
    except (EOFError, OSError, zlib.error) as error:
        return ImageInfo(path, 'TRUNCATED', f'its data are damaged or cut off ({error})')
    return ImageInfo(
        path,
        shape=shape,
        affine=_tuples(affine),
        qform=_tuples(qform),
        sform=_tuples(header.get_sform()),
        qform_code=qform_code,
        sform_code=int(header['sform_code']),
        dtype=dtype.name,
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        stored_low=low,
        stored_high=high,
        n_not_finite=n_not_finite,
    )


def _look_at_file(path: Path) -> tuple[str, str]:
    """Tell a file that is not really there; return code and words, or '' and ''."""
    try:
        with path.open('rb') as stream:
            raw = stream.read(64)
    except FileNotFoundError:
        why = 'a link to a file that is not there' if path.is_symlink() else 'not there'
        return 'NOT_DOWNLOADED', f'it is {why}'
    except OSError as error:
        return 'NOT_NIFTI', f'it cannot be opened ({error.strerror})'
    if not raw:
        return 'EMPTY_FILE', 'it holds no bytes'
    if raw.startswith(_POINTERS):
        return 'NOT_DOWNLOADED', 'it only holds a pointer to the real file'
    return '', ''


def _look_at_start(stream: BinaryIO) -> tuple[type[nib.Nifti1Header], str, str]:
    """Tell NIfTI-1 from NIfTI-2, and a file that is neither.

    nibabel would call a short file one of unknown type, even if it is a truncated NIfTI.
    """
    try:
        start = stream.read(HEADER_BYTES)
    except EOFError:
        return nib.Nifti1Header, 'TRUNCATED', 'it ends within the header'
    for header_type in (nib.Nifti1Header, nib.Nifti2Header):
        if header_type.may_contain_header(start):
            return header_type, '', ''
    return nib.Nifti1Header, 'NOT_NIFTI', 'it is not a NIfTI image'


def _scan(stream: BinaryIO, dtype: np.dtype, count: int) -> tuple[float, float, int]:
    """Return the extremes of the stored finite values and the number of the others.

    Raises
    ------
    EOFError
        When the file ends before ``count`` values.
    OSError, zlib.error
        When the compressed stream is damaged.
    """
    low, high, n_not_finite = math.inf, -math.inf, 0
    left = count * dtype.itemsize
    chunk = CHUNK_BYTES // dtype.itemsize * dtype.itemsize
    while left:
        raw = _read_exactly(stream, min(chunk, left))
        if not raw:
            done = 1 - left / (count * dtype.itemsize)
            raise EOFError(f'only {100 * done:.0f} % of the voxels are there')
        left -= len(raw)
        values = np.frombuffer(raw, dtype)
        smallest, largest = values.min(), values.max()
        # the minimum of an array with a NaN is NaN, so one test each tells all
        if dtype.kind == 'f' and not (np.isfinite(smallest) and np.isfinite(largest)):
            values = values[np.isfinite(values)]
            n_not_finite += len(raw) // dtype.itemsize - values.size
            if not values.size:
                continue
            smallest, largest = values.min(), values.max()
        low, high = min(low, float(smallest)), max(high, float(largest))
    # reading to the very end lets gzip compare its checksum
    while stream.read(CHUNK_BYTES):
        pass
    if low > high:
        return math.nan, math.nan, n_not_finite
    return low, high, n_not_finite


def _open(path: Path) -> BinaryIO:
    return gzip.open(path, 'rb') if path.suffix == '.gz' else path.open('rb')


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes, or nothing if the file ends before."""
    raw = stream.read(size)
    return raw if len(raw) == size else b''


def _qform(header: nib.Nifti1Header) -> tuple[np.ndarray, int]:
    """Return the qform and its code; an impossible quaternion counts as no qform."""
    try:
        with np.errstate(all='ignore'):
            return header.get_qform(), int(header['qform_code'])
    except (ValueError, nib.spatialimages.HeaderDataError):
        return np.eye(4), 0


def _tuples(matrix: np.ndarray) -> Affine:
    return tuple(tuple(float(v) for v in row) for row in matrix)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
