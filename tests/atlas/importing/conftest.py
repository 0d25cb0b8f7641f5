"""A folder in the layout of the published atlas, and the import of it."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import label_table, label_volume
from qsmbids.atlas.images import write_image
from qsmbids.atlas.importing import ImportOptions, import_atlas
from qsmbids.lifespan.prior import chi_at_age

SIZE = 4.0  # mm
SHAPE = (42, 50, 44)
LPI = np.diag((-SIZE, -SIZE, -SIZE, 1.0))  # the axes run to left, back, feet
LPI[:3, 3] = 82, 82, 106  # the middle of the head is not the middle of the image
BACKGROUND = np.float32(-0.31)  # the minimum of the image
# numbers of the two schemes that are in use, left and right, as far as they are known
SCHEME_A = {
    'Putamen': (301, 302), 'Caudate': (303, 304), 'GlobusPallidusExternal': (309, 310),
    'ThalamusLateral': (329, 330), 'Hippocampus': (41, 42),
}  # fmt: skip
SCHEME_B = {'Caudate': (191, 192), 'Putamen': (193, 194), 'GlobusPallidusExternal': (195, 196)}
STATED = {'name': 'Mine', 'licence': 'academic use'}


def draw_labels(scheme, affine=LPI):
    ours = label_volume(SHAPE, affine)
    labels = np.zeros(SHAPE, np.int16)
    for label in label_table():
        if label.region in scheme:
            labels[ours == label.index] = scheme[label.region]['LR'.index(label.hemisphere)]
    assert set(np.unique(labels)) == {0, *sum(scheme.values(), ())}
    return labels


def draw_brain(affine=LPI):
    voxels = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing='ij'), -1)
    world = voxels @ affine[:3, :3].T + affine[:3, 3]
    return (((world - (0, -18, 10)) / (68, 86, 66)) ** 2).sum(-1) < 1


def draw_chi(scheme, labels, brain, age):
    rng = np.random.default_rng(int(age))
    chi = 0.01 * rng.standard_normal(SHAPE)
    for region, pair in scheme.items():
        chi[np.isin(labels, pair)] += chi_at_age(region, age)
    return np.where(brain, np.maximum(chi, -0.2), BACKGROUND).astype(np.float32)


def table_lines(scheme):
    """Scheme A comes with a heading and sides in the names."""
    rows = [f'{pair[i]}\t{side} {region}' for region, pair in scheme.items()
            for i, side in enumerate(('Left', 'Right'))]  # fmt: skip
    return ['index\tname', '0\tbackground', *rows]


@pytest.fixture
def published(tmp_path):
    """Scheme A: template, labels and T1w of three decades, all as LPI with a minimum outside."""
    folder = tmp_path / 'download'
    (folder / 'T1w').mkdir(parents=True)
    labels, brain = draw_labels(SCHEME_A), draw_brain()
    for low in (20, 30, 40):
        stem = f'{low}_{low + 10}'
        write_image(folder / f'{stem}_BB_LPI.nii', draw_chi(SCHEME_A, labels, brain, low + 5), LPI)
        write_image(folder / f'{stem}_atlas_label.nii.gz', labels, LPI)
        t1w = (80 + 40 * brain + low).astype(np.float32)  # with a skull, so to say
        write_image(folder / 'T1w' / f'{stem}_T1w.nii.gz', t1w, LPI)
    (folder / 'labels.tsv').write_text('\n'.join(table_lines(SCHEME_A)) + '\n')
    (folder / 'LICENSE.txt').write_text('For research only.\n')
    return folder


def run(folder, out=None, told=None, **changes):
    options = {'shared_space': 'yes'} | changes.pop('options', {})
    stated = STATED | {'labels_table': folder / 'labels.tsv'} | changes
    return import_atlas(
        folder, out or folder.parent / 'cache', options=ImportOptions(**options),
        tell=(lambda s: told.append(s)) if told is not None else lambda s: None, **stated,
    )  # fmt: skip


def measure(chi_path, dseg_path):
    """Mean and place in the world of every label, without any code of the package."""
    chi, dseg = nib.load(chi_path), nib.load(dseg_path)
    values, labels = chi.get_fdata(), np.rint(dseg.get_fdata()).astype(int)
    present = sorted(set(np.unique(labels)) - {0})
    centres = nib.affines.apply_affine(
        dseg.affine, ndimage.center_of_mass(labels > 0, labels, present)
    )
    means = ndimage.mean(values, labels, present)
    return present, means, centres


def refused(match, folder, error=AtlasError, **changes):
    with pytest.raises(error, match=match) as info:
        run(folder, **changes)
    assert len(str(info.value).splitlines()) == 3
    cache = folder.parent / 'cache'
    assert not cache.exists() or list(cache.iterdir()) == []  # nothing half-made
    return str(info.value)


def rewrite(path, change):
    image = nib.load(path)
    write_image(path, change(np.asarray(image.dataobj).copy()), image.affine)


def each(folder, pattern, change):
    for path in folder.glob(pattern):
        change(path)


def without_orientation(path):
    image = nib.Nifti1Image(np.asarray(nib.load(path).dataobj).copy(), None)
    image.header.set_zooms((SIZE,) * 3)
    image.header['sform_code'] = image.header['qform_code'] = 0
    nib.save(image, path)


@pytest.fixture
def kit():
    """What the tests of this folder share."""
    return SimpleNamespace(
        run=run, refused=refused, measure=measure, rewrite=rewrite, each=each,
        without_orientation=without_orientation, draw_labels=draw_labels, draw_brain=draw_brain,
        draw_chi=draw_chi, SCHEME_A=SCHEME_A, SCHEME_B=SCHEME_B, SIZE=SIZE, LPI=LPI,
    )  # fmt: skip
