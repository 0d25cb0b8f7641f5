"""The group page: the cohort, susceptibility against age by region, and what was asked.

One HTML file that needs nothing else. It opens at once because what is not in sight is not
drawn: panels are laid out when they come near the window, and the points of a large cohort are
drawn on a canvas then, from integers packed in the page (:mod:`qsmbids.group.page_data`).
Without JavaScript the curves, all tables and, in a cohort of up to 300 acquisitions, the
points with their links are still there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qsmbids.bids.write import write_text
from qsmbids.group.page_cohort import histograms, make_up, sexes_shown, tiles
from qsmbids.group.page_data import data_script, page_data
from qsmbids.group.page_tables import (
    analysis_table,
    curve_table,
    flagged_table,
    problem_rows,
    value_table,
)
from qsmbids.group.panel_svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, panel_svg
from qsmbids.group.panels import Panel, make_panels
from qsmbids.group.view import AtlasView, GroupView
from qsmbids.report.agecurves import NOTICE
from qsmbids.report.page import render

POINTS_IN_PAGE = 300  # acquisitions whose points are links in the SVG
_MOST_POINTS = 30_000  # of all panels together, else the script draws them
_BUILT_IN = 'QSMLifespan'


def write_group_page(path: Path, view: GroupView, *, version: str) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        ``group.html`` in the output folder; replaced atomically.
    view : GroupView
    version : str
        Of this program.
    """
    scans = view.cohort.scans
    panels = [make_panels(view.cohort, atlas) for atlas in view.atlases]
    number = sum(p.ages.size for groups in panels for some in groups.values() for p in some)
    inline = len(scans) <= POINTS_IN_PAGE and number <= _MOST_POINTS
    titles = [str(key) for key in scans['key']] if inline else None
    links = [quote(str(page)) for page in scans['page']]
    html = render(
        'group.html.j2',
        version=version,
        tiles=tiles(view.cohort),
        remarks=view.remarks,
        histograms=histograms(scans),
        sexes=sexes_shown(scans),
        make_up=make_up(scans),
        problems=problem_rows(view.problems),
        missing=view.cohort.missing,
        atlases=[
            _atlas(view, atlas, groups, i, titles, links)
            for i, (atlas, groups) in enumerate(zip(view.atlases, panels, strict=True))
        ],
        analyses=[
            {
                'title': one.title,
                'paragraphs': [p for p in one.words.split('\n\n') if p.strip()],
                'table': analysis_table(one, scans) if len(one.frame) else None,
                'file': one.file,
                'href': quote(one.file),
            }
            for one in view.analyses
        ],
        files=_files(path, view.files),
        level=f'{100 * view.level:g}',
        curve_notice=NOTICE,
        any_curve=any(p.lines for groups in panels for some in groups.values() for p in some),
        any_prior=any(p.prior for groups in panels for some in groups.values() for p in some),
        inline=inline,
        sides={p.side for groups in panels for some in groups.values() for p in some},
        axes=f'{WIDTH} {HEIGHT} {LEFT} {RIGHT} {TOP} {BOTTOM}',
        data=data_script(page_data(view.cohort, view.atlases, points=not inline)),
    )  # fmt: skip
    write_text(path, html)


def _atlas(
    view: GroupView,
    atlas: AtlasView,
    groups: dict[str, list[Panel]],
    index: int,
    titles: Sequence[str] | None,
    links: Sequence[str],
) -> dict[str, Any]:
    flat = [panel for some in groups.values() for panel in some]
    return {
        'name': atlas.table.atlas,
        'built_in': atlas.table.atlas == _BUILT_IN,
        'groups': [
            (group, [_panel(p, index, titles, links) for p in some])
            for group, some in groups.items()
        ],
        'curves': curve_table(atlas, flat),
        'flagged': flagged_table(view.cohort, atlas),
        'all_values': value_table(view.cohort, atlas, flat),
        'norms_label': atlas.norms_label,
        'norms_words': atlas.norms_words,
    }


def _panel(
    panel: Panel, atlas: int, titles: Sequence[str] | None, links: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    return {
        'name': panel.name,
        'svg': panel_svg(panel, titles, links),
        'title': panel.title,
        'sentences': panel.sentences,
        'atlas': atlas,
        'column': panel.column,
        'side': panel.side,
        'x': '{:.6g} {:.6g}'.format(*panel.x_range),
        'y': '{:.6g} {:.6g}'.format(*panel.y_range),
    }


def _files(page: Path, files: Sequence[Path]) -> list[dict[str, str]]:
    found = []
    for file in files:
        name = Path(os.path.relpath(file, page.parent)).as_posix()
        if not name.endswith('.json'):
            found.append({'name': name, 'href': quote(name)})
    return found
