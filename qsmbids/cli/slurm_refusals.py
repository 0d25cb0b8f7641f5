"""Calls that cannot give what the person expects, refused or remarked on before submitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qsmbids.execution.slurm import status
from qsmbids.execution.slurm.errors import SlurmError
from qsmbids.execution.slurm.resources import Request
from qsmbids.execution.slurm.state import State
from qsmbids.execution.slurm.status import Person
from qsmbids.execution.slurm.words import count


def note_little_memory(mem: int | None, requests: Mapping[str, Request]) -> None:
    """Tell that a given memory is below the estimate."""
    short = [name for name, need in requests.items() if mem and mem < need.mem_mb]
    if short:
        others = f' and {count(len(short) - 1, "other")}' if len(short) > 1 else ''
        print(
            f'Note: --mem {mem} MB is less than the estimate for {short[0]}{others}.\n'
            'The program may refuse to begin, or be killed.\n'
            f'The estimate is {max(requests[n].mem_mb for n in short)} MB; without --mem it is '
            'asked for.\n'
        )


def refuse_other_folder(old: State, new: State, live: Sequence[str]) -> None:
    """Refuse another output folder while jobs wait or run that write into the old one.

    Raises
    ------
    SlurmError
    """
    if live and old.plan.get('output_dir') != new.plan['output_dir']:
        raise SlurmError(
            f'Jobs of this work folder still wait or run ({", ".join(live)}) and write into '
            f'{old.plan.get("output_dir")}.\n'
            'Two at once with one work folder would overwrite each other.\n'
            'Give another --work-dir; or wait until they have ended, or stop them with --cancel.'
        )


def refuse_other_options(
    people: Mapping[str, Person], old: State, new: State, names: Sequence[str]
) -> None:
    """Refuse options that make something else of people whose jobs still wait or run.

    Parameters
    ----------
    people : mapping
        Everybody by name, as of now.
    old, new : State
        Before, and with what this call wants.
    names : sequence of str
        Those that this call is about.

    Raises
    ------
    SlurmError
    """
    by_number = {s.number: s for s in new.submissions}
    before = old.plan.get('participants', {})

    def differs(name: str) -> bool:
        asked = new.plan['participants'][name]
        other = by_number[people[name].submission].options != asked['options']
        # written in another way, options may still mean the same
        return other and before.get(name, {}).get('acquisitions') != asked['acquisitions']

    other = [name for name in names if people[name].kind in status.WAITING and differs(name)]
    if other:
        more = f' and {len(other) - 1} more' if len(other) > 1 else ''
        options = by_number[people[other[0]].submission].options or 'none'
        raise SlurmError(
            f'{other[0]}{more} still {"wait or run" if more else "waits or runs"} with other '
            f'options: {options}.\n'
            'Those jobs do not make what is asked for now, and two at once would overwrite each '
            'other.\n'
            'Wait until they have ended, or stop them with --cancel; then give this command again.'
        )


def refuse_too_little(
    mem: int, people: Mapping[str, Person], needed: Mapping[str, Request], state: State
) -> None:
    """Refuse a --mem with which the program has already refused to begin.

    Raises
    ------
    SlurmError
    """
    by_number = {s.number: s for s in state.submissions}
    short = [
        name
        for name, need in needed.items()
        if people[name].refused and mem <= by_number[people[name].submission].request.mem_mb
        and mem < need.mem_mb
    ]  # fmt: skip
    if short:
        others = f' and {count(len(short) - 1, "other")}' if len(short) > 1 else ''
        raise SlurmError(
            f'--mem {mem} MB cannot succeed for {short[0]}{others}: with so much the program '
            'has refused to begin.\n'
            'It would do so again; nothing was submitted.\n'
            f'Leave --mem out, which asks for {max(needed[n].mem_mb for n in short)} MB, or give '
            'more.'
        )
