# The service with its MongoDB, PostgreSQL and Redis adapters. `docker build .`, then `docker run` it, or see docker-compose.yml.
# PYTHON may name a digest: --build-arg PYTHON=python:3.13.7-slim-bookworm@sha256:...
ARG PYTHON=python:3.13.7-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement requirements/build.lock \
    && python -m venv --without-pip /opt/songs \
    && /opt/build/bin/pip --python /opt/songs install --require-hashes --requirement requirements/runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY adapters adapters
COPY entrypoints entrypoints
COPY contract_tests contract_tests
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /dist . \
    && /opt/build/bin/pip --python /opt/songs install --no-index --no-deps /dist/*.whl

# What holds an adapter to its contract: `docker build --target contract .`, then `docker run IMAGE contract mongo`.
FROM build AS contract
COPY requirements/contract.lock requirements/
RUN /opt/build/bin/pip --python /opt/songs install --require-hashes --requirement requirements/contract.lock \
    && groupadd --gid 10001 songs && useradd --uid 10001 --gid 10001 --no-create-home songs
ENV PATH=/opt/songs/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["songs"]
CMD ["contract", "--help"]

# The kit and the templates of new adapters are for developers.
FROM build AS service
RUN cd /opt/songs/lib/python3*/site-packages && rm -r songs_contract songs_plugins/templates

FROM ${PYTHON}
# A volume that is new takes over the owner of the folder: the default storage is a file in it.
RUN groupadd --gid 10001 songs \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin songs \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=service /opt/songs /opt/songs
USER 10001:10001
WORKDIR /data
ENV PATH=/opt/songs/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SONGS_HOST=0.0.0.0 SONGS_PORT=8000 SONGS_SQLITE_PATH=/data/songs.db SONGS_AUDIT_LOG=/proc/1/fd/2
EXPOSE 8000
# Without site-packages Python starts in a fraction of the time, which every check takes.
HEALTHCHECK --interval=3s --timeout=3s --start-period=60s --retries=3 CMD ["/opt/songs/bin/python", "-ISc", "\
import os, socket; \
peer = socket.create_connection(('127.0.0.1', int(os.environ.get('SONGS_PORT') or 8000)), 2); \
peer.settimeout(2); \
peer.sendall(b'GET /api/v1/health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'); \
raise SystemExit(b' 200 ' not in peer.recv(64))"]
ENTRYPOINT ["songs"]
CMD ["serve"]
