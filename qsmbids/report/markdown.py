"""The small part of Markdown that the methods text uses, to HTML.

Headings, paragraphs, lists, bold, italic, code, links and citations ``[@key; @key]``.
Everything is escaped first, so the text of a sidecar can never become a tag.
"""

from __future__ import annotations

import re
from html import escape

from qsmbids.report.bibliography import Work, works

_CITATION = re.compile(r'\[(@[\w:-]+(?:; @[\w:-]+)*)\]')
_INLINE = (
    (re.compile(r'`([^`]+)`'), r'<code>\1</code>'),
    (re.compile(r'\*\*([^*]+)\*\*'), r'<strong>\1</strong>'),
    (re.compile(r'\*([^*]+)\*'), r'<em>\1</em>'),
    (re.compile(r'\[([^\]]+)\]\((https://[^\s)]+)\)'), r'<a href="\2">\1</a>'),
)


_ESCAPE = re.compile(r'\\([\\`*\[\]])')


def literal(value: object) -> str:
    """Return a value as text in which no character has a meaning in Markdown.

    Examples
    --------
    >>> to_html(literal('R2* and [T2*]'))
    '<p>R2* and [T2*]</p>'
    """
    text = re.sub(r'[\x00-\x1f]+', ' ', str(value))  # one line, no control characters
    return re.sub(r'([\\`*\[\]])', r'\\\1', text)


def cited_keys(markdown: str) -> list[str]:
    """Return the citation keys of a text in the order of their first use.

    Examples
    --------
    >>> cited_keys('One [@b; @a] and again [@a].')
    ['b', 'a']
    """
    keys = [key.strip()[1:] for group in _CITATION.findall(markdown) for key in group.split(';')]
    return list(dict.fromkeys(keys))


def to_html(markdown: str, *, prefix: str = 'ref') -> str:
    """Convert a text, numbering its citations.

    Parameters
    ----------
    markdown : str
    prefix : str
        Begins the anchors of the reference list, so that several texts fit on one page.

    Examples
    --------
    >>> to_html('A **bold** <word>.')
    '<p>A <strong>bold</strong> &lt;word&gt;.</p>'
    """
    known = works()
    numbers = {
        key: n for n, key in enumerate((k for k in cited_keys(markdown) if k in known), start=1)
    }
    text = markdown.replace('\x00', '').strip()
    blocks = [b for b in re.split(r'\n\s*\n', text) if b.strip()]
    return '\n'.join(_block(block, numbers, prefix) for block in blocks)


def references_html(markdown: str, *, prefix: str = 'ref') -> str:
    """Return the works that a text cites as an ordered list; '' when there are none."""
    known = works()
    cited = [known[key] for key in cited_keys(markdown) if key in known]
    if not cited:
        return ''
    items = ''.join(_item(work, number, prefix) for number, work in enumerate(cited, start=1))
    return f'<ol class="references">{items}</ol>'


def _block(block: str, numbers: dict[str, int], prefix: str) -> str:
    heading = re.match(r'(#{2,4}) (.*)', block)
    if heading:
        # the page has its own headings above these
        level = len(heading[1]) + 2
        return f'<h{level}>{_inline(heading[2], numbers, prefix)}</h{level}>'
    lines = block.splitlines()
    if all(line.startswith('- ') for line in lines):
        items = ''.join(f'<li>{_inline(line[2:], numbers, prefix)}</li>' for line in lines)
        return f'<ul>{items}</ul>'
    return f'<p>{_inline(" ".join(lines), numbers, prefix)}</p>'


def _inline(text: str, numbers: dict[str, int], prefix: str) -> str:
    kept: list[str] = []

    def keep(match: re.Match) -> str:  # out of reach of the patterns below
        kept.append(match[1])
        return f'\x00{len(kept) - 1}\x00'

    text = escape(_ESCAPE.sub(keep, text))
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    text = _CITATION.sub(lambda match: _cite(match[1], numbers, prefix), text)
    return re.sub('\x00(\\d+)\x00', lambda match: escape(kept[int(match[1])]), text)


def _cite(group: str, numbers: dict[str, int], prefix: str) -> str:
    """Return linked numbers; a key that is not in the bibliography stays visible."""
    parts = []
    for key in (part.strip()[1:] for part in group.split(';')):
        if key in numbers:
            parts.append(f'<a href="#{prefix}-{numbers[key]}">{numbers[key]}</a>')
        else:
            parts.append(key)
    return f'<span class="cite">[{", ".join(parts)}]</span>'


def _item(work: Work, number: int, prefix: str) -> str:
    link = f' <a href="{escape(work.url)}">doi:{escape(work.doi)}</a>' if work.doi else ''
    return (
        f'<li id="{prefix}-{number}">{escape(work.authors)}. {escape(work.title)}. '
        f'<em>{escape(work.journal)}</em> {escape(work.source)}.{link}</li>'
    )
