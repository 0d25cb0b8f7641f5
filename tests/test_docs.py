"""The documentation agrees with the program."""

from pathlib import Path

import pytest

from qsmbids.methods import CATALOGUE, markdown_table

DOCS = Path(__file__).parents[1] / 'docs'


def test_table_of_methods_is_that_of_the_catalogue():
    assert markdown_table() in (DOCS / 'processing.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('method', CATALOGUE, ids=lambda m: f'{m.stage}-{m.name}')
def test_every_method_can_be_loaded(method):
    assert callable(method.load())
    parameters = method.make_parameters()
    assert parameters == method.parameter_class()()
    with pytest.raises(ValueError, match='no parameter'):
        method.make_parameters({'nonsense': '1'})


def test_columns_of_the_region_table_are_explained():
    from qsmbids.atlas.region_columns import COLUMNS

    text = (DOCS / 'regions.md').read_text(encoding='utf-8')
    assert [c.name for c in COLUMNS if f'`{c.name}`' not in text] == []
