"""What a job of ``qsmbids-slurm`` runs, where, and in which folders."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from qsmbids.cli.slurm_arguments import Passed, needed_paths, paths_in
from qsmbids.cli.slurm_plan import planned_mb
from qsmbids.config import Config
from qsmbids.execution.slurm.element import NAME
from qsmbids.execution.slurm.errors import SlurmError
from qsmbids.execution.slurm.resources import Request
from qsmbids.execution.slurm.script import Container, Site
from qsmbids.execution.slurm.state import GROUP, RECORD, folder_of
from qsmbids.execution.slurm.submit import Task


def make_task(own: argparse.Namespace, passed: Passed, said: str) -> Task:
    """Return what all submissions of one call share.

    Raises
    ------
    SlurmError
        If a path cannot be bound into the container.
    """
    container, environment = None, {}
    if own.image is not None:
        read_only, writable = needed_paths(passed.config)
        read_only += [
            p
            for p in paths_in((*passed.participant, *passed.group))
            if not any(p.is_relative_to(known) for known in (*read_only, *writable))
        ]
        for path in (*read_only, *writable):
            if ':' in str(path) or ',' in str(path):
                raise SlurmError(
                    f'{path} has a colon or a comma in its name.\n'
                    'Apptainer takes these as ends of a path, so the image could not see it.\n'
                    'Rename the folder, or give another path to it (a link without them).'
                )
        container = Container(own.image, list(dict.fromkeys(read_only)), writable)
    elif 'PYTHONPATH' in os.environ:
        environment = {'PYTHONPATH': os.environ['PYTHONPATH']}
    python = 'python' if container else sys.executable
    site = Site(own.partition, own.account, own.sbatch_args, own.setup)
    return Task(
        passed.config.work_dir, said, passed.options, passed.group_options, python, own.cpus,
        site, container, environment,
    )  # fmt: skip


def person_command(task: Task, passed: Passed, request: Request) -> list[str]:
    """Return what an element runs for a person, whose name is filled in there."""
    head = _head(task, passed.config, 'participant', request)
    work = passed.config.work_dir / NAME
    return [*head, '--participant-label', NAME, '--work-dir', str(work), *passed.participant]


def group_command(task: Task, passed: Passed, request: Request) -> list[str]:
    """Return what the job of the group level runs."""
    head = _head(task, passed.config, 'group', request)
    return [*head, '--work-dir', str(passed.config.work_dir / GROUP), *passed.group]


def _head(task: Task, config: Config, level: str, request: Request) -> list[str]:
    start = [task.python, '-m', 'qsmbids', str(config.bids_dir), str(config.output_dir), level]
    limits = ['--nprocs', str(request.cpus), '--mem', f'{planned_mb(request.mem_mb)}M']
    return [*start, *limits]


def check_folders(config: Config, image: Path | None) -> None:
    """Make the folders; refuse those that cannot be written to, doubt those of one computer."""
    for folder in (config.output_dir, config.work_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, 'no permission')
        except OSError as error:
            raise SlurmError(
                f'{folder} cannot be written to: {error.strerror}.\n'
                'The jobs write their files there.\n'
                'Give folders that you may write to, on a file system that all nodes see.'
            ) from None
    if (folder_of(config.work_dir) / RECORD).is_file():
        return  # was said at the first call
    needed = [config.bids_dir, config.output_dir, config.work_dir, *([image] if image else [])]
    local = [str(path) for path in needed if _of_one_computer(path)]
    if local:
        print(
            f'Note: usually not the same on every node: {", ".join(local)}.\n'
            'Each node must see the dataset, the output folder, the work folder and the image.\n'
            'If jobs end before they begin, give those on a shared file system.'
        )


def _of_one_computer(path: Path) -> bool:
    return any(path.is_relative_to(place) for place in ('/tmp', '/var/tmp', '/dev/shm'))
