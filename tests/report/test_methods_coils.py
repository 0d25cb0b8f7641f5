"""The methods text names the combination of coils and the mask of the atlas."""

from dataclasses import replace

from qsmbids.report.bibliography import works
from qsmbids.report.markdown import cited_keys
from qsmbids.report.methods import methods_text

STEPS = {'steps': [{'stage': 'unwrapping', 'label': 'ROMEO'}]}


def test_coil_combination_is_told_with_its_number(acquisition):
    text = methods_text(replace(acquisition, n_coils=32), STEPS)
    assert 'Coil combination: the 32 receive coils' in text
    assert set(cited_keys(text)) <= set(works())
    assert 'oil combination' not in methods_text(acquisition, STEPS)


def test_mask_of_the_atlas_is_told(acquisition):
    text = methods_text(acquisition, {**STEPS, 'mask': 'atlas'})
    assert 'brain of the atlas' in text
    assert 'avants2008' in cited_keys(text)
    assert 'brain of the atlas' not in methods_text(acquisition, {**STEPS, 'mask': 'bet'})
