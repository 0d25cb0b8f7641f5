"""The examples in the docstrings of the package are true.

They are collected here, and not by pytest from the source folder, so that they run against
the package that is installed, wherever the tests are started.
"""

import doctest
import importlib
from pathlib import Path

import pytest

import qsmbids

PACKAGE = Path(qsmbids.__file__).parent


def modules_with_examples() -> list[str]:
    found = []
    for path in sorted(PACKAGE.rglob('*.py')):
        if '>>> ' in path.read_text(encoding='utf-8'):
            parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
            found.append('.'.join(part for part in parts if part != '__init__'))
    return found


@pytest.mark.parametrize('name', modules_with_examples())
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0, 'the examples are where doctest does not look'
    assert result.failed == 0
