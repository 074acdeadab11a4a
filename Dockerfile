# One image for every stage and command, on a cluster or alone.
#   docker build --target cpu --tag rnn-pipeline:cpu .
#   docker build --target gpu --tag rnn-pipeline:gpu .     JAX for CUDA 13; the driver is the host's
#   docker run --rm --volume "$PWD/runs:/app/runs" rnn-pipeline:cpu run --config hello
FROM python:3.11-slim-bookworm AS base
WORKDIR /app
# Any user id may run it: libraries write their caches to HOME.
ENV HOME=/tmp \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1
# What the code needs comes before the code: an edit of the code installs nothing again.
COPY pyproject.toml constraints.txt ./
RUN python3 -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print(*project['dependencies'], *(package for name in sys.argv[1:] for package in extras[name]), sep='\n')" \
    corpus bpe tune > /tmp/requirements.txt \
    && pip install --constraint constraints.txt --requirement /tmp/requirements.txt

FROM base AS gpu
RUN python3 -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['optional-dependencies']['gpu'], sep='\n')" > /tmp/requirements.txt \
    && pip install --constraint constraints.txt --requirement /tmp/requirements.txt
ENV KERAS_BACKEND=jax
COPY . .
ENTRYPOINT ["python3", "run_pipeline.py"]

FROM base AS cpu
COPY . .
ENTRYPOINT ["python3", "run_pipeline.py"]
