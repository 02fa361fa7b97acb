# The service with its MongoDB and Redis adapters. `docker build .`, then `docker run` it, or see docker-compose.yml.
FROM python:3.13.7-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY adapters adapters
COPY entrypoints entrypoints
COPY contract_tests contract_tests
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.13.7-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/runtime.lock /tmp/runtime.lock
RUN pip install --require-hashes --requirement /tmp/runtime.lock && rm /tmp/runtime.lock
COPY --from=build /dist /tmp/dist
RUN pip install --no-deps /tmp/dist/*.whl && rm -r /tmp/dist \
    && useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin songs
USER 10001
WORKDIR /
ENV SONGS_HOST=0.0.0.0 SONGS_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/api/v1/health', timeout=4)"]
ENTRYPOINT ["songs"]
CMD ["serve"]
