"""The option --cosmos."""

import pytest

from qsmbids.cli.parser import parse


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bids').mkdir()
    return [str(tmp_path / 'bids'), str(tmp_path / 'out'), 'participant']


def test_option(arguments):
    assert parse([*arguments, '--cosmos']).cosmos
    assert not parse(arguments).cosmos
