# The module and its program in the official Redis image:
#   docker build -t holdfast . && docker run -p 127.0.0.1:6379:6379 holdfast
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libclang-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --workspace \
 && install -D -t /out target/release/libholdfast.so target/release/holdfast \
 && strip --strip-debug /out/*

# The entry point of this image drops root for the user redis before the server starts, and loads the modules of Redis 8,
# RedisTimeSeries among them.
FROM redis:8.2-bookworm
COPY --from=build /out/libholdfast.so /usr/local/lib/holdfast/libholdfast.so
COPY --from=build /out/holdfast /usr/local/bin/holdfast
# A server that needs a password replies NOAUTH: it is up, too.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD redis-cli ping 2>&1 | grep -qE 'PONG|NOAUTH'
CMD ["redis-server", "--loadmodule", "/usr/local/lib/holdfast/libholdfast.so", "--appendonly", "yes", "--dir", "/data"]
