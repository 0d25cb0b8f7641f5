"""The registry of atlases that can be fetched."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from qsmbids.atlas import builtin
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.sources import (
    MIRROR_VARIABLE,
    SOURCES,
    UnknownAtlasError,
    find_source,
)

ALLEN = Path(
    os.environ.get('QSMBIDS_TEST_ATLASES', Path(__file__).parents[3].parent / 'shared/atlases')
) / 'allen'  # fmt: skip


@pytest.mark.parametrize('source', SOURCES.values(), ids=lambda s: s.name)
def test_sources_are_complete(source):
    assert SOURCES[source.name] is source
    assert re.fullmatch(r'QSMLifespan[A-Za-z0-9]+', source.name)
    assert source.name != builtin.NAME
    assert source.licence.startswith('CC BY')
    assert source.doi.startswith('10.')
    assert all((source.summary, source.ages, source.regions, source.citation))
    assert re.fullmatch(r'qsmbids\.atlas\.\w+:\w+', source.converter)
    names = [file.name for file in source.files]
    assert len(set(names)) == len(names) > 0
    for file in source.files:
        assert re.fullmatch(r'[0-9a-f]{64}', file.sha256)
        # a commit, not a branch: what is published there cannot change
        assert re.match(r'https://[^/]+/[^/]+/[^/]+/[0-9a-f]{40}/', file.url)
        assert re.fullmatch(r'[\w.-]+', file.name)
        assert file.url.endswith(f'/{file.name}')


def test_regions_that_complete_cit168_are_counted():
    from qsmbids.atlas.cit168 import NUCLEI, cit168_labels

    labels, added = cit168_labels()
    count = len({label.region for label in labels if label.index in added.values()})
    source = find_source('QSMLifespanCIT168')
    assert f'{len(NUCLEI)} subcortical nuclei' in source.summary
    assert f'{count} regions of the built-in atlas' in source.summary


@pytest.mark.skipif(not ALLEN.is_dir(), reason='no copy of the Allen label map here')
def test_checksums_are_those_of_the_published_files():
    for file in find_source('QSMLifespanAllen').files:
        content = (ALLEN / file.name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file.sha256
        assert len(content) < file.max_bytes


def test_unknown_name_says_which_there_are():
    with pytest.raises(UnknownAtlasError, match='QSMLifespanAllen, QSMLifespanCIT168'):
        find_source('Allen')


def test_mirror_takes_the_place_of_the_address(monkeypatch):
    source = find_source('QSMLifespanAllen')
    file = source.files[0]
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    assert source.address(file) == file.url
    monkeypatch.setenv(MIRROR_VARIABLE, 'https://files.example.org/qsm/')
    assert source.address(file) == (
        'https://files.example.org/qsm/QSMLifespanAllen/AllenAtlas.nii.gz'
    )
    monkeypatch.setenv(MIRROR_VARIABLE, '/data/atlases')
    with pytest.raises(AtlasError, match='does not begin with http'):
        source.address(file)
