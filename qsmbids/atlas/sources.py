"""The atlases that can be fetched: where their files are, their checksums, licences, papers.

A source is a set of published files and a function that makes an atlas folder of them. The
files are named by a commit and by their SHA-256, so what is downloaded today and in ten years
is the same to the bit. Nothing of it is part of this package.

References
----------
Ding SL, Royall JJ, Sunkin SM, et al. Comprehensive cellular-resolution atlas of the adult
human brain. J Comp Neurol 2016;524:3127-3481. https://doi.org/10.1002/cne.24080
Pauli WM, Nili AN, Tyszka JM. A high-resolution probabilistic in vivo atlas of human
subcortical brain nuclei. Sci Data 2018;5:180063. https://doi.org/10.1038/sdata.2018.63
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qsmbids.atlas.errors import AtlasError

MIRROR_VARIABLE = 'QSMBIDS_ATLAS_MIRROR'
CC_BY = 'CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)'

_MEGABYTE = 2**20
_NIIVUE = (
    'https://raw.githubusercontent.com/niivue/niivue-demo-images/'
    'f6f98294c1fa89a3a32e8a44eab92368374150a0'
)

Converter = Callable[[Path, Path], Path]


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Parameters
    ----------
    url : str
        Where its authors, or those who keep it, publish it.
    sha256 : str
        Of its content; a file with another one is refused.
    name : str
        Its name in the folder that the converter gets, and on a mirror.
    unpack : bool
        It is an archive (zip or tar) whose content the converter wants.
    max_bytes : int
        A download that grows beyond this is stopped.
    """

    url: str
    sha256: str
    name: str
    unpack: bool = False
    max_bytes: int = 64 * _MEGABYTE


@dataclass(frozen=True)
class Source:
    """An atlas that can be fetched.

    Parameters
    ----------
    name : str
        Of the atlas, as in ``--atlas NAME``.
    summary : str
        What it is, in one sentence.
    ages, regions : str
        What it covers, in words.
    licence : str
        Of the files, and so of the atlas that is made from them.
    citation, doi : str
        The paper that users of the atlas cite.
    files : tuple of RemoteFile
    converter : str
        ``module:function`` of a function ``convert(source_folder, out) -> Path`` that writes
        the atlas folder ``out/<name>`` and returns it.
    """

    name: str
    summary: str
    ages: str
    regions: str
    licence: str
    citation: str
    doi: str
    files: tuple[RemoteFile, ...]
    converter: str

    def load_converter(self) -> Converter:
        """Return the function that makes the atlas; imported only when it is needed."""
        module, function = self.converter.split(':')
        return getattr(importlib.import_module(module), function)

    def address(self, file: RemoteFile) -> str:
        """Return where a file is read from: its URL, or the mirror of the site.

        A mirror holds the files as ``<mirror>/<name of the source>/<name of the file>``.
        """
        mirror = os.environ.get(MIRROR_VARIABLE, '').rstrip('/')
        if not mirror:
            return file.url
        if not mirror.startswith(('http://', 'https://')):
            raise AtlasError(
                f'{MIRROR_VARIABLE} is {mirror}, which does not begin with http:// or https://.',
                'The files of an atlas are read from there.',
                'Give the address of a web server, or unset the variable.',
            )
        return f'{mirror}/{self.name}/{file.name}'


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            name='QSMLifespanAllen',
            summary='Whole-brain parcellation of the Allen Human Reference Atlas 3D 2020, with '
            'susceptibility contrast by age',
            ages='one adult anatomy; the contrast changes with age',
            regions='deep grey matter, thalamic nuclei, hippocampus, amygdala, cortex by gyrus, '
            'white matter, cerebellar nuclei, ventricles; left and right',
            licence=CC_BY,
            citation='Ding SL, Royall JJ, Sunkin SM, et al. Comprehensive cellular-resolution '
            'atlas of the adult human brain. J Comp Neurol 2016;524:3127-3481',
            doi='10.1002/cne.24080',
            files=(
                RemoteFile(
                    f'{_NIIVUE}/Allen/AllenAtlas.nii.gz',
                    '9bfb87ae3be25f1724b209fbfd3b2a02edc379922363a3721946cc7841719d28',
                    'AllenAtlas.nii.gz',
                ),
                RemoteFile(
                    f'{_NIIVUE}/Allen/AllenAtlas.json',
                    '8a3dd0d981734dc6e42ecb1b7bad30d0425577f485dc9b7ab3794a6640b80577',
                    'AllenAtlas.json',
                ),
            ),
            converter='qsmbids.atlas.allen:write_allen_atlas',
        ),
        Source(
            name='QSMLifespanCIT168',
            summary='16 subcortical nuclei of the CIT168 atlas, completed with 13 regions of the '
            'built-in atlas, with susceptibility contrast by age',
            ages='anatomy of 168 young adults; the contrast changes with age',
            regions='16 nuclei of the basal ganglia, midbrain and hypothalamus from CIT168; 13 '
            'regions from the built-in atlas: 4 of the thalamus, dentate nucleus, hippocampus, '
            'amygdala, 5 of the white matter, lateral ventricle; left and right',
            licence=CC_BY,
            citation='Pauli WM, Nili AN, Tyszka JM. A high-resolution probabilistic in vivo '
            'atlas of human subcortical brain nuclei. Sci Data 2018;5:180063',
            doi='10.1038/sdata.2018.63',
            files=(
                RemoteFile(
                    f'{_NIIVUE}/CIT168/CIT168toMNI152-2009c_prob.nii.gz',
                    '324981acee94eecb3d3ce31a6382476c5adcebdfe505588dd97142e0894be8d8',
                    'CIT168toMNI152-2009c_prob.nii.gz',
                ),
            ),
            converter='qsmbids.atlas.cit168:write_cit168_atlas',
        ),
    )
}


def find_source(name: str) -> Source:
    """Return the source of an atlas.

    Raises
    ------
    UnknownAtlasError
        If there is none of this name.
    """
    try:
        return SOURCES[name]
    except KeyError:
        raise UnknownAtlasError(
            f'there is no atlas {name} to fetch.',
            'An atlas is fetched from a source that the program knows.',
            f'Choose from: {", ".join(SOURCES)}. An atlas from elsewhere is a folder: see '
            '`qsmbids-atlas import --help`.',
        ) from None


class UnknownAtlasError(AtlasError):
    """A name that belongs to no atlas."""
