# syntax=docker/dockerfile:1
#
# Two images:
#   docker build --target demo -t ridematch-demo .        everything on one machine, with PostgreSQL and the console
#   docker build --target service -t ridematch .          the production service, without the sandbox (the default target)
#
# Not built where this project is developed, which has no container runtime: the GitHub workflow `release` is the first to build them.

FROM rust:1.95-slim-bookworm AS source
WORKDIR /src
COPY . .

FROM source AS build-service
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    SQLX_OFFLINE=true CARGO_INCREMENTAL=0 cargo build --locked --release --no-default-features --bin ridematch \
    && cp target/release/ridematch /ridematch

FROM source AS build-demo
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    SQLX_OFFLINE=true CARGO_INCREMENTAL=0 cargo build --locked --release --bin ridematch \
    && cp target/release/ridematch /ridematch

FROM debian:bookworm-slim AS runtime
# Certificates, because the provider is called over TLS.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --create-home ridematch
EXPOSE 8080
# Exec form: SIGTERM reaches the process, which drains and exits within 10 s.
ENTRYPOINT ["ridematch"]

FROM runtime AS demo
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=ridematch --group=ridematch /data
COPY --from=build-demo /ridematch /usr/local/bin/ridematch
USER 10001
VOLUME /data
CMD ["demo", "--listen", "0.0.0.0:8080", "--data-dir", "/data"]

FROM runtime AS service
COPY --from=build-service /ridematch /usr/local/bin/ridematch
USER 10001
# Set RIDEMATCH_ADMIN_LISTEN as well to have /metrics.
ENV RIDEMATCH_LISTEN=0.0.0.0:8080
CMD ["serve"]
