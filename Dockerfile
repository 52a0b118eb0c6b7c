# syntax=docker/dockerfile:1

# The service alone: without the sandbox, the payment simulator and the private database.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    SQLX_OFFLINE=true cargo build --locked --release --no-default-features --bin ridematch \
    && cp target/release/ridematch /ridematch

FROM debian:bookworm-slim
# The provider is called over TLS.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group ridematch
COPY --from=build /ridematch /usr/local/bin/ridematch
USER 10001
ENV RIDEMATCH_LISTEN=0.0.0.0:8080
EXPOSE 8080
# Exec form: SIGTERM reaches the service, which drains and ends within 10 s.
ENTRYPOINT ["ridematch"]
CMD ["serve"]
