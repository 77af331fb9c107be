"""A new user with the README of each client: a first unit sold, and a worker that survives kill -9.

Takes every block of the page as it is. What differs is the address of the server, and that Python's packages are there
already: installing them needs a network, and Debian's Python has no venv.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CLIENTS = REPOSITORY / "clients"
PATIENCE_S = 120
POLL_S = 0.05


def blocks(page):
    """The blocks of a page with their languages, and the file that the line above a block names."""
    found = re.findall(r"(?:`([\w/]+\.\w+)`[^\n`]*(?:`[^`\n]*`[^\n`]*)?:\n\n)?```(\w*)\n(.*?)```", page, re.DOTALL)
    assert len(found) >= 4, "the page has blocks"
    return found


class Reader:
    """Does what one page says, in a bare directory next to the repository."""

    client = before = worker = None

    @classmethod
    def setUpClass(cls):
        lab = [sys.executable, CLIENTS / "tests/lab.py"]
        cls.lab = subprocess.Popen(lab, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.url = json.loads(cls.lab.stdout.readline())["url"]
        cls.port = cls.url.rsplit(":", 1)[1].split("/")[0]
        cls.place = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.lab.communicate()
        cls.place.cleanup()

    def setUp(self):
        self.home = pathlib.Path(self.place.name)
        (self.home / "holdfast").symlink_to(REPOSITORY)
        self.page = (CLIENTS / self.client / "README.md").read_text()
        self.commands = [text for file, language, text in blocks(self.page) if not language]
        self.files = {file: text for file, language, text in blocks(self.page) if file}

    def shell(self, script):
        """Runs a block's commands, and gives what they print."""
        script = f"set -euo pipefail\n{script}".replace("redis-cli ", f"redis-cli -p {self.port} ")
        done = subprocess.run(["bash", "-c", script], cwd=self.home, env=self.environment(), text=True,
                              stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, script)
        return done.stdout

    def environment(self):
        return {**os.environ, "PYTHONPATH": os.pathsep.join(
            [str(CLIENTS / "python/src"), str(REPOSITORY / "target/clients/python")])}

    def write_files(self):
        for name, text in self.files.items():
            file = self.home / "shop" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.here(text))

    def start_worker(self):
        with (self.home / "printed").open("a") as printed:
            worker = subprocess.Popen(self.worker, cwd=self.home / "shop", env=self.environment(), stdout=printed)
        self.addCleanup(worker.wait)
        self.addCleanup(worker.kill)
        return worker

    def until(self, what, look):
        end = time.monotonic() + PATIENCE_S
        while not (found := look()):
            self.assertLess(time.monotonic(), end, f"waited {PATIENCE_S} s for: {what}")
            time.sleep(POLL_S)
        return found

    def test_what_the_page_says(self):
        server, install, place = self.commands
        self.assertIn("redis-server --loadmodule $PWD/target/release/libholdfast.so", server)
        self.shell(self.installed(install))
        self.write_files()
        run, printed = re.search(r"`([^`]+)` prints `([^`]+)` and", self.page).groups()
        more = re.search(r"prints `[^`]+` and\s+`([^`]+)`", self.page).group(1)
        self.assertEqual(self.shell(f"cd shop\n{run}"), f"{printed}\n{more}\n")
        self.survives(place)

    def survives(self, place):
        """Of two workers the one that packs is killed; the other one has the order once the lease is over."""
        workers = [self.start_worker() for _ in range(2)]
        self.shell(place)

        def packing(attempt):
            printed = (self.home / "printed").read_text()
            return re.findall(rf"^packing o-3 attempt {attempt} process (\d+)\n", printed, re.MULTILINE)

        pid = int(*self.until("a worker that packs", lambda: packing(1)))
        self.assertIn(pid, [worker.pid for worker in workers])
        os.kill(pid, signal.SIGKILL)
        self.assertNotEqual(int(*self.until("the other one", lambda: packing(2))), pid)
        self.until("the end", lambda: "JD-o-3" in self.shell("redis-cli ORDER.GET popup o-3"))
        for worker in workers:
            if worker.pid != pid:
                worker.terminate()
                self.assertEqual(worker.wait(PATIENCE_S), 0)


class Python(Reader, unittest.TestCase):
    client = "python"
    worker = [sys.executable, "worker.py"]

    def installed(self, script):
        return script.split("\n", 1)[0]

    def here(self, text):
        return re.sub(r"\b(redis(?:\.asyncio)?\.Redis)\(\)", rf"\1(port={self.port})", text)

    def survives(self, place):
        super().survives(place)
        self.worker = [sys.executable, "-u", "worker_of_asyncio.py"]
        worker = self.start_worker()
        self.shell("redis-cli INV.SET popup mug 2\nredis-cli ORDER.PLACE popup o-4 dave ITEMS mug 1")
        self.until("the order", lambda: (self.home / "printed").read_text().endswith("\npacking o-4\n"))
        worker.terminate()
        self.assertEqual(worker.wait(PATIENCE_S), 0)


class Node(Reader, unittest.TestCase):
    client = "node"
    worker = ["node", "worker.mjs"]

    def installed(self, script):
        # `make clients` has run it.
        self.assertIn("npm ci", script)
        return "export npm_config_prefer_offline=true npm_config_audit=false\n" + script.split("\n", 1)[1]

    def here(self, text):
        return text.replace("createClient()", f'createClient({{ url: "{self.url}" }})')


class Rust(Reader, unittest.TestCase):
    client = "rust"
    worker = [REPOSITORY / "target/clients/shop/debug/worker"]

    def environment(self):
        return {**super().environment(), "CARGO_PROFILE_DEV_DEBUG": "none",
                "CARGO_TARGET_DIR": str(REPOSITORY / "target/clients/shop")}

    def installed(self, script):
        # The versions of the repository, which are there: what is newest needs a network.
        return f"export CARGO_NET_OFFLINE=true\n{script}\ncp {REPOSITORY}/Cargo.lock ."

    def write_files(self):
        super().write_files()
        self.shell("cd shop && cargo build --offline --quiet")

    def here(self, text):
        return text.replace("127.0.0.1:6379", f"127.0.0.1:{self.port}")


if __name__ == "__main__":
    unittest.main()
