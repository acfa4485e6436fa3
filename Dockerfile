# syntax=docker/dockerfile:1
# An image with the server, the libraries that it needs, and nothing else: no shell, no package manager, not root.
# `cargo xtask package image` runs these very steps in a chroot.
#
#   docker build -t damselfly .
#   docker run -p 6379:6379 -v damselfly:/data -e DFLY_requirepass=secret damselfly
#
# Flags are set by DFLY_<flag> in the environment, or as arguments. `damselfly --healthcheck=ready` inside (of whoever has the same
# environment) says whether a replica is in sync; the check below asks for a sign of life only, so that loading is no illness.

FROM rust:1.95-slim-bookworm AS build
ARG PROFILE=release
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --package damselfly-server --bin damselfly --profile "$PROFILE" && \
    packaging/docker/collect "target/$(test "$PROFILE" = dev && echo debug || echo "$PROFILE")/damselfly" /image

FROM scratch
COPY --from=build --chown=0:0 /image /
COPY --from=build --chown=999:999 /image/data /data
ENV DFLY_dir=/data DFLY_dbfilename=dump
WORKDIR /data
VOLUME /data
USER 999:999
EXPOSE 6379
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/usr/bin/damselfly", "--healthcheck=live"]
ENTRYPOINT ["/usr/bin/damselfly"]
