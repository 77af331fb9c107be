# Sourced by scripts that take programs out of Debian's packages, of any release and architecture: the packages are
# unpacked and never installed, and nothing of the system's changes. Keeps the lists of packages in $work.
MIRROR=http://deb.debian.org/debian
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
# The libraries that the servers need.
LIBRARIES=(libc6 libgcc-s1 libstdc++6 libatomic1 libssl3t64 libzstd1 zlib1g libsystemd0 libcap2 libjemalloc2 liblzf1)

apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root \
    -o APT::Architecture="${ARCHITECTURE:-$(dpkg --print-architecture)}" "$@"
}

# know_packages RELEASE …: once.
know_packages() {
  [ ! -e "$work/sources.list" ] || return 0
  mkdir -p "$work"/lists/partial "$work"/cache/archives/partial
  printf "deb [signed-by=$KEYS] $MIRROR %s main\n" "$@" >"$work/sources.list"
  apt update
}

# unpack DIR PACKAGE/RELEASE …: into DIR/root.
unpack() {
  local to=$1 file
  mkdir -p "$to"
  (cd "$to" && apt download "${@:2}")
  for file in "$to"/*.deb; do dpkg -x "$file" "$to/root"; done
}

# The program under $1 that Debian also installs under the names of the checks of files.
server_program() {
  find "$1" -name '*-check-rdb' -type f
}
