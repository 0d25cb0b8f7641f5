"""From the rows of a foreign label table to labels: side, region, colour.

Numbers mean nothing here. A side comes from a column, from the name, or, when a person has
agreed to it, from where the label lies. A region of ours (which brings age curves, groups and
the reference region) comes from a column, from a mapping table, or from a name that is the
same as ours apart from spelling; every such match is told.
"""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qsmbids.atlas.checks import MIDLINE_TOLERANCE_MM, on_wrong_side, refuse_sides
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label, label_table
from qsmbids.atlas.import_labels import LabelRow, read_text_lines
from qsmbids.atlas.questions import Ask, Question, answer
from qsmbids.atlas.sides import plain, side_of_column, sides_of_names

FROM_POSITION, FROM_NAMES = 'from-position', 'from-names'
_ONE_SIDED = 0.95  # share of the voxels of a label on one side of the mid-plane
_WORDS = {'L': 'Left', 'R': 'Right', 'B': ''}


@dataclass(frozen=True, eq=False)
class LabelPlaces:
    """Where the labels of one label image lie.

    Parameters
    ----------
    path : Path
    centres : mapping of int to (3,) float
        RAS mm.
    x_range : mapping of int to (float, float)
        Between these x, in mm, lie all but 5 % of the voxels at either end.
    mask_x : float
        Centre of the brain mask, mm.
    """

    path: Path
    centres: Mapping[int, np.ndarray]
    x_range: Mapping[int, tuple[float, float]]
    mask_x: float


def x_ranges(labelled: np.ndarray, affine: np.ndarray) -> dict[int, tuple[float, float]]:
    """Return from where to where each label reaches in x, without 5 % at either end.

    The image is in RAS order and may be oblique.
    """
    where = np.nonzero(labelled)
    x = affine[0, :3] @ np.stack(where) + affine[0, 3]
    values = labelled[where]
    order = np.argsort(values, kind='stable')
    present, first = np.unique(values[order], return_index=True)
    return {
        int(index): tuple(np.quantile(part, (1 - _ONE_SIDED, _ONE_SIDED)).tolist())
        for index, part in zip(present, np.split(x[order], first[1:]), strict=True)
    }


def make_labels(
    rows: Sequence[LabelRow],
    places: Sequence[LabelPlaces],
    *,
    sides: str = '',
    mapping: Mapping[str, str] | None = None,
    ask: Ask | None = None,
) -> tuple[tuple[Label, ...], list[str]]:
    """Decide on side, region, group and colour of every label that is in an image.

    Parameters
    ----------
    rows : sequence of LabelRow
    places : sequence of LabelPlaces
        Of every label image.
    sides : str
        ``from-position`` or ``from-names``: what to do with labels of one side whose names
        do not say which; '' to ask.
    mapping : mapping of str to str, optional
        Name in the table to a region of ours.
    ask : callable, optional
        See `qsmbids.atlas.questions.answer`.

    Returns
    -------
    labels : tuple of Label
    told : list of str
        What was decided and why.

    Raises
    ------
    AtlasError
        If a side cannot be known, or labels lie on the other side than their names say.
    """
    told: list[str] = []
    present = set().union(*(place.centres for place in places))
    absent = [row for row in rows if row.index not in present]
    if absent:
        names = ', '.join(f'{row.index} {row.name}' for row in absent)
        told.append(f'{len(absent)} rows of the table are in no label image, left out: {names}')
    rows = [row for row in rows if row.index in present]
    from_names = sides_of_names(row.name for row in rows)
    bare = [name for _, name in from_names]
    known = [_column_side(row) or side for row, (side, _) in zip(rows, from_names, strict=True)]
    draft = [
        Label(row.index, row.name, '', side or 'B', '', '', name)
        for row, side, name in zip(rows, known, bare, strict=True)
    ]
    for place in places:
        wrong = on_wrong_side(place.centres, draft, place.mask_x)
        if wrong:
            refuse_sides(place.path, wrong)
    known = _complete_sides(rows, known, bare, places, sides, ask, told)
    regions = _regions(rows, bare, mapping or {}, told)
    return _labels(rows, from_names, known, regions), told


def read_mapping(path: Path) -> dict[str, str]:
    """Read a table of two columns: name in the label table, region of ours.

    Raises
    ------
    AtlasError
        If a line has not two entries, or there is no such region.
    """
    ours = our_regions()
    mapping = {}
    lines = [line for line in read_text_lines(path) if line.strip() and not line.startswith('#')]
    for line in lines:
        cells = [cell.strip() for cell in line.split('\t' if '\t' in line else ',')]
        if [cell.lower() for cell in cells] == ['name', 'region']:
            continue
        if len(cells) != 2 or plain(cells[1]) not in ours:
            raise AtlasError(
                f'{path} has a line that is no mapping: {line[:80]}',
                'Each line is a name of the label table and a region of this program.',
                f'The regions are: {", ".join(sorted(ours.values()))}.',
            )
        mapping[cells[0]] = ours[plain(cells[1])]
    return mapping


def our_regions() -> dict[str, str]:
    """Return the regions of the built-in atlas: name without spelling to name."""
    return {plain(label.region): label.region for label in label_table()}


def _column_side(row: LabelRow) -> str:
    side = side_of_column(row.hemisphere)
    if side is None:
        raise AtlasError(
            f'the label table says "{row.hemisphere}" for the side of {row.name}.',
            'Left and right must be known.',
            'Write L, R or B (both sides or midline) in the column hemisphere.',
        )
    return side


def _complete_sides(
    rows: Sequence[LabelRow], known: Sequence[str], bare: Sequence[str],
    places: Sequence[LabelPlaces], choice: str, ask: Ask | None, told: list[str],
) -> list[str]:  # fmt: skip
    """Fill in sides that neither column nor name says: from position if that is agreed to."""
    lies = _positions(rows, known, bare, places)
    open_rows = [
        row for row, side in zip(rows, known, strict=True) if not side and lies[row.index] != 'B'
    ]
    if open_rows and not choice:
        examples = ', '.join(f'{row.index} {row.name}' for row in open_rows[:6])
        choice = answer(
            Question(
                '--sides',
                f'{len(open_rows)} labels lie on one side of the brain, but neither a column nor '
                f'their names say which ({examples}). Take the side from where they lie?',
                'Left and right would be exchanged if the images were mirrored.',
                (FROM_POSITION, FROM_NAMES),
                FROM_POSITION,
            ),
            ask,
        )
    if open_rows and choice == FROM_POSITION:
        counts = Counter(lies[row.index] for row in open_rows)
        told.append(
            f'sides from position: {counts["L"]} labels left, {counts["R"]} right of the middle '
            f'of the brain (negative x is left): '
            + ', '.join(f'{row.index} {row.name} = {lies[row.index]}' for row in open_rows)
        )
    elif open_rows:
        told.append(f'{len(open_rows)} labels without a side, as in the table')
    position_counts = choice == FROM_POSITION
    near = [
        row for row, side in zip(rows, known, strict=True) if not side and lies[row.index] == 'B'
    ]
    if near and position_counts:
        told.append(
            f'{len(near)} labels are left without a side, because they cross the middle or lie '
            f'near it: {", ".join(f"{row.index} {row.name}" for row in near)}'
        )
    return [
        side or (lies[row.index] if position_counts else 'B')
        for row, side in zip(rows, known, strict=True)
    ]


def _positions(
    rows: Sequence[LabelRow], known: Sequence[str], bare: Sequence[str],
    places: Sequence[LabelPlaces],
) -> dict[int, str]:  # fmt: skip
    """Return L or R for labels that lie on one side in all images that have them, else B."""
    found: dict[int, set[str]] = {row.index: set() for row in rows}
    for place in places:
        middle, tolerance = _middle(rows, known, bare, place)
        for row in rows:
            if row.index in place.x_range:
                found[row.index].add(_lies(place.x_range[row.index], middle, tolerance))
    return {index: sides.pop() if len(sides) == 1 else 'B' for index, sides in found.items()}


def _lies(x_range: tuple[float, float], middle: float, tolerance: float) -> str:
    low, high = x_range
    return 'L' if high < middle - tolerance else 'R' if low > middle + tolerance else 'B'


def _middle(
    rows: Sequence[LabelRow], known: Sequence[str], bare: Sequence[str], place: LabelPlaces
) -> tuple[float, float]:
    """Return the x of the mid-plane and how far it may be wrong, mm.

    Pairs of labels tell it: one name on both sides. Sides are as named, or clear without them.
    Without any pair there is only the centre of the brain mask.
    """
    pairs: dict[str, list[tuple[str, float]]] = {}
    for row, named, name in zip(rows, known, bare, strict=True):
        if row.index in place.x_range:
            side = named or _lies(place.x_range[row.index], place.mask_x, MIDLINE_TOLERANCE_MM)
            pairs.setdefault(plain(name), []).append((side, float(place.centres[row.index][0])))
    middles = [
        (pair[0][1] + pair[1][1]) / 2
        for pair in pairs.values()
        if sorted(side for side, _ in pair) == ['L', 'R']
    ]
    if middles:
        return float(np.median(middles)), 0.0
    return place.mask_x, MIDLINE_TOLERANCE_MM


def _regions(
    rows: Sequence[LabelRow], bare: Sequence[str], mapping: Mapping[str, str], told: list[str]
) -> list[str]:
    """Return the region of each row: column, mapping, same name as ours, or its own name."""
    ours = our_regions()
    names = {plain(text): text for pair in zip(rows, bare, strict=True)
             for text in (pair[0].name, pair[1])}  # fmt: skip
    unknown = [name for name in mapping if plain(name) not in names]
    if unknown:
        raise AtlasError(
            f'the mapping names what is not in the label table: {", ".join(unknown[:8])}.',
            'A name that was misspelt would be left without its region.',
            'Write the names as in the label table, with or without the side.',
        )
    wanted = {plain(name): region for name, region in mapping.items()}
    regions, mapped = [], {}
    for row, name in zip(rows, bare, strict=True):
        region = (
            row.region
            or wanted.get(plain(row.name))
            or wanted.get(plain(name))
            or ours.get(plain(name))
        )
        if region:
            region = ours.get(plain(region), region)
            mapped.setdefault(region, []).append(row.name)
        regions.append(region or name)
    told.extend(
        f'region {region}: {", ".join(dict.fromkeys(found))}'
        + ('' if plain(region) in ours else ' (a region that the built-in atlas does not have)')
        for region, found in mapped.items()
    )
    if not any(plain(region) in ours for region in mapped):
        told.append(
            'no label is mapped to a region of this program: age curves and the reference region '
            'csf need a column region or --mapping'
        )
    return regions


def _labels(
    rows: Sequence[LabelRow], from_names: Sequence[tuple[str, str]], sides: Sequence[str],
    regions: Sequence[str],
) -> tuple[Label, ...]:  # fmt: skip
    look = {(label.region, label.hemisphere): label for label in label_table()}
    often = Counter(row.name for row in rows)
    order = list(dict.fromkeys(regions))
    labels = []
    for row, (named_side, _), side, region in zip(rows, from_names, sides, regions, strict=True):
        name = row.name
        if often[name] > 1 and side != 'B' and not named_side:
            name = f'{name} {_WORDS[side]}'
        known = look.get((region, side))
        labels.append(
            Label(
                index=row.index,
                name=name,
                abbreviation=row.abbreviation or (known.abbreviation if known else name),
                hemisphere=side,
                group=row.group or (known.group if known else ''),
                color=row.color or (known.color if known else _color(order.index(region))),
                region=region,
            )
        )
    again = Counter(label.name for label in labels)  # parts of one nucleus with one name
    return tuple(
        replace(label, name=f'{label.name} {label.index}') if again[label.name] > 1 else label
        for label in labels
    )


def _color(number: int) -> str:
    """Return the colour of the n-th region: hues by the golden ratio, so neighbours differ."""
    hue = (number * 0.6180339887) % 1
    rgb = colorsys.hls_to_rgb(hue, (0.62, 0.5, 0.72)[number % 3], 0.62)
    return '#' + ''.join(f'{round(255 * level):02x}' for level in rgb)
