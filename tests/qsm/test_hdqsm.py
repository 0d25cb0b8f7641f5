import numpy as np
import pytest

from qsmbids.qsm import splitting_kernels
from qsmbids.qsm.hdqsm import HdqsmParameters, invert_hdqsm
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.tv import invert_tv


def test_flips_permutations_and_the_outside(cases):
    cases.check_invariance(invert_hdqsm)


def test_odd_input(cases):
    cases.check_odd_input(invert_hdqsm)


def test_progress(cases):
    cases.check_progress(invert_hdqsm)


def test_nuclei_are_recovered_from_noise(cases):
    truth, mask, field = cases.noisy_head(cases.SMALL)
    assert nrmse(invert_hdqsm(field, mask, cases.SMALL), truth, mask) < 25


def test_voxels_that_contradict_the_model_count_less(cases):
    truth, mask, field = cases.noisy_head(cases.SMALL)
    rng = np.random.default_rng(1)
    bad = rng.random(mask.shape) < 0.01
    field = field + np.where(bad, 0.3 * np.sign(rng.standard_normal(mask.shape)), 0)
    plain = nrmse(invert_tv(field, mask, cases.SMALL), truth, mask)
    assert nrmse(invert_hdqsm(field, mask, cases.SMALL), truth, mask) < 0.8 * plain


def test_step_of_absolute_values_is_soft_thresholding():
    rng = np.random.default_rng(2)
    field, predicted, dual = rng.standard_normal((3, 4, 5, 6)).astype(np.float32)
    limit = rng.uniform(0, 2, (4, 5, 6)).astype(np.float32)
    wanted = predicted + dual
    splitting_kernels.fit_absolute(0, 4, predicted, dual, field, limit)
    r = wanted - field
    f = field + np.sign(r) * np.maximum(np.abs(r) - limit, 0)
    assert np.allclose(dual, wanted - f, atol=1e-6)
    assert np.allclose(predicted, f - dual, atol=1e-6)


@pytest.mark.parametrize(
    'name',
    ['regularisation', 'first_share', 'penalty', 'tolerance', 'iterations', 'first_iterations'],
)
def test_impossible_parameters_are_refused(name):
    with pytest.raises(ValueError, match='HD-QSM'):
        HdqsmParameters(**{name: 0})
