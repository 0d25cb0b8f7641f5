"""The panels of the group page as figures on disk: SVG for papers, PNG for slides.

One file for each kind of regions, at most 24 panels each. Colours are from a palette that
people with colour-blindness can tell apart (Wong 2011), and every kind of line has its own
dash. The same values give the same bytes: no date, no random identifiers.

References
----------
Wong B. Points of view: Color blindness. Nat Methods 2011;8:441.
https://doi.org/10.1038/nmeth.1618
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsmbids.bids.write import write_atomically
from qsmbids.group.figure_panels import FIT, HEIGHT, POINTS, PRIOR, WIDTH, Box, draw_boxes
from qsmbids.group.panels import Panel, make_panels
from qsmbids.group.view import GroupView
from qsmbids.report.agecurves import NOTICE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = 24  # of one file
COLUMNS = 4
_HEAD, _FOOT = 0.6, 0.1  # inches
_DPI = 110
_STYLE = {
    'svg.hashsalt': 'qsmbids',
    'svg.fonttype': 'path',  # reads the same where the font is missing
    'font.family': 'DejaVu Sans',
    'font.size': 8.0,
}


def write_figures(output_dir: Path, view: GroupView) -> tuple[Path, ...]:
    """Write the panels of all atlases.

    Parameters
    ----------
    output_dir : Path
        The files go into its folder ``figures``.
    view : GroupView

    Returns
    -------
    tuple of Path
        ``group_atlas-<atlas>_desc-curves-<group>.svg`` and ``.png``; a group of more than 24
        regions is numbered.
    """
    folder = Path(output_dir) / 'figures'
    written: list[Path] = []
    for atlas in view.atlases:
        names: set[str] = set()
        for group, panels in make_panels(view.cohort, atlas).items():
            parts = [panels[i : i + PANELS] for i in range(0, len(panels), PANELS)]
            for number, part in enumerate(parts, 1):
                name = _unique(label_of(group) + (f'{number}' if len(parts) > 1 else ''), names)
                stem = f'group_atlas-{label_of(atlas.table.atlas)}_desc-curves-{name}'
                count = f' ({number} of {len(parts)})' if len(parts) > 1 else ''
                title = f'{(group or "regions").capitalize()}{count}, atlas {atlas.table.atlas}'
                written += _write(folder, stem, part, title, 100 * view.level)
    return tuple(written)


def label_of(text: str) -> str:
    """Return letters and digits of a text, for a file name.

    Examples
    --------
    >>> label_of('deep grey'), label_of('../<x>'), label_of('')
    ('deepgrey', 'x', 'other')
    """
    return re.sub(r'[^A-Za-z0-9]+', '', text) or 'other'


def draw_panels(panels: Sequence[Panel], title: str, level: float) -> Figure:
    """Return a figure of many panels under a title and a key.

    All panels are drawn in one system of inches, kind by kind: matplotlib's own axes would
    take three times as long.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width, height = max(columns, 2) * WIDTH, rows * HEIGHT + _HEAD + _FOOT
    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    sheet = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    sheet.axis('off')
    boxes = [
        Box(panel, (i % columns) * WIDTH + 0.55,
            height - _HEAD - (i // columns + 1) * HEIGHT + 0.45)
        for i, panel in enumerate(panels)
    ]  # fmt: skip
    draw_boxes(sheet, boxes)
    sheet.text(0.1, height - 0.28, title, size=13, weight='bold', parse_math=False)
    _legend(figure, panels, level, height)
    return figure


def _write(
    folder: Path, stem: str, panels: Sequence[Panel], title: str, level: float
) -> list[Path]:  # fmt: skip
    import matplotlib

    written = []
    with matplotlib.rc_context(_STYLE):
        figure = draw_panels(panels, title, level)
        for suffix, metadata in (('svg', {'Date': None}), ('png', {'Software': None})):
            path = folder / f'{stem}.{suffix}'

            def save(stream: Any, kind: str = suffix, about: dict = metadata) -> None:
                figure.savefig(stream, format=kind, dpi=_DPI, metadata=about)

            write_atomically(path, save)
            written.append(path)
    return written


def _legend(figure: Figure, panels: Sequence[Panel], level: float, height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    words = {'both': 'acquisitions', 'left': 'left', 'right': 'right'}
    sides = {panel.side for panel in panels}
    items: list[Any] = [
        Line2D([], [], linestyle='none', marker='o', markersize=4, color=POINTS[side], label=word)
        for side, word in words.items() if side in sides
    ]  # fmt: skip
    if any(panel.lines for panel in panels):
        items += [
            Line2D([], [], color=FIT, linewidth=1.6, label='fitted curve'),
            Patch(color=FIT, alpha=0.28, linewidth=0, label=f'{level:g} % band of the mean'),
            Line2D([], [], color=FIT, linewidth=0.8, dashes=(5, 2), label='centiles 25, 75'),
            Line2D([], [], color=FIT, linewidth=0.8, dashes=(1.5, 2), label='centiles 5, 95'),
        ]
    if any(panel.prior for panel in panels):
        items.append(Line2D([], [], color=PRIOR, linewidth=1.2, linestyle='--', label=NOTICE))
    columns = 6 if figure.get_figwidth() > 10 else 3
    figure.legend(
        handles=items, loc='upper left', bbox_to_anchor=(0, 1 - 0.34 / height), frameon=False,
        ncols=columns, fontsize=7, handlelength=2.2, columnspacing=1.4, borderaxespad=0.3,
    )  # fmt: skip


def _unique(name: str, names: set[str]) -> str:
    found, number = name, 2
    while found.lower() in names:  # two groups with the same letters
        found, number = f'{name}x{number}', number + 1
    names.add(found.lower())
    return found
