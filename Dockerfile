# The module in the official Redis image:  docker build -t holdfast . && docker run -p 6379:6379 holdfast
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libclang-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --workspace

FROM redis:8-bookworm
COPY --from=build /src/target/release/libholdfast.so /usr/lib/redis/modules/libholdfast.so
COPY --from=build /src/target/release/holdfast /usr/local/bin/holdfast
CMD ["redis-server", "--loadmodule", "/usr/lib/redis/modules/libholdfast.so", "--appendonly", "yes", "--dir", "/data"]
