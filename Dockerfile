# One image, two stages: the first builds, the second holds only what runs.
# docker build -t whatsync . && docker run -p 127.0.0.1:8600:8600 -v whatsync-data:/data whatsync

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY requirements-build.lock requirements-compile.lock requirements.lock ./
RUN python -m venv /opt/builder \
    && /opt/builder/bin/pip install --quiet --require-hashes -r requirements-build.lock \
    && python -m venv /opt/whatsync \
    && /opt/whatsync/bin/pip install --quiet --require-hashes -r requirements.lock
COPY requirements-node.lock ./
COPY packaging packaging
COPY front front
COPY pyproject.toml README.md CHANGELOG.md ./
COPY src src
RUN python -m venv /opt/node && bash packaging/node.sh /opt/node && bash packaging/front.sh /opt/node/bin --omit=dev
RUN /opt/builder/bin/hatchling build --target wheel --directory dist \
    && /opt/whatsync/bin/pip install --quiet --no-deps --no-index dist/*.whl \
    && /opt/whatsync/bin/python -m compileall -q /opt/whatsync/lib
# What compiles is needed only here; typing-extensions, which it shares with the server, stays.
RUN /opt/whatsync/bin/pip install --quiet --require-hashes -r requirements-compile.lock \
    && /opt/whatsync/bin/python packaging/compile.py \
    && /opt/whatsync/bin/pip uninstall --quiet --yes ast-serialize librt mypy mypy-extensions pathspec setuptools

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 whatsync \
    && useradd --system --uid 10001 --gid whatsync --home-dir /data --shell /usr/sbin/nologin whatsync \
    && install --directory --owner=whatsync --group=whatsync --mode=0700 /data
COPY --from=build /opt/whatsync /opt/whatsync
ENV PATH=/opt/whatsync/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    WHATSYNC_DATA_DIR=/data \
    WHATSYNC_HOST=0.0.0.0 \
    WHATSYNC_PORT=8600
USER whatsync
WORKDIR /data
VOLUME /data
EXPOSE 8600
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['WHATSYNC_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["whatsync"]
CMD ["serve"]
