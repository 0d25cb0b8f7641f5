"""What a BIDS file name says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qsmbids.plan.models import ENTITY_ORDER

# the whole order of a raw name: echo and part stand among the entities that tell scans apart
NAME_ORDER = (
    'sub', 'ses', 'task', 'acq', 'ce', 'rec', 'dir', 'run', 'echo', 'flip', 'inv', 'mt',
    'part', 'chunk',
)  # fmt: skip
# their values are numbers, in which leading zeros mean nothing (echo-02 is echo-2)
INDEX_ENTITIES = frozenset({'run', 'echo', 'flip', 'inv', 'chunk'})
IMAGE_EXTENSIONS = ('.nii.gz', '.nii')
_EXTENSIONS = (*IMAGE_EXTENSIONS, '.json', '.tsv')


@dataclass(frozen=True)
class BidsName:
    """A file name taken apart.

    Entities are found by their key, whatever order they stand in: a name with the right
    entities in the wrong order is still understood.

    Examples
    --------
    >>> name = BidsName.parse('/d/sub-01/anat/sub-01_part-phase_echo-02_MEGRE.nii.gz')
    >>> name.entities
    {'sub': '01', 'part': 'phase', 'echo': '02'}
    >>> name.suffix, name.extension, name.datatype, name.get('echo')
    ('MEGRE', '.nii.gz', 'anat', '2')
    >>> name.in_order().name
    'sub-01_echo-02_part-phase_MEGRE.nii.gz'
    """

    path: Path
    entities: dict[str, str]
    suffix: str
    extension: str

    @classmethod
    def parse(cls, path: str | Path) -> BidsName:
        """Take a path apart. Pieces without a dash become entities with an empty value."""
        path = Path(path)
        extension = next((e for e in _EXTENSIONS if path.name.endswith(e)), path.suffix)
        *pieces, last = path.name.removesuffix(extension).split('_')
        if '-' in last:  # no suffix at all
            pieces, last = [*pieces, last], ''
        entities = {}
        for piece in pieces:
            key, _, value = piece.partition('-')
            entities[key] = value
        return cls(path, entities, last, extension)

    @property
    def datatype(self) -> str:
        """Name of the folder: ``anat``, ``fmap`` ..."""
        return self.path.parent.name

    @property
    def part(self) -> str:
        """``mag``, ``phase``, ``real``, ``imag`` or ''."""
        return self.entities.get('part', '')

    def get(self, key: str) -> str:
        """Value of an entity in comparable form: without leading zeros where it is a number."""
        return comparable(key, self.entities.get(key, ''))

    def unknown(self) -> tuple[str, ...]:
        """Keys that raw anatomical images cannot have."""
        return tuple(key for key in self.entities if key not in NAME_ORDER)

    def scan(self) -> tuple[tuple[str, str], ...]:
        """Entities that tell one scan from another, in BIDS order, comparable."""
        return tuple((key, self.get(key)) for key in ENTITY_ORDER if key in self.entities)

    def in_order(self) -> Path:
        """Return the same name with its entities in BIDS order."""
        ordered = [f'{k}-{self.entities[k]}' for k in NAME_ORDER if k in self.entities]
        return self.path.with_name('_'.join([*ordered, self.suffix]) + self.extension)


def comparable(key: str, value: str) -> str:
    """Return an entity value without the zeros that carry no meaning.

    Examples
    --------
    >>> comparable('echo', '02'), comparable('acq', '02')
    ('2', '02')
    """
    if key in INDEX_ENTITIES and value.isdecimal():
        return str(int(value))
    return value
