# The module and its program in the official image of a server:
#   docker build -t holdfast .                   Redis
#   docker build -t holdfast --target valkey .   Valkey
#   docker run -p 127.0.0.1:6379:6379 -v holdfast:/data holdfast
# Nothing in it runs as root. `make test` runs the steps of this file without Docker, and `make test-image` optimised.
FROM rust:1.95.0-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libclang-dev python3 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --workspace \
 && install -D -t /out target/release/libholdfast.so target/release/holdfast \
 && strip --strip-debug /out/* \
 && { cat LICENSE && echo && scripts/third-party "$(rustc -vV | sed -n 's/^host: //p')"; } >/out/copyright

FROM valkey/valkey:9.1.0-trixie AS valkey
COPY --from=build /out/libholdfast.so /usr/local/lib/holdfast/libholdfast.so
COPY --from=build /out/holdfast /usr/local/bin/holdfast
COPY --from=build /out/copyright /usr/local/share/doc/holdfast/copyright
USER valkey
# A server that needs a password replies NOAUTH: it is up, too.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD valkey-cli ping 2>&1 | grep -qE 'PONG|NOAUTH'
CMD ["valkey-server", "--loadmodule", "/usr/local/lib/holdfast/libholdfast.so", "--appendonly", "yes", "--dir", "/data"]

# The entry point of this image loads the modules of Redis 8 too, RedisTimeSeries among them.
FROM redis:8.2.3-bookworm AS redis
COPY --from=build /out/libholdfast.so /usr/local/lib/holdfast/libholdfast.so
COPY --from=build /out/holdfast /usr/local/bin/holdfast
COPY --from=build /out/copyright /usr/local/share/doc/holdfast/copyright
USER redis
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD redis-cli ping 2>&1 | grep -qE 'PONG|NOAUTH'
CMD ["redis-server", "--loadmodule", "/usr/local/lib/holdfast/libholdfast.so", "--appendonly", "yes", "--dir", "/data"]
