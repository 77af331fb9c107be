#!/usr/bin/env bash
# tests/package.sh MODULE PROGRAM  tests what scripts/package makes of them: what is in it, that it is the same each
#                                  time, and that a server starts with it in the ways that it documents.
# For another machine than this one, REDIS_SERVER names the server, RUN what runs a program, and OBJCOPY and OBJDUMP
# what scripts/package needs.
set -euo pipefail
repo=$(realpath "$(dirname "$0")/..")
module=$(realpath "${1:?which module}")
program=$(realpath "${2:?which program}")
redis_server=${REDIS_SERVER:-redis-server}
run=${RUN-}
page=$repo/packaging/README.md
place=$(mktemp -d)
server= watch=
trap 'kill $server $watch 2>/dev/null || true; wait; rm -rf "$place"' EXIT
checks=0

fail() {
  echo "failed: $*" >&2
  exit 1
}

check() { # check WHAT COMMAND …
  "${@:2}" || fail "$1"
  checks=$((checks + 1))
}

# The module's own reply tells that it is loaded: a server without it does not know the command.
knows_holdfast() { # knows_holdfast SOCKET
  [ "$(redis-cli -s "$1" INV.SET shop sku 3 2>&1)" = 3 ]
}

# start CONFIG [OPTION …]: a server on a socket in $place, up when it has answered; false if it ends.
start() {
  "$redis_server" "$@" --port 0 --unixsocket "$place/socket" --dir "$place" --save '' >"$place/log" 2>&1 &
  server=$!
  until redis-cli -s "$place/socket" PING >/dev/null 2>&1; do
    kill -0 "$server" 2>/dev/null || { server=; return 1; }
    sleep 0.02
  done
}

stop() {
  kill "$server"
  wait "$server" || true
  server=
}

package() {
  "$repo/scripts/package" "$module" "$program" "$1" >/dev/null
}

holds_the_files() {
  local list
  list=$(dpkg-deb -c "$place"/first/*.deb | awk '{ print $1, $2, $6 }')
  while read -r line; do
    grep -qxF -- "$line" <<<"$list" || fail "the package has no $line:"$'\n'"$list"
  done <<'FILES'
-rwxr-xr-x root/root ./usr/lib/redis/modules/libholdfast.so
-rwxr-xr-x root/root ./usr/bin/holdfast
-rw-r--r-- root/root ./usr/share/holdfast/load-module
-rw-r--r-- root/root ./usr/share/holdfast/redis-server.conf
-rw-r--r-- root/root ./usr/share/holdfast/valkey-server.conf
-rw-r--r-- root/root ./usr/lib/systemd/system/holdfast-watch.service
-rw------- root/root ./etc/default/holdfast-watch
-rw-r--r-- root/root ./usr/share/doc/holdfast/copyright
-rw-r--r-- root/root ./usr/share/doc/holdfast/redis.conf.example
FILES
}

# put_drop_in KIND: puts the drop-in where the page says, with the files of $place instead of the system's.
put_drop_in() {
  local line
  line=$(grep -m 1 '^install ' "$page") || fail "the page does not say how to take the drop-in"
  line=${line//redis-server/$1-server}
  line=${line// \/usr\// $root/usr/}
  eval "${line// \/etc\// $place/etc/}" || fail "the page's line does not work: $line"
}

# before_start KIND: what the drop-in runs before each start.
before_start() {
  local command
  command=$(sed -n "s|^ExecStartPre=+/bin/sh ||p" "$place/etc/systemd/system/$1-server.service.d/holdfast.conf")
  [ -n "$command" ] || fail "systemd finds no drop-in of $1-server"
  command=${command//\/usr\/share/$root/usr/share}
  command=${command//\/etc\/$1/$place/etc}
  # shellcheck disable=SC2086 # words, as systemd splits them
  sh $command "$root/usr/lib/redis/modules/libholdfast.so"
}

loads_once() { # loads_once KIND
  local round file=$place/etc/$1.conf
  rm -rf "$place/etc"
  mkdir "$place/etc"
  put_drop_in "$1"
  # A file as the server's package has it, whose last line has no end.
  printf 'databases 4' >"$file"
  # CONFIG REWRITE, as Sentinel does it, writes a line of its own.
  for round in 1 2 3; do
    before_start "$1"
    start "$file" || fail "start $round: $(tail -n 3 "$place/log")"
    knows_holdfast "$place/socket" || fail "start $round: the module is not loaded"
    redis-cli -s "$place/socket" CONFIG REWRITE >/dev/null
    stop
  done
  [ "$(grep -c '^loadmodule' "$file")" = 1 ] || fail "loadmodule is there more than once"
}

leaves_alone_what_another_file_loads() {
  mkdir -p "$place/etc/conf.d"
  put_drop_in redis
  printf 'include %s/etc/conf.d/shop.conf\n' "$place" >"$place/etc/redis.conf"
  echo "loadmodule $root/usr/lib/redis/modules/libholdfast.so" >"$place/etc/conf.d/shop.conf"
  before_start redis
  start "$place/etc/redis.conf" || fail "$(tail -n 3 "$place/log")"
  knows_holdfast "$place/socket" || fail "the module is not loaded"
  stop
}

# Every line of the page's blocks is tried, with the package's files and the folders of $place.
page_is_true() {
  local line lines=0
  while read -r line; do
    lines=$((lines + 1))
    case $line in
    'apt install ./target/package/'*) [ -n "$(cd "$place/first" && compgen -G "${line##*/}")" ] ;;
    'loadmodule '*) loads_by_hand "$line" ;;
    # See put_drop_in.
    'install -Dm644 '*) ;;
    'systemctl daemon-reload && systemctl restart '*) grep -q "^install .*/${line##* }\.service\.d/" "$page" ;;
    'systemctl enable --now '*) grep -q '^WantedBy=' "$root/usr/lib/systemd/system/${line##* }.service" ;;
    *) fail "a line of the page that no test knows: $line" ;;
    esac || fail "the page says: $line"
  done < <(sed -n '/^```/,/^```$/{/^```/!p}' "$page")
  [ "$lines" -ge 5 ] || fail "$lines lines of the page were read"
  names_what_is_there
}

# The page's line in a server's file loads the module; on the command line too, it keeps the server from starting.
loads_by_hand() { # loads_by_hand LINE
  local path=$root${1#loadmodule }
  echo "loadmodule $path" >"$place/by-hand.conf"
  start "$place/by-hand.conf" || fail "$(tail -n 3 "$place/log")"
  knows_holdfast "$place/socket" || fail "the module is not loaded"
  stop
  ! start "$place/by-hand.conf" --loadmodule "$path" || fail "a server that loads the module twice starts"
}

# The files that the page names are in the packages, and its targets of make are there.
names_what_is_there() {
  local name list
  for name in $(grep -oE '`/(usr|etc)/[^` ]+`' "$page" | tr -d '`'); do
    [ -e "$root$name" ] || fail "the package has no $name"
  done
  list=$(tar -tzf "$place"/first/*.tar.gz)
  for name in $(sed -n 's/^| tarball | `[^`]*` |//p' "$page" | grep -oE '`[^`]+`' | tr -d '`'); do
    grep -q "/$name$" <<<"$list" || fail "the tarball has no $name"
  done
  for name in $(grep -oE '`make [a-z0-9-]+' "$page" | cut -d ' ' -f 2); do
    grep -q "^$name:" "$repo/Makefile" || fail "there is no target $name"
  done
}

# What runs when the package is installed or removed: nothing.
starts_nothing() {
  dpkg-deb -e "$place"/first/*.deb "$place/control"
  [ "$(ls "$place/control")" = $'conffiles\ncontrol' ]
}

# The settings that redis.conf.example recommends; only its paths are this test's.
example_works() {
  tar -xzf "$place"/first/*.tar.gz -C "$place"
  local tree
  tree=$(echo "$place"/holdfast-*/)
  sed -E "s|^loadmodule .*libholdfast.so|loadmodule ${tree}libholdfast.so|" "${tree}redis.conf.example" \
    >"$place/example.conf"
  start "$place/example.conf" || fail "$(tail -n 3 "$place/log")"
  knows_holdfast "$place/socket" || fail "the module is not loaded"
  stop
  $run "${tree}holdfast" --version >/dev/null
}

units_are_valid() {
  command -v systemd-analyze >/dev/null || { echo "skipped: systemd-analyze is not here"; return 0; }
  local unit=$place/holdfast-watch.service
  sed "s|/usr/bin/holdfast|$root/usr/bin/holdfast|" "$root/usr/lib/systemd/system/holdfast-watch.service" >"$unit"
  systemd-analyze verify --man=no "$unit" 2>&1 | tee "$place/verify" >&2
  ! grep -q holdfast "$place/verify"
}

# What the unit runs, with the settings that the package has and those that a shop adds.
watches() {
  local command port
  start --loadmodule "$root/usr/lib/redis/modules/libholdfast.so"
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  {
    cat "$root/etc/default/holdfast-watch"
    printf 'HOLDFAST_URL=unix://%s\nHOLDFAST_WATCH_PASSWORD=secret\n' "$place/socket"
    printf 'WATCH_OPTIONS="--listen 127.0.0.1:%s"\n' "$port"
  } >"$place/default"
  command=$(sed -n 's|^ExecStart=||p' "$root/usr/lib/systemd/system/holdfast-watch.service")
  (
    set -a
    # shellcheck disable=SC1091 # it was made above
    . "$place/default"
    # shellcheck disable=SC2086,SC2046 # words, as systemd splits them
    exec $run $root$(eval echo $command)
  ) >"$place/watch.log" 2>&1 &
  watch=$!
  until answers "$port" secret 200; do
    kill -0 "$watch" 2>/dev/null || fail "$(cat "$place/watch.log")"
    sleep 0.02
  done
  answers "$port" wrong 401 || fail "the page asks for no password"
  kill "$watch"
  wait "$watch" || true
  stop
}

answers() { # answers PORT PASSWORD STATUS: whether a look at the page's readiness gives that
  python3 - "$@" <<'LOOK'
import base64, sys, urllib.error, urllib.request
port, password, status = sys.argv[1:]
word = base64.b64encode(f"any:{password}".encode()).decode()
look = urllib.request.Request(f"http://127.0.0.1:{port}/api/stores", headers={"Authorization": f"Basic {word}"})
try:
    found = urllib.request.urlopen(look).status
except urllib.error.HTTPError as error:
    found = error.code
except OSError:
    found = None
sys.exit(str(found) != status)
LOOK
}

# A secret that is an argument could be read by every user.
no_secret_is_an_argument() {
  ! grep -E '^Exec.*(URL|PASSWORD)' "$root/usr/lib/systemd/system/holdfast-watch.service"
}

is_small() {
  local files=("$root/usr/bin/holdfast" "$root/usr/lib/redis/modules/libholdfast.so")
  [ -z "$("${OBJDUMP:-objdump}" -h "${files[@]}" | grep debug_info)" ]
}

# Our own licence, and the text of each other one: of a crate, of the page's script, of Rust. Tests are not built in.
names_the_licences() {
  local file=$root/usr/share/doc/holdfast/copyright name
  for name in 'The Holdfast authors' '^redis-module [0-9.]*: BSD-3-Clause' '^ring [0-9.]*: Apache-2.0 AND ISC' \
    'Copyright .* Redis Labs' 'Leon Sorokin' "Rust's standard library: MIT"; do
    grep -q "$name" "$file" || fail "the licences do not have: $name"
  done
  ! grep -q '^proptest ' "$file" || fail "the licences name proptest, which is for tests"
  tar -xzOf "$place"/first/*.tar.gz --wildcards '*/THIRD-PARTY' | cmp - "$file"
}

package "$place/first"
package "$place/second"
root=$place/root
dpkg-deb -x "$place"/first/*.deb "$root"
check "two packages of the same files are the same" diff -r "$place/first" "$place/second"
check "it has its files" holds_the_files
check "it has the licences of what is built in" names_the_licences
check "it has no debug information" is_small
check "redis-server's drop-in loads the module once" loads_once redis
check "valkey-server's drop-in loads the module once" loads_once valkey
check "a drop-in leaves alone what another file loads" leaves_alone_what_another_file_loads
check "the page says what is so" page_is_true
check "the package starts nothing" starts_nothing
check "a server starts with the example's settings" example_works
check "the unit's program watches with its settings" watches
check "no secret is an argument" no_secret_is_an_argument
check "systemd reads the units" units_are_valid
echo "package: $checks checks passed"
