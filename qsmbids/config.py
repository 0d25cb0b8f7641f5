"""Everything a run was asked to do, as one frozen value that is passed explicitly."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsmbids import methods
from qsmbids.lifespan.iron import DEFAULT_SLOPE
from qsmbids.lifespan.norms import NormSet

REFERENCES = ('whole-brain', 'csf', 'csf-r2star', 'none')  # or the name of any atlas region
REFERENCES_WITHOUT_ATLAS = ('whole-brain', 'csf-r2star', 'none')
BRAIN_MASKS = ('bet', 'threshold', 'quality', 'atlas', 'user')  # names in --mask
REGISTRATION_PRESETS = ('fast', 'standard', 'precise')
AGE_INTERPOLATION = ('auto', 'on', 'off')
HAEMATOCRIT = 0.40  # volume fraction of red cells in blood, adults of both sexes
HEMISPHERES = ('average', 'separate')
MEASURES = ('mean', 'median', 'trimmed_mean', 'core_mean')  # columns of the region tables
REPEATABILITY_PPB = 3.6  # SD of a repeated measurement; see qsmbids.group.longitudinal
DEFAULT_SEED = 2018
CLUSTERS = ('slurm',)
SHARED_STAGES = ('mask', 'contrast')  # several methods at once, one set of overrides


@dataclass(frozen=True)
class GroupOptions:
    """What the group level was asked beyond merging; see the options of the same names."""

    hemispheres: str = HEMISPHERES[0]
    measure: str = MEASURES[0]
    curves: tuple[str, ...] = ()  # those of each kind of region
    robust: bool = False
    fit_norms: Path | None = None
    iron: bool = False
    iron_slope_ppb: float = DEFAULT_SLOPE
    iron_offset_ppb: float = 0.0
    models: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    roc: tuple[str, ...] = ()
    harmonize: str = ''
    repeatability_ppb: float = REPEATABILITY_PPB


@dataclass(frozen=True)
class Config:
    """Settings of one run.

    Attributes with a unit say it; paths are absolute. ``methods`` maps a stage to the
    chosen method, ``params`` maps a stage to overrides of that method's defaults.
    """

    bids_dir: Path
    output_dir: Path
    work_dir: Path
    levels: tuple[str, ...] = ('participant',)
    participant_labels: tuple[str, ...] = ()
    session_labels: tuple[str, ...] = ()
    filters: Mapping[str, Any] | None = None
    derivatives: Mapping[str, Path] = field(default_factory=dict)
    mask_derivatives: str = ''  # the name in derivatives that must have a mask for each scan
    methods: Mapping[str, str] = field(default_factory=lambda: dict(methods.DEFAULT_METHODS))
    params: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mask: str = ''  # expression of the mask grammar; '' = a given mask, or bet
    bipolar: str = 'auto'  # 'on', 'off', or what the sidecar says
    two_pass: bool = False
    contrasts: tuple[str, ...] = ()
    reference: str = 'whole-brain'
    age_years: float | None = None
    strict_age: bool = False
    atlas: str = 'QSMLifespan'
    atlas_cache: Path | None = None  # None: the environment or the installation
    cohort: str = ''
    age_interpolation: str = 'auto'  # 'on', 'off', or on where cohorts share one space
    haematocrit: float = HAEMATOCRIT
    build_atlas: str = ''  # name of the atlas that the group level builds
    atlas_licence: str = ''
    norms: NormSet | None = None  # to compare each person with
    group: GroupOptions = field(default_factory=GroupOptions)
    registration: str = 'standard'
    recon_only: bool = False
    cosmos: bool = False
    phase_sign: str = 'auto'
    b0_dir: tuple[float, float, float] | None = None
    field_strength_t: float | None = None
    random_seed: int = DEFAULT_SEED
    nprocs: int = 1
    omp_nthreads: int = 1
    mem_gb: float = 4.0
    cpu_source: str = ''  # where the two limits come from, in words
    mem_source: str = ''
    plugin_file: Path | None = None
    cluster: str = ''  # 'slurm': each step is a job of its own
    cluster_args: str = ''  # further options of its jobs
    clean_workdir: bool = False
    wait_minutes: float = 0.0  # for another run to leave the work folder
    keep_work: bool = False  # keep the steps of finished acquisitions
    redo: bool = False  # repeat finished acquisitions
    resource_monitor: bool = False
    stop_on_first_crash: bool = False
    reports_only: bool = False
    dry_run: bool = False
    verbose: int = 0
    command: str = ''
    run_id: str = ''

    def method(self, stage: str, name: str = '') -> methods.Method:
        """Return the chosen method of a stage, or another one of that stage."""
        return methods.get(stage, name or self.methods[stage])

    def has(self, stage: str) -> bool:
        """Return whether a stage that may be left out is wanted."""
        return bool(self.methods.get(stage))

    def parameters(self, stage: str, name: str = '') -> dict[str, Any]:
        """Return the parameters of a stage's method, overrides included, as a plain dict.

        Where a stage may use several methods at once (masks, contrasts), an override counts
        for each of them that has the parameter.
        """
        method, overrides = self.method(stage, name), self.params.get(stage) or {}
        if stage in SHARED_STAGES:
            overrides = {k: v for k, v in overrides.items() if k in method.parameter_names()}
        return dataclasses.asdict(method.make_parameters(overrides))

    def code_version(self, stage: str, name: str = '') -> str:
        """Return what identifies the code of a stage in the work folder's cache."""
        method = self.method(stage, name)
        return f'{method.name}-{method.version}'
