import csv
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas.allen import (
    IMAGE,
    NAME,
    NAMES,
    allen_content,
    convert_labels,
    write_allen_atlas,
)
from qsmbids.atlas.allen_regions import (
    GENU_Y_MM,
    SPLENIUM_Y_MM,
    allen_labels,
    allen_regions,
    indices_of,
    region_of_acronym,
)
from qsmbids.atlas.contrast import atlas_grid
from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import label_table
from qsmbids.atlas.writer import cohort_bins, write_atlas
from qsmbids.lifespan.prior import chi_at_age, prior_curve

# acronym: boxes (lower and upper corner) on the left side, mm; the right side is their mirror
# image. Not anatomy, but in the right order from the middle to the side.
BOXES = {
    'FWM': ((-40, -40, -12), (-9, 30, 28)),
    'VA': ((-15, -15, 0), (-4, -2, 12)),
    'CaH': ((-15, 4, 0), (-9, 20, 12)),
    'Pu': ((-30, -15, 0), (-22, 18, 12)),
    'PuPV': ((-30, -20, -6), (-24, -10, 0)),
    'cc': ((-8, -40, 20), (0, 32, 26)),
    'PrCG': ((-60, -20, 20), (-41, 0, 50)),
    'OB': ((-6, 37, -38), (-2, 48, -34)),
    '3V': ((-1, -10, -8), (0, 0, 4)),
}
CODES = {acronym: 7 * number + 5 for number, acronym in enumerate(BOXES)}  # no order, gaps


def write_source(folder, boxes=BOXES, names=None, start=(-65.5, -50, -45), size=0.5):
    """Write a small label map in the form of the Allen atlas, cropped."""
    folder.mkdir(parents=True, exist_ok=True)
    start = np.array(start, dtype=float)
    shape = np.array((263, 220, 210))
    axes = [start[k] + size * np.arange(shape[k]) for k in range(3)]
    x, y, z = np.meshgrid(*axes, indexing='ij', sparse=True)
    values = np.zeros(shape, dtype=np.uint8)
    for acronym, (low, high) in boxes.items():
        inside = ((-high[0] < abs(x)) | (high[0] == 0)) & (abs(x) <= -low[0])
        inside = inside & (low[1] <= y) & (y < high[1]) & (low[2] <= z) & (z < high[2])
        values[inside] = CODES.get(acronym, 250)
    affine = np.diag((size, size, size, 1.0))
    affine[:3, 3] = start
    nib.save(nib.Nifti1Image(values, affine), folder / IMAGE)
    listed = ['Air'] * 251
    for acronym in boxes:
        listed[CODES.get(acronym, 250)] = acronym
    (folder / NAMES).write_text(json.dumps({'labels': names or listed}), encoding='utf-8')
    return values, affine


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """A small source, its conversion, and the atlas of one age bin made of it."""
    folder = tmp_path_factory.mktemp('small')
    values, affine = write_source(folder / 'source')
    content = allen_content(folder / 'source')
    root = write_atlas(folder / 'out', content, [cohort_bins()[5]])
    return values, affine, content, root, folder / 'source'


def volume_of(labels, region, side):
    return int(np.sum(labels == indices_of(region)[side]))


# --- the table ---


def test_every_region_has_a_known_curve_tissue_and_a_name_of_its_own():
    regions = allen_regions()
    assert len({r.name for r in regions}) == len({r.abbreviation for r in regions}) == len(regions)
    for region in regions:
        if region.curve is not None:
            prior_curve(region.curve)
        assert region.tissue in (None, 'grey', 'white')
        assert re.fullmatch('#[0-9a-f]{6}', region.color)
        assert region.group in {
            'deep grey', 'thalamus', 'limbic', 'cortex', 'white matter', 'cerebellum',
            'brainstem', 'ventricle',
        }  # fmt: skip
    assert len({label.index for label in allen_labels()}) == len(allen_labels())


def test_regions_of_the_builtin_atlas_keep_name_group_and_curve():
    own = {region.name: region for region in allen_regions()}
    shared = {label.region: label for label in label_table() if label.region in own}
    # the built-in atlas merges thalamic nuclei that are kept apart here
    assert {b.region for b in label_table()} - set(shared) == {
        'ThalamusAnterior', 'ThalamusMedian', 'ThalamusLateral',
    }  # fmt: skip
    for name, label in shared.items():
        assert own[name].group == label.group
        assert own[name].abbreviation == label.abbreviation.split('-')[0]
        assert own[name].curve == (None if label.group == 'ventricle' else name)


def test_identifiers_of_the_frontal_pole_are_one_number_in_single_precision():
    # paracingulate, rostral, frontomarginal gyrus and frontal pole in the original; the rostral
    # perirhinal gyrus is the first that is told apart
    merged = np.array([146034872, 146034876, 146034884, 146034888]).astype(np.float32)
    assert len(set(merged.tolist())) == 1
    assert np.float32(146034892) != merged[0]
    assert set(region_of_acronym()['FP'].acronyms) == {'FP', 'PaCG', 'RoG', 'FMG'}


# --- a small map in the same form ---


def test_names_count_not_numbers_and_sides_follow_x(small):
    labels = small[2].drawing.labels
    x = atlas_grid().affine[0, 0] * np.arange(labels.shape[0]) + atlas_grid().affine[0, 3]
    for label in small[2].labels:
        where = x[np.flatnonzero((labels == label.index).any(axis=(1, 2)))]
        if label.hemisphere == 'L':
            assert where.max() < 0
        elif label.hemisphere == 'R':
            assert where.min() > 0
        else:
            assert where.min() == -where.max()
    assert volume_of(labels, 'Caudate', 'L') == volume_of(labels, 'Caudate', 'R') > 1000


def test_volumes_are_those_of_the_source_and_parts_are_merged(small):
    values, _, content, _, _ = small
    for region, acronyms in (('Putamen', ('Pu', 'PuPV')), ('Caudate', ('CaH',))):
        source = np.isin(values, [CODES[a] for a in acronyms]).sum() / 8
        made = sum(volume_of(content.drawing.labels, region, side) for side in 'LR')
        assert made == pytest.approx(source, rel=0.05)


def test_corpus_callosum_is_divided_by_two_planes(small):
    labels = small[2].drawing.labels
    y = atlas_grid().affine[1, 1] * np.arange(labels.shape[1]) + atlas_grid().affine[1, 3]
    extent = {}
    for part in ('Genu', 'Body', 'Splenium'):
        found = labels == indices_of(f'CorpusCallosum{part}')['B']
        extent[part] = y[np.flatnonzero(found.any(axis=(0, 2)))]
    assert extent['Genu'].min() == GENU_Y_MM
    assert extent['Splenium'].max() == SPLENIUM_Y_MM - 1
    assert (extent['Body'].min(), extent['Body'].max()) == (SPLENIUM_Y_MM, GENU_Y_MM - 1)


def test_internal_capsule_lies_between_the_nuclei_and_bends_at_the_thalamus(small):
    labels, affine = small[2].drawing.labels, atlas_grid().affine
    thalamus = labels == indices_of('VentralAnteriorNucleus')['L']
    front = np.flatnonzero(thalamus.any(axis=(0, 2))).max()
    for limb, side_of_plane in (('Anterior', 1), ('Posterior', -1)):
        capsule = labels == indices_of(f'InternalCapsule{limb}Limb')['L']
        voxels = np.argwhere(capsule)
        assert len(voxels) > 200
        assert np.all(side_of_plane * (voxels[:, 1] - front) >= (1 if limb == 'Anterior' else 0))
        x = affine[0, 0] * np.median(voxels[:, 0]) + affine[0, 3]
        assert -24 < x < -12  # the gap between the boxes is from -22 to -15
        assert affine[2, 3] + voxels[:, 2].min() >= -8


def test_what_is_not_labelled_is_told_with_its_reason(small):
    dropped = small[2].credits.facts['NotLabelledCubicMillimetres']
    outside = dropped['outside the brain mask of the template']
    assert outside['OlfactoryBulb'] > 100  # the template ends above it
    assert 'OlfactoryBulb' not in {label.region for label in small[2].labels}
    assert dropped['less than half grey matter in the template']['PrecentralGyrus'] > 0
    labels, grid = small[2].drawing.labels, atlas_grid()
    cortex = np.isin(labels, list(indices_of('PrecentralGyrus').values()))
    assert cortex.any()
    assert grid.gm[cortex].min() >= 0.5
    assert not labels[~grid.brain_mask].any()


def test_values_are_those_of_the_curves_and_the_mean_is_zero(small):
    content, root = small[2], small[3]
    chi = nib.load(next(root.rglob('*_Chimap.nii.gz'))).get_fdata()
    mask = np.asarray(nib.load(next(root.rglob('*brain_mask.nii.gz'))).dataobj) > 0
    sidecar = json.loads(next(root.rglob('*_Chimap.json')).read_text('utf-8'))
    assert chi[mask].mean() == pytest.approx(0, abs=1e-6)
    for region, curve in (
        ('Putamen', 'Putamen'),
        ('VentralAnteriorNucleus', 'ThalamusLateral'),
        ('CorpusCallosumBody', 'CorpusCallosumBody'),
    ):
        inside = np.isin(content.drawing.labels, list(indices_of(region).values()))
        core = ndimage.binary_erosion(inside, iterations=2)
        expected = chi_at_age(curve, 36) - sidecar['SusceptibilityReferenceValue']
        assert chi[core].mean() == pytest.approx(expected, abs=0.001)
        assert sidecar['Curves'][curve]['Value'] == pytest.approx(expected, abs=1e-6)


def test_the_program_opens_the_atlas_and_reads_the_same_table(small):
    atlas = open_atlas(small[3])
    assert atlas.name == NAME
    assert atlas.labels == small[2].labels
    assert atlas.shares_space
    assert atlas.files('6').dseg.exists()
    assert [c.interval for c in atlas.cohorts] == [c.interval for c in cohort_bins()]


def test_attribution_is_in_every_description(small):
    root = small[3]
    files = ['README.md', 'dataset_description.json', f'atlas-{NAME}_description.json',
             f'tpl-{NAME}/template_description.json']  # fmt: skip
    files += [str(f.relative_to(root)) for f in root.rglob('*_dseg.json') if 'cohort' in str(f)]
    assert len(files) == 5
    for name in files:
        text = (root / name).read_text('utf-8')
        for words in ('Allen Human Reference Atlas', '10.1002/cne.24080', 'CC BY 4.0',
                      'SCR_017764', 'Changes made', 'Ding'):  # fmt: skip
            assert words in text, (name, words)


def test_label_table_tells_curve_and_source(small):
    text = (small[3] / f'atlas-{NAME}_dseg.tsv').read_text('utf-8')
    rows = list(csv.DictReader(text.splitlines(), delimiter='\t'))
    by_name = {row['name']: row for row in rows}
    assert by_name['PutamenLeft']['source'] == 'Pu PuPV'
    assert by_name['VentralAnteriorNucleusLeft']['curve'] == 'ThalamusLateral'
    assert by_name['PrecentralGyrusRight']['curve'] == 'n/a'


def test_equal_sources_give_equal_bytes(small, tmp_path):
    again = write_atlas(tmp_path, allen_content(small[4]), [cohort_bins()[5]])
    files = sorted(p.relative_to(again) for p in again.rglob('*') if p.is_file())
    assert len(files) == 17
    for name in files:
        assert (again / name).read_bytes() == (small[3] / name).read_bytes(), name


def test_axes_in_another_order_and_direction_give_the_same_labels(small, tmp_path):
    values, affine = small[:2]
    image = nib.Nifti1Image(values, affine).as_reoriented(
        np.array([[1, -1], [2, 1], [0, -1]])  # x and y backwards, axes exchanged
    )
    nib.save(image, tmp_path / IMAGE)
    shutil.copy(small[4] / NAMES, tmp_path / NAMES)
    assert np.array_equal(convert_labels(tmp_path).labels, small[2].drawing.labels)


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(AtlasError, match=r'AllenAtlas\.nii\.gz'):
        write_allen_atlas(tmp_path, tmp_path / 'out')
    write_source(tmp_path / 'a', {'Nonsense': ((-20, 0, 0), (-10, 5, 5))})
    with pytest.raises(AtlasError, match='Nonsense'):
        write_allen_atlas(tmp_path / 'a', tmp_path / 'out')
    write_source(tmp_path / 'b', names=['Air'])
    with pytest.raises(AtlasError, match='structures that are not'):
        write_allen_atlas(tmp_path / 'b', tmp_path / 'out')
    write_source(tmp_path / 'c', size=0.6)
    with pytest.raises(AtlasError, match='grid'):
        write_allen_atlas(tmp_path / 'c', tmp_path / 'out')
    (tmp_path / 'c' / NAMES).write_text('{"labels": 3}', encoding='utf-8')
    with pytest.raises(AtlasError, match='names of the labels') as info:
        write_allen_atlas(tmp_path / 'c', tmp_path / 'out')
    assert len(str(info.value).split('\n')) == 3
    assert not (tmp_path / 'out').exists()
