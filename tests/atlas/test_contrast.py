import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas.contrast import Drawing, atlas_grid, chi_contrast, t2starw_contrast
from qsmbids.atlas.geometry import label_table
from qsmbids.atlas.template import mni_template
from qsmbids.lifespan.prior import chi_at_age


def index_of(name):
    return next(label.index for label in label_table() if label.name == name)


def test_template_is_a_symmetric_skull_stripped_brain():
    t1w, gm, wm, brain_mask, affine = mni_template()
    assert t1w.shape == gm.shape == wm.shape == brain_mask.shape == (197, 233, 189)
    assert np.array_equal(t1w, t1w[::-1])
    assert affine[0, 3] == -98  # so voxel 98 is x = 0 and the flip is the mirror image
    assert 1.7e6 < brain_mask.sum() < 2.0e6  # mm^3; the MNI brain is a large one
    assert not t1w[~brain_mask].any()
    total = (gm + wm + mni_template().csf)[brain_mask]
    assert total.min() >= 0.99


def test_atlas_grid_keeps_the_place_of_every_voxel():
    template, grid = mni_template(), atlas_grid()
    corner = np.rint(grid.affine[:3, 3] - template.affine[:3, 3]).astype(int) + 60
    part = tuple(slice(c, c + 20) for c in corner)
    assert np.array_equal(grid.t1w[60:80, 60:80, 60:80], template.t1w[part])
    assert grid.brain_mask.sum() == template.brain_mask.sum()
    for axis in range(3):
        edges = np.moveaxis(grid.brain_mask, axis, 0)[[0, 1, 2, 3, 4, -1, -2, -3, -4, -5]]
        assert not edges.any()


@pytest.mark.parametrize('age', [2, 36, 78])
def test_chi_is_the_curve_inside_regions_and_has_zero_mean(age):
    grid = atlas_grid()
    chi, subtracted = chi_contrast(age)
    assert chi[grid.brain_mask].mean(dtype=float) == pytest.approx(0, abs=1e-7)
    assert not chi[~grid.brain_mask].any()
    boxes = ndimage.find_objects(grid.labels)
    for label in label_table():
        if label.group == 'ventricle':  # left to the tissue maps
            continue
        box = boxes[label.index - 1]
        depth = ndimage.distance_transform_edt(np.pad(grid.labels[box] == label.index, 1))
        core = depth[1:-1, 1:-1, 1:-1] > 0.8 * depth.max()  # away from the softened border
        expected = chi_at_age(label.region, age) - subtracted
        assert np.median(chi[box][core]) == pytest.approx(expected, rel=0.06, abs=0.002), (
            label.name
        )


def test_nuclei_brighten_with_age_on_both_sides_alike():
    grid = atlas_grid()
    young, old = chi_contrast(4)[0], chi_contrast(70)[0]
    for name in ('Putamen', 'GlobusPallidusInternal', 'SubstantiaNigra'):
        for side in ('Left', 'Right'):
            inside = grid.labels == index_of(name + side)
            assert old[inside].mean() > young[inside].mean() + 0.03
    paired = (grid.labels > 0) & (grid.labels < 100)  # the midline regions are not symmetric
    assert np.abs(old - old[::-1])[paired & paired[::-1]].mean() < 1e-3


def test_magnitude_darkens_where_iron_is():
    grid = atlas_grid()
    image = t2starw_contrast(60)
    assert image.max() == 1
    assert not image[~grid.brain_mask].any()
    pallidum = image[grid.labels == index_of('GlobusPallidusInternalLeft')].mean()
    assert pallidum < image[grid.labels == index_of('ThalamusLateralLeft')].mean()
    assert t2starw_contrast(3)[grid.labels == 10].mean() > image[grid.labels == 10].mean()


def test_a_drawing_puts_a_curve_where_its_label_is_and_leaves_other_labels_to_the_tissue():
    grid = atlas_grid()
    labels = np.zeros(grid.labels.shape, dtype=np.int16)
    middle = tuple(n // 2 for n in labels.shape)
    drawn, named = (
        tuple(slice(m + d, m + d + 9) for m, d in zip(middle, (shift, 0, 0), strict=True))
        for shift in (10, 30)
    )
    labels[drawn], labels[named] = 500, 7
    bare, bare_mean = chi_contrast(40, Drawing(np.zeros_like(labels), {}))
    chi, mean = chi_contrast(40, Drawing(labels, {500: 'RedNucleus', 900: 'Caudate'}))
    centre = tuple(s.start + 4 for s in drawn)
    assert chi[centre] + mean == pytest.approx(chi_at_age('RedNucleus', 40), abs=1e-4)
    centre = tuple(s.start + 4 for s in named)
    assert chi[centre] + mean == pytest.approx(bare[centre] + bare_mean, abs=1e-6)
    image = t2starw_contrast(40, Drawing(labels, {500: 'RedNucleus'}))
    assert not np.array_equal(image, t2starw_contrast(40, Drawing(labels, {})))
