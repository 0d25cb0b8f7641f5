"""A small head with a marked left side, stored in any orientation, and a plan for it."""

from collections import namedtuple

import nibabel as nib
import numpy as np
import pytest

from qsmbids.plan.models import Acquisition, Decision, Echo, PhaseScaling, Source

Label = namedtuple('Label', 'index name abbreviation hemisphere group color region')
LABELS = (
    Label(1, 'CaudateLeft', 'CN-L', 'L', 'deep grey', '#4e79a7', 'Caudate'),
    Label(2, 'CaudateRight', 'CN-R', 'R', 'deep grey', '#4e79a7', 'Caudate'),
    Label(101, 'CorpusCallosumGenu', 'CCg', 'B', 'white matter', '#bab0ac', 'CorpusCallosumGenu'),
)
SHAPE = (32, 40, 28)
ZOOMS = (4.0, 4.0, 5.0)


def head(tilt_deg=0.0):
    """Return images of a head in RAS order and their affine; bright chi on the left only."""
    tilt = np.deg2rad(tilt_deg)
    rotation = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(ZOOMS)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    place = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing='ij'), axis=-1)
    place = (place - (np.array(SHAPE) - 1) / 2) * ZOOMS  # mm along the axes of the image

    def ball(centre, radius):
        return ((place - centre) ** 2).sum(axis=-1) < radius**2

    brain = ((place / (50, 62, 48)) ** 2).sum(axis=-1) < 1
    dseg = np.zeros(SHAPE, np.int16)
    dseg[ball((-20, 10, 0), 11)] = 1
    dseg[ball((20, 10, 0), 11)] = 2
    dseg[ball((0, 30, 5), 9)] = 101
    chi = (0.02 * brain + 0.05 * (dseg > 0)).astype(np.float32)
    chi[ball((-28, -10, 10), 9)] = 0.19  # the marker: subject's left
    wave = np.sin(place[..., 1] / 9).astype(np.float32)
    inner = ((place / (46, 58, 44)) ** 2).sum(axis=-1) < 1
    images = {
        'rss': 1000 * brain + 50 * wave**2 + 30,
        'brain_mask': brain,
        'qsm_mask': inner,
        'phase_first': np.pi * wave,
        'phase_last': np.pi * wave,
        'unwrapped_last': 9 * wave * brain,
        'total_field': 60 * wave * brain,
        'local_field': 9 * wave * inner,
        'chi': (chi - 0.01) * inner,
        'r2star': (18 + 300 * chi) * brain,
        'dseg': dseg,
        'template_chi': (0.02 + 0.05 * (dseg > 0)) * brain,
    }
    return images, affine


def store(folder, images, affine, orientation='RAS'):
    """Write the images with their axes in another order; return paths by key."""
    folder.mkdir(parents=True, exist_ok=True)
    start = nib.orientations.io_orientation(affine)
    change = nib.orientations.ornt_transform(
        start, nib.orientations.axcodes2ornt(tuple(orientation))
    )
    files = {}
    for key, data in images.items():
        kind = np.uint8 if data.dtype == bool else data.dtype if key == 'dseg' else np.float32
        image = nib.Nifti1Image(data.astype(kind), affine).as_reoriented(change)
        files[key] = folder / f'{key}.nii'
        nib.save(image, files[key])
    return files


def b0_of(path):
    """Return the field direction in the voxel axes of a file."""
    affine = nib.load(path).affine[:3, :3]
    return tuple(affine[2] / np.linalg.norm(affine, axis=0))


@pytest.fixture
def files(tmp_path):
    images, affine = head()
    return store(tmp_path / 'images', images, affine)


@pytest.fixture
def acquisition():
    def name(echo, part):
        return f'/bids/sub-01/anat/sub-01_echo-{echo}_part-{part}_MEGRE.nii.gz'

    return Acquisition(
        entities=(('sub', '01'),),
        suffix='MEGRE',
        echoes=tuple(
            Echo(str(i), te, name(i, 'mag'), name(i, 'phase'))
            for i, te in enumerate((0.005, 0.0125), start=1)
        ),
        shape=(160, 192, 144),
        voxel_size_mm=(1.0, 1.0, 1.2),
        affine=tuple(map(tuple, np.eye(4))),
        b0_direction=Decision((0.0, -0.6, 0.8), Source.HEADER, 'sform'),
        imaging_frequency_mhz=Decision(123.25, Source.SIDECAR, 'ImagingFrequency'),
        phase_scaling=PhaseScaling(
            slope=0.001, intercept=-3.0, source=Source.INFERRED, detail='12-bit integers'
        ),
        age_years=Decision(34.2, Source.TABLE, 'participants.tsv'),
        metadata={'RepetitionTime': 0.033, 'Manufacturer': 'Ma*ker', 'FlipAngle': 15},
    )


@pytest.fixture
def regions():
    common = {'n_voxels': '812', 'coverage': '0.97', 'sd': '0.02', 'median': '0.05'}
    return [
        {'index': '0', 'name': 'WholeBrain', 'hemisphere': 'B', 'group': '', 'mean': '0',
         **common},
        {'index': '1', 'name': 'CaudateLeft', 'hemisphere': 'L', 'group': 'deep grey',
         'mean': '0.044', **common},
        {'index': '2', 'name': 'CaudateRight', 'hemisphere': 'R', 'group': 'deep grey',
         'mean': '0.056', **common},
        {'index': '101', 'name': 'CorpusCallosumGenu', 'hemisphere': 'B',
         'group': 'white matter', 'mean': 'n/a', **common},
    ]  # fmt: skip


@pytest.fixture(scope='session')
def make_head():
    return head


@pytest.fixture(scope='session')
def store_images():
    return store


@pytest.fixture(scope='session')
def find_b0():
    return b0_of


@pytest.fixture(scope='session')
def labels():
    return LABELS
