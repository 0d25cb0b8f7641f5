# The qsmbids image: a virtual environment on a slim Python, nothing else.
#
#   docker build -t qsmbids .
#   docker run --rm -v "$PWD/bids:/data:ro" -v "$PWD/out:/out" -u "$(id -u):$(id -g)" \
#       qsmbids /data /out participant -w /out/work
#
# Atlases that can be fetched are downloaded while building and become part of the image; without
# network, or to leave them out: --build-arg FETCH_ATLASES=0.
#
# A release build passes a base image by digest: --build-arg BASE=python:...@sha256:...
ARG BASE=python:3.11-slim-bookworm

# ---------------------------------------------------------------------------------- build
FROM ${BASE} AS build

RUN python3 -m venv /opt/qsmbids
ENV PATH=/opt/qsmbids/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src

# The dependencies are a layer of their own: a change of the program does not fetch them again.
COPY pyproject.toml ./
RUN python3 -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], sep='\n')" > /tmp/requirements.txt \
    && python3 -m pip install --no-compile --requirement /tmp/requirements.txt

# The packages' own tests are a fifth of the whole (212 MB), and nothing outside them uses them;
# what packages offer to the tests of others is in folders named `testing`, which stay.
# The rest is compiled because a read-only root cannot keep .pyc files: without them every
# process, each worker included, spends seconds on compiling what it imports.
RUN find /opt/qsmbids/lib -depth -type d \( -name tests -o -path '*/joblib/test' \) \
        -exec rm -r {} + \
    && python3 -m compileall -q -j 2 /opt/qsmbids

COPY LICENSE README.md ./
COPY qsmbids ./qsmbids
RUN python3 -m pip install --no-compile --no-deps . \
    && python3 -m compileall -q -j 2 /opt/qsmbids

# The loops of all methods, compiled for a processor model that nearly all x86-64 machines can
# stand in for (AVX2). A run copies them (3 MB) into its work folder and compiles nothing.
# -P: those of the installed package, whose path is part of the cache, not of the sources here.
RUN python3 -P -m qsmbids.cli.warm_cache

# Fetched atlases go to /opt/qsmbids/share/qsmbids/atlases, where the program looks by itself.
# A site behind a firewall names its own server in QSMBIDS_ATLAS_MIRROR. The Allen atlas is
# promised; CIT168 comes along if its source can be reached.
ARG FETCH_ATLASES=1
ARG QSMBIDS_ATLAS_MIRROR=""
RUN if [ "$FETCH_ATLASES" != 0 ]; then \
        export OMP_NUM_THREADS=1 NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib; \
        qsmbids-atlas fetch QSMLifespanAllen \
        && { qsmbids-atlas fetch QSMLifespanCIT168 || echo 'CIT168 is left out' >&2; } \
        || { echo 'To build without them: --build-arg FETCH_ATLASES=0' >&2; exit 1; }; \
    fi

# What only builds needed: pip and setuptools (27 MB). The programs start Python so that it
# ignores PYTHONPATH and the like: Apptainer passes on what the host has set.
RUN python3 -m pip uninstall --yes --quiet setuptools pip \
    && rm -rf /opt/qsmbids/lib/python3*/site-packages/_distutils_hack \
    && sed -i '1s/$/ -EsBu/' /opt/qsmbids/bin/qsmbids*

# --------------------------------------------------------------------------------- image
FROM ${BASE}

# The standard library too, for the same reason; its tests hold files for Python 2.
RUN python3 -m compileall -q -j 2 -x '/tests?/|/lib2to3/|/site-packages/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"

COPY --from=build /opt/qsmbids /opt/qsmbids

# A virtual environment does not see ~/.local of the host, PYTHONNOUSERSITE says it twice.
# One thread per library: the program gives threads where they help. HOME and MPLCONFIGDIR are
# only for work by hand inside the image: the program keeps its caches in its work folder,
# which is why NUMBA_CACHE_DIR is not set here.
ENV PATH=/opt/qsmbids/bin:$PATH \
    LANG=C.UTF-8 \
    PYTHONNOUSERSITE=1 \
    PYTHONPATH="" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    NUMEXPR_NUM_THREADS=1 \
    ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1 \
    NIPYPE_NO_ET=1 \
    NO_ET=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib

# The program is Apache-2.0. The built-in atlas and the fetched ones are CC BY 4.0: Allen Human
# Reference Atlas (doi 10.1002/cne.24080), CIT168 (doi 10.1038/sdata.2018.63). `qsmbids-atlas
# info NAME` prints licence, citation and origin of each.
ARG VERSION=""
ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
ARG QSMBIDS_CONTAINER_TAG=""
ENV QSMBIDS_CONTAINER_TAG=${QSMBIDS_CONTAINER_TAG}
LABEL org.opencontainers.image.title="qsmbids" \
      org.opencontainers.image.description="A BIDS App from raw multi-echo GRE to age-aware quantitative susceptibility maps" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-4.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.url="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE:+${SOURCE}/tree/main/docs}"

# Any other uid works as well (docker run -u, Apptainer): nothing in the image is private.
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["qsmbids"]
