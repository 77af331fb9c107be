#!/usr/bin/env python3
"""Runs every step of the Dockerfile in bare Debian roots, where no Docker is.

usage: tests/image.py [--quick] DIR    DIR keeps bare roots and what cargo fetched; as root, on Debian, with debootstrap

--quick: cargo does not optimise, which would take minutes.

The official images that the steps start from cannot be had so. In their place stand Debian of the release that the
image's tag names, this machine's Rust, and Debian's own package of the server. Each image's command is started as the
image's user, must become healthy, and must know the module's commands.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
RUST = "/usr/local/rust"
NOT_OPTIMISED = ["CARGO_PROFILE_RELEASE_" + setting
                 for setting in ("LTO=off", "OPT_LEVEL=0", "CODEGEN_UNITS=16", "DEBUG=false")]
# How long a server has to become healthy, in seconds.
HEALTHY_S = 60
DEBIAN = {
    "rust": "gcc,libc6-dev,binutils,ca-certificates",
    "redis": "redis-server,redis-tools,libgcc-s1",
    "valkey": "valkey-server,valkey-tools,libgcc-s1",
}


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def instructions(text):
    """The Dockerfile's instructions, each with its arguments, comments and line ends taken out."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            yield line.strip().split(None, 1)


def context():
    """What .dockerignore lets into the image: it names everything, and then what is not meant."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in lines, ".dockerignore must begin with everything"
    return [line[1:] for line in lines if line.startswith("!")]


class Stage:
    """One FROM with its steps, in a root of its own."""

    def __init__(self, base, name, place, variables):
        self.name = name
        self.variables = variables
        self.place = place
        self.root = place / name
        self.workdir = "/"
        self.user = "root"
        self.mounted = []
        self.health = None
        self.command = None
        image, tag = base.rsplit("/", 1)[-1].split(":")
        self.kind = image
        release = tag.rsplit("-", 1)[-1]
        bare = place / f"bare-{release}-{image}"
        if not (bare / "ready").exists():
            shutil.rmtree(bare, ignore_errors=True)
            run("debootstrap", "--variant=minbase", f"--include={DEBIAN[image]}", release, bare)
            (bare / "ready").touch()
        shutil.rmtree(self.root, ignore_errors=True)
        run("cp", "-a", bare, self.root)
        self.borrow_network()
        # Rust's programs find their libraries by it.
        run("mount", "-t", "proc", "proc", self.root / "proc")
        self.mounted.append(self.root / "proc")
        if image == "rust":
            sysroot = run("rustc", "--print", "sysroot", capture_output=True, text=True).stdout.strip()
            # Read-only, so that nothing done in here can touch it.
            self.mount(sysroot, RUST, "ro")
        (self.root / "data").mkdir(exist_ok=True)
        if image != "rust":
            run("chroot", self.root, "chown", f"{image}:{image}", "/data")

    def borrow_network(self):
        for file in ("/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"):
            if os.path.exists(file):
                (self.root / file[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, self.root / file[1:])

    def mount(self, source, target, mode="rw"):
        there = self.root / target.lstrip("/")
        there.mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", source, there)
        self.mounted.append(there)
        run("mount", "-o", f"remount,bind,{mode}", there)

    def leave(self):
        while self.mounted:
            run("umount", self.mounted[-1])
            self.mounted.pop()
        # The bare ones are for the next time.
        shutil.rmtree(self.root)

    def inside(self, script, user="root"):
        home = "/root" if user == "root" else "/data"
        # The image of Rust keeps cargo's files there.
        variables = ["HOME=" + home, "CARGO_HOME=/usr/local/cargo", "LANG=C.UTF-8", *self.variables,
                     f"PATH={RUST}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        chroot = ["chroot", f"--userspec={user}:{user}", str(self.root), "/usr/bin/env", "-i", *variables]
        return [*chroot, "/bin/sh", "-c", f"cd {shlex.quote(self.workdir)} && {script}"]

    def step(self, word, rest, stages):
        getattr(self, "do_" + word.lower())(rest, stages)

    def do_run(self, rest, _):
        mounts = re.findall(r"--mount=type=cache,target=(\S+)\s", rest)
        for target in mounts:
            cache = self.place / "cache" / target.strip("/").replace("/", "-")
            cache.mkdir(parents=True, exist_ok=True)
            self.mount(cache, target)
        run(*self.inside(re.sub(r"--mount=\S+\s+", "", rest)))

    def do_workdir(self, rest, _):
        self.workdir = rest
        (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def do_copy(self, rest, stages):
        words = rest.split()
        if words[0].startswith("--from="):
            source = stages[words.pop(0).removeprefix("--from=")]
            target = self.root / words[1].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source.root / words[0].lstrip("/"), target)
        else:
            assert words == [".", "."], f"COPY must be of . to . or have --from, it is {rest}"
            archive = run("git", "-C", REPOSITORY, "archive", "HEAD", *context(), capture_output=True).stdout
            run("tar", "-x", "-C", self.root / self.workdir.lstrip("/"), input=archive)

    def do_user(self, rest, _):
        self.user = rest

    def do_healthcheck(self, rest, _):
        self.health = rest.split("CMD ", 1)[1]

    def do_cmd(self, rest, _):
        self.command = " ".join(shlex.quote(word) for word in json.loads(rest))

    def check(self):
        """Starts the image's command; it must become healthy, and take an order."""
        assert self.user != "root", f"{self.name} must not run as root"
        # A port of its own, inside this machine's network.
        port = "26379" if self.kind == "redis" else "26380"
        server = subprocess.Popen(self.inside(f"exec {self.command} --port {port}", self.user))
        try:
            client = f"{self.kind}-cli -p {port}"
            health = self.health.replace(f"{self.kind}-cli", client)
            until = time.monotonic() + HEALTHY_S
            while subprocess.run(self.inside(health, self.user)).returncode != 0:
                assert server.poll() is None and time.monotonic() < until, f"{self.name} does not become healthy"
                time.sleep(0.1)
            order = f"{client} INV.SET shop mug 3 && {client} ORDER.PLACE shop o-1 c-1 ITEMS mug 1"
            run(*self.inside(order, self.user))
            left = run(*self.inside(f"{client} STORE.AUDIT shop", self.user), capture_output=True, text=True).stdout
            assert not left.strip(), f"{self.name}: {left}"
            run(*self.inside("holdfast --version", self.user))
        finally:
            server.terminate()
            server.wait()


def main():
    # In a mount namespace of its own: whatever ends this, nothing stays mounted on the machine.
    if os.environ.get("HOLDFAST_IMAGE") != "own mounts":
        os.environ["HOLDFAST_IMAGE"] = "own mounts"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    *options, place = sys.argv[1:]
    assert options in ([], ["--quick"]), __doc__
    place = pathlib.Path(place).resolve()
    place.mkdir(parents=True, exist_ok=True)
    stages = {}
    try:
        for word, rest in instructions((REPOSITORY / "Dockerfile").read_text()):
            print(f"== {word} {rest}", flush=True)
            if word == "FROM":
                base, name = rest.split(" AS ")
                stage = stages[name] = Stage(base, name, place, NOT_OPTIMISED if options else [])
            else:
                stage.step(word, rest, stages)
        for stage in stages.values():
            if stage.command:
                stage.check()
    finally:
        for stage in stages.values():
            stage.leave()
    print(f"image: the steps of {', '.join(stages)} were run")


if __name__ == "__main__":
    main()
