"""Simulated heads: truth, signal, noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas.geometry import label_table
from qsmbids.lifespan.prior import chi_at_age
from qsmbids.phantom import PhantomParameters, simulate_head
from qsmbids.phantom.signal import block_mean
from qsmbids.phantom.truth import data_labels


def _inside(head, erode=1):
    return ndimage.binary_erosion(head.brain_mask, iterations=erode)


def _region(head, name):
    return next(row for row in head.regions if row.name == name)


def test_shapes_and_units(adult):
    shape = adult.grid.shape
    assert shape == adult.parameters.shape
    assert adult.magnitude.shape == adult.phase.shape == (5, *shape)
    for array in (adult.magnitude, adult.phase, adult.chi, adult.r2star, adult.total_field_hz,
                  adult.local_field_hz, adult.phase_offset):  # fmt: skip
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    assert np.abs(adult.phase).max() <= np.float32(np.pi)
    volume_l = adult.brain_mask.sum() * adult.grid.voxel_volume / 1e6
    assert 1.3 < volume_l < 1.9
    touches_side = [adult.brain_mask[side].any() for side in (0, -1)]
    assert not any(touches_side)


def test_same_seed_same_head(adult, coarse):
    again = simulate_head(40, parameters=coarse)
    for name in ('magnitude', 'phase', 'chi', 'labels', 'total_field_hz'):
        np.testing.assert_array_equal(getattr(again, name), getattr(adult, name))


def test_another_seed_is_another_head(adult, coarse):
    other = simulate_head(40, seed=2, parameters=coarse)
    assert not np.array_equal(other.brain_mask, adult.brain_mask)
    assert not np.array_equal(other.phase_offset, adult.phase_offset)


def test_anatomy_does_not_depend_on_the_grid(adult):
    finer = simulate_head(40, parameters=PhantomParameters(voxel_size_mm=3.0, orientation='RAS'))
    for name in ('CaudateLeft', 'PutamenRight', 'CorpusCallosumBody'):
        here, there = _region(adult, name), _region(finer, name)
        assert here.volume_mm3 == pytest.approx(there.volume_mm3, rel=0.05)
        assert here.chi_fine_ppm == pytest.approx(there.chi_fine_ppm, abs=0.002)


def test_truth_table_agrees_with_images(adult):
    whole = adult.regions[0]
    assert whole.index == 0
    assert whole.n_voxels == adult.brain_mask.sum()
    assert adult.whole_brain_chi_ppm == pytest.approx(adult.chi[adult.brain_mask].mean(), abs=1e-5)
    assert [row.name for row in adult.regions[1:]] == [label.name for label in label_table()]
    for row in adult.regions[1:]:
        where = adult.labels == row.index
        assert row.n_voxels == where.sum()
        if row.n_voxels:
            assert row.chi_data_ppm == pytest.approx(adult.chi[where].mean(), abs=1e-5)
    left, right = _region(adult, 'PutamenLeft'), _region(adult, 'PutamenRight')
    assert left.hemisphere == 'L'
    # the left putamen lies on the left: negative x in scanner coordinates
    centre = np.argwhere(adult.labels == left.index).mean(axis=0)
    assert (adult.affine[:3, :3] @ centre + adult.affine[:3, 3])[0] < -10
    assert left.volume_mm3 == pytest.approx(right.volume_mm3, rel=0.2)


def test_susceptibility_follows_the_age_curves(adult, child, coarse):
    exact = replace(coarse, subject_sd=0.0, texture=0.0)
    for age in (6, 40):
        head = simulate_head(age, parameters=exact)
        for row in head.regions[1:]:
            assert row.chi_curve_ppm == pytest.approx(
                chi_at_age(row.name.removesuffix('Left').removesuffix('Right'), age)
            )
            if row.group in ('deep grey', 'thalamus', 'white matter'):
                assert row.chi_fine_ppm == pytest.approx(row.chi_curve_ppm, abs=2e-6)
    name = 'GlobusPallidusExternalLeft'
    old, young = _region(adult, name), _region(child, name)
    assert old.chi_fine_ppm > young.chi_fine_ppm + 0.05
    # the subject's own deviation is small
    assert old.chi_fine_ppm == pytest.approx(old.chi_curve_ppm, rel=0.2)
    # R2* rises with the iron
    where = adult.labels == old.index
    assert adult.r2star[where].mean() > child.r2star[child.labels == old.index].mean() + 3


def test_field_looks_like_a_head(adult):
    total = adult.total_field_hz[adult.brain_mask]
    local = adult.local_field_hz[adult.brain_mask]
    low, high = np.percentile(total, [0.1, 99.9])
    assert -400 < low < -60
    assert 60 < high < 400
    assert 60 * local.std() > total.std() > 3 * local.std()
    # shimmed: little is left of constant and slopes over the brain
    assert abs(total.mean()) < 2
    # the frontal sinus and the ear canals: the strongest field is low in the head
    hot = np.argwhere((np.abs(adult.total_field_hz) > 80) & adult.brain_mask)
    brain = np.argwhere(adult.brain_mask)
    assert hot[:, 2].mean() < brain[:, 2].mean()


def test_background_is_harmonic_inside_the_brain(adult):
    """Sources outside the brain make a field without curvature inside it."""
    background = adult.total_field_hz - adult.local_field_hz
    deep = _inside(adult, 4)
    curvature = np.abs(ndimage.laplace(background))[deep]
    of_local = np.abs(ndimage.laplace(adult.local_field_hz))[deep]
    assert np.median(curvature) < 0.25 * np.median(of_local)


def test_phase_is_offset_plus_field_times_echo_time(quiet_adult):
    head = quiet_adult
    assert head.noise_sd == 0
    deep = _inside(head, 4)
    for echo in (0, 2):
        turns = head.total_field_hz * head.echo_times_s[echo]
        expected = head.phase_offset + 2 * np.pi * turns
        difference = np.angle(np.exp(1j * (head.phase[echo] - expected)))[deep]
        # not equal: the signal weights the fine voxels, the true field does not
        assert np.median(np.abs(difference)) < 0.005


def test_magnitude_decays_with_r2star(quiet_adult):
    deep = _inside(quiet_adult, 4)
    first, second = (magnitude[deep] for magnitude in quiet_adult.magnitude[:2])
    difference = np.log(first / second) / 0.005 - quiet_adult.r2star[deep]
    assert np.median(difference) == pytest.approx(0, abs=0.5)


def test_dephasing_near_air(quiet_adult):
    inside = quiet_adult.brain_mask
    first, last = (quiet_adult.magnitude[e][inside] for e in (0, -1))
    extra = np.log(first / np.maximum(last, 1e-6)) / 0.020 - quiet_adult.r2star[inside]
    steepness = np.linalg.norm(np.gradient(quiet_adult.total_field_hz), axis=0)[inside]
    assert np.median(extra[steepness > 30]) > 5
    assert abs(np.median(extra[steepness < 3])) < 2


def test_noise_has_the_stated_level(adult, quiet_adult, coarse):
    quiet = quiet_adult
    noise = adult.magnitude * np.exp(1j * adult.phase)
    noise -= quiet.magnitude * np.exp(1j * quiet.phase)
    for part in (noise.real, noise.imag):
        assert part.std() == pytest.approx(adult.noise_sd, rel=0.01)
        assert abs(part.mean()) < 0.02 * adult.noise_sd
    signal = quiet.magnitude[0][quiet.brain_mask].mean()
    assert signal / adult.noise_sd == pytest.approx(coarse.snr, rel=0.01)
    echoes = noise.reshape(len(noise), -1)
    assert abs(np.corrcoef(echoes[0].real, echoes[1].real)[0, 1]) < 0.02


def test_phase_wraps_several_times(adult):
    turns = adult.total_field_hz * adult.echo_times_s[-1]
    brain = turns[adult.brain_mask]
    assert np.ptp(np.rint(brain)) >= 4
    offset = adult.phase_offset[adult.brain_mask]
    assert np.ptp(offset) > 2


def test_magnitude_looks_like_a_head(adult):
    """Bright brain, dark ring of skull, bright scalp, dark room."""
    first = adult.magnitude[0]
    brain = first[_inside(adult)].mean()
    z = int(np.argwhere(adult.brain_mask)[:, 2].mean()) + 6
    y = int(np.argwhere(adult.brain_mask[:, :, z])[:, 1].mean())
    line = first[:, y, z]
    inside = np.flatnonzero(adult.brain_mask[:, y, z])
    for edge, way in ((inside[0], -1), (inside[-1], 1)):
        outwards = line[edge + way * np.arange(1, 6)]
        assert outwards.min() < 0.6 * brain  # skull and fluid
    room = first[:3, :3, -3:]
    assert room.mean() < 4 * adult.noise_sd
    last = adult.magnitude[-1][_inside(adult)].mean()
    assert 0.4 < last / brain < 0.9


def test_oblique_angle_turns_the_field_not_the_anatomy(adult, coarse):
    straight = simulate_head(40, parameters=replace(coarse, oblique_deg=0.0))
    np.testing.assert_array_equal(straight.chi, adult.chi)
    assert straight.grid.b0_direction == (0.0, 0.0, 1.0)
    assert not np.allclose(straight.local_field_hz, adult.local_field_hz, atol=0.5)


def test_rejects_impossible_age(coarse):
    for age in (-1, float('nan')):
        with pytest.raises(ValueError, match='age'):
            simulate_head(age, parameters=coarse)


@pytest.mark.parametrize('factor', [1, 2, 3])
def test_block_mean(factor):
    fine = np.random.default_rng(0).normal(size=(2 * factor, 3 * factor, 4 * factor))
    expected = fine.reshape(2, factor, 3, factor, 4, factor).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(block_mean(fine, factor), expected, atol=1e-12)


def test_data_labels_take_the_majority():
    fine = np.zeros((4, 2, 2), dtype=np.int16)
    fine[0] = 5  # half of the first voxel: a tie goes to the label met first
    fine[1, 0, 0] = 7
    fine[2, 0, 0] = 9  # an eighth of the second voxel is not enough
    assert data_labels(fine, 2).ravel().tolist() == [5, 0]
