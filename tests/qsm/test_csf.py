import numpy as np
import pytest

from qsmbids.qsm.csf import CsfParameters, find_csf
from qsmbids.qsm.grid import Grid


def brain():
    """Two ventricles and a sulcus in tissue of 20 1/s, in an array with a rim of air."""
    grid = Grid((60, 60, 40), (1.0, 1.0, 1.5))
    mask = np.zeros(grid.shape, bool)
    mask[3:-3, 3:-3, 2:-2] = True
    r2star = np.where(mask, 20.0, 400.0)
    ventricles = np.zeros_like(mask)
    ventricles[22:27, 20:40, 18:24] = True
    ventricles[33:38, 20:40, 18:24] = True
    r2star[ventricles] = 1.5
    r2star[4:8, 10:50, 10:30] = 1.5  # a sulcus, next to the surface
    return grid, mask, r2star, ventricles


def test_ventricles_are_found_and_sulci_are_not():
    grid, mask, r2star, ventricles = brain()
    assert np.array_equal(find_csf(r2star, mask, grid), ventricles)


def test_only_the_largest_central_parts_are_kept():
    grid, mask, r2star, ventricles = brain()
    one = np.zeros_like(ventricles)
    one[22:27, 20:40, 18:24] = True
    r2star[33, 20, 18] = 20.0  # the other one is smaller now
    found = find_csf(r2star, mask, grid, parameters=CsfParameters(parts=1))
    assert np.array_equal(found, one)
    with pytest.raises(ValueError, match='No CSF was found'):  # the centre lies between them
        find_csf(r2star, mask, grid, parameters=CsfParameters(centre_radius_mm=2.0))


def test_parts_that_only_reach_into_the_centre_count_whole():
    grid, mask, r2star, ventricles = brain()
    p = CsfParameters(centre_radius_mm=5.0)
    assert np.array_equal(find_csf(r2star, mask, grid, parameters=p), ventricles)


def test_values_without_meaning_are_no_csf():
    grid, mask, r2star, ventricles = brain()
    r2star[~mask] = np.nan
    r2star[28:32, 28:32, 20] = np.nan
    r2star[28:32, 28:32, 16] = -3.0
    assert np.array_equal(find_csf(r2star, mask, grid), ventricles)


def test_flips_and_permutations_commute():
    grid, mask, r2star, ventricles = brain()
    order = (2, 0, 1)
    turned = Grid(*(tuple(np.array(v)[list(order)]) for v in (grid.shape, grid.voxel_size)))
    found = find_csf(r2star.transpose(order)[::-1], mask.transpose(order)[::-1], turned)
    assert np.array_equal(found, ventricles.transpose(order)[::-1])


def test_missing_csf_and_bad_input_are_explained():
    grid, mask, r2star, _ = brain()
    with pytest.raises(ValueError, match='No CSF was found') as error:
        find_csf(r2star / 1000 + 50, mask, grid)
    assert str(error.value).count('\n') == 2
    with pytest.raises(ValueError, match='shape'):
        find_csf(r2star[1:], mask, grid)
    with pytest.raises(ValueError, match='mask is empty'):
        find_csf(r2star, mask & False, grid)


@pytest.mark.parametrize(
    'values', [{'threshold_per_s': 0}, {'margin_mm': -1}, {'centre_radius_mm': 0}, {'parts': 0}]
)
def test_impossible_parameters_are_refused(values):
    with pytest.raises(ValueError, match='CSF'):
        CsfParameters(**values)
