import numpy as np
import pytest

from qsmbids.qsm.ndi import NdiParameters, invert_ndi
from qsmbids.qsm.quality import nrmse


def test_flips_permutations_and_the_outside(cases):
    cases.check_invariance(invert_ndi)


def test_odd_input(cases):
    cases.check_odd_input(invert_ndi)


def test_progress(cases):
    cases.check_progress(invert_ndi)


def test_nuclei_are_recovered_from_noise(cases):
    truth, mask, field = cases.noisy_head(cases.SMALL)
    assert nrmse(invert_ndi(field, mask, cases.SMALL), truth, mask) < 60


def misfit(chi, field, mask, grid, forward):
    angle = 2 * np.pi * 0.02 * 127.73 * (forward(chi, grid) - field)
    return np.sum(np.sin(angle[mask] / 2) ** 2)


def test_more_steps_fit_better_and_noise_stops_them(cases):
    _, mask, field = cases.noisy_head(cases.SMALL)
    short, long = (NdiParameters(iterations=n, residual=0) for n in (5, 40))
    maps = [invert_ndi(field, mask, cases.SMALL, parameters=p) for p in (short, long)]
    few, many = (misfit(m, field, mask, cases.SMALL, cases.forward) for m in maps)
    assert many < 0.7 * few

    def steps(noise_ppm):
        _, mask, field = cases.noisy_head(cases.SMALL, noise_ppm)
        calls = []
        invert_ndi(field, mask, cases.SMALL, progress=lambda *call: calls.append(call))
        return len(calls)

    assert steps(0.01) < steps(0.002)


@pytest.mark.parametrize(
    'values', [{'residual': -1}, {'damping': -1}, {'reference_te_s': 0}, {'iterations': 0}]
)
def test_impossible_parameters_are_refused(values):
    with pytest.raises(ValueError, match='NDI'):
        NdiParameters(**values)
