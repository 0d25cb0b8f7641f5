"""Which image files a dataset holds, asked of PyBIDS once for all people of a run.

Names are taken apart in `qsmbids.plan.filenames`, so the index needs none of the thirty entities
of PyBIDS' default configuration, and no metadata: one unreadable sidecar would stop it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from qsmbids.plan.filenames import IMAGE_EXTENSIONS

# each entity costs time for each file; PyBIDS itself needs this one
_CONFIG = {
    'name': 'files',
    'entities': [{'name': 'extension', 'pattern': r'[^./\\](\.[^/\\]+)$'}],
}
# below a participant's or a session's folder; swi/ only to name what is left out
_OTHER_FOLDERS = r'(?:ses-[^/]+/)?(?!ses-|anat(?:/|$)|swi(?:/|$))[^/]+$'
_OTHER_FILES = r'(?:\.json|\.tsv|\.bval|\.bvec)$|/\.[^/]*$'

# what PyBIDS raises for a damaged dataset_description.json; its own error is a ValueError
_DAMAGED = (ValueError, OSError, TypeError, LookupError, AttributeError)


class ImageIndex:
    """The images in ``anat/`` and ``swi/`` of some participants.

    Parameters
    ----------
    bids_dir : Path
        The dataset.
    participants : collection of str
        Labels without ``sub-``; others are not walked.
    """

    def __init__(self, bids_dir: Path, participants: Collection[str]):
        self._bids_dir = bids_dir
        people = '|'.join(map(re.escape, participants))
        wanted = rf'sub-(?:{people})(?:/|$)'
        ignore = re.compile(rf'^/(?!{wanted})|^/sub-[^/]+/{_OTHER_FOLDERS}|{_OTHER_FILES}')
        self._found: dict[str, list[Path]] = defaultdict(list)
        try:
            for path in _files(bids_dir, ignore) if participants else ():
                self._found[path.parts[0].removeprefix('sub-')].append(bids_dir / path)
        except _DAMAGED:
            # a participant's folder has no description that could be damaged
            ignore = re.compile(rf'^/{_OTHER_FOLDERS}|{_OTHER_FILES}')
            for label in participants:
                folder = bids_dir / f'sub-{label}'
                self._found[label] = [folder / path for path in _files(folder, ignore)]

    def images(self, participant: str) -> list[Path]:
        """Return the images of a participant, sorted; links that lead nowhere are among them."""
        return sorted(self._found.get(participant, ()))


def _files(root: Path, ignore: re.Pattern) -> list[Path]:
    """Return the images below a folder, relative to it.

    Relative, so that links and dots in the path of the dataset stay as they were given.
    """
    from bids.layout import BIDSLayout, BIDSLayoutIndexer  # 0.6 s

    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=[ignore])
    layout = BIDSLayout(root, validate=False, indexer=indexer, config=_CONFIG)
    try:
        found = [Path(path).relative_to(layout.root) for path in layout.files]
    finally:
        layout.connection_manager.session.close()
        layout.connection_manager.engine.dispose()
    return [path for path in found if path.name.endswith(IMAGE_EXTENSIONS)]
