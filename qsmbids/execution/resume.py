"""Before a run goes on in an old work folder: throw away steps whose files are not whole.

Nipype trusts a finished step blindly: an output that was truncated or deleted since is passed
on, and a damaged result file stops every later run. Each step wrote the sizes of its outputs
into ``record.json``; a folder in which something differs is removed, so the step runs again.
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path


def remove_damaged_steps(work_dir: Path) -> list[str]:
    """Remove the folders of damaged steps; return their names relative to the work folder."""
    removed = []
    for result in sorted(work_dir.rglob('result_*.pklz')):
        folder = result.parent
        if not _whole(folder, result):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(str(folder.relative_to(work_dir)))
    return removed


def _whole(folder: Path, result: Path) -> bool:
    try:
        with gzip.open(result, 'rb') as stream:
            while stream.read(1 << 20):
                pass
    except (OSError, EOFError):
        return False
    record = folder / 'record.json'
    try:
        files = json.loads(record.read_text(encoding='utf-8')).get('files', {})
    except FileNotFoundError:
        return True  # failed before it wrote one, or not a step of ours
    except (OSError, ValueError):
        return False
    return all(Path(f).is_file() and Path(f).stat().st_size == n for f, n in files.items())
