"""The package of each client as it would be published: what is in it, and that a program uses it in a bare directory.

Nothing is fetched: the libraries are those that the tests of the clients have.
"""

import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
import unittest
import zipfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CLIENTS = REPOSITORY / "clients"
TARGET = REPOSITORY / "target/clients"


class Package:
    """Builds one in a directory of its own."""

    client = None

    def setUp(self):
        self.source = CLIENTS / self.client
        # Always the same one: what Rust builds in it is built once.
        self.place = TARGET / "packages" / self.client
        shutil.rmtree(self.place, ignore_errors=True)
        self.shop = self.place / "shop"
        self.shop.mkdir(parents=True)

    def run_in(self, place, *command, **environment):
        """Runs a program, and gives what it prints."""
        done = subprocess.run(command, cwd=place, env={**os.environ, **environment}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def the_only(self, pattern):
        (found,) = self.place.glob(pattern)
        return found

    def unpacked(self, archive):
        """The directory that an archive has, and its files."""
        names = self.run_in(self.place, "tar", "-xvf", str(archive)).splitlines()
        names = [name for name in names if not name.endswith("/")]
        (top,) = {name.split("/")[0] for name in names}
        return self.place / top, {name.removeprefix(f"{top}/") for name in names}

    def files(self, *patterns):
        """Files of the source, as named in it."""
        found = [path for pattern in patterns for path in self.source.glob(pattern) if path.is_file()]
        return {str(path.relative_to(self.source)) for path in found if "__pycache__" not in path.parts}


class Python(Package, unittest.TestCase):
    client = "python"

    def libraries(self, *more):
        return {"PYTHONPATH": os.pathsep.join([*map(str, more), str(TARGET / "python")])}

    def build(self, kind, source):
        build = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(self.place)]
        self.run_in(source, *build, **self.libraries())

    def installed(self):
        """Where the wheel is installed that is made of the sources that are published."""
        self.build("sdist", self.source)
        top, names = self.unpacked(self.the_only("*.tar.gz"))
        wanted = self.files("src/**/*", "examples/*", "README.md", "LICENSE", "pyproject.toml")
        self.assertEqual(names - {"PKG-INFO", ".gitignore"}, wanted)
        self.build("wheel", top)
        wheel, site = self.the_only("*.whl"), self.place / "site"
        with zipfile.ZipFile(wheel) as files:
            names = {name for name in files.namelist() if ".dist-info/" not in name}
        self.assertIn("holdfast/py.typed", names)
        self.assertEqual(names, {name.removeprefix("src/") for name in self.files("src/**/*")})
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        self.run_in(self.place, *pip, "install", "--no-index", "--no-deps", "--target", str(site), str(wheel))
        return site

    def test_package(self):
        site = self.installed()
        look = "import holdfast, holdfast.aio; print(holdfast.__file__, holdfast.aio.__file__)"
        for file in self.run_in(self.shop, sys.executable, "-c", look, **self.libraries(site)).split():
            self.assertTrue(file.startswith(str(site)), file)
        (about,) = importlib.metadata.distributions(name="holdfast-client", path=[str(site)])
        self.assertEqual([about.metadata["License-Expression"], about.metadata["License-File"]], ["MIT", "LICENSE"])
        self.assertIn("redis>=6.4", about.requires)
        readme = (self.source / "README.md").read_text().strip()
        self.assertTrue(about.read_text("METADATA").strip().endswith(readme), "the description is the README")
        self.assertEqual(about.read_text("licenses/LICENSE"), (self.source / "LICENSE").read_text())
        # An error that is expected and is none is one: the types are those of the package.
        (self.shop / "shop.py").write_text("""import redis, holdfast
on_hand: int = holdfast.Client(redis.Redis()).inv_set("popup", "mug", 3)
holdfast.Client(redis.Redis()).inv_set("popup", "mug", "3")  # type: ignore[arg-type]
""")
        check = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "/dev/null", "shop.py"]
        self.run_in(self.shop, *check, **self.libraries(site))


class Node(Package, unittest.TestCase):
    client = "node"

    def install(self):
        # `make clients` has built it, and others use what is built.
        self.run_in(self.source, "npm", "pack", "--ignore-scripts", "--pack-destination", str(self.place))
        package = self.the_only("*.tgz")
        _, names = self.unpacked(package)
        modules = [name.removeprefix("src/").removesuffix(".ts") for name in self.files("src/*.ts")]
        built = {f"dist/{module}.{end}" for module in modules for end in ("js", "d.ts")}
        self.assertEqual(names, built | self.files("examples/*", "package.json", "README.md", "LICENSE"))
        (self.shop / "package.json").write_text('{ "private": true, "type": "module" }')
        install = ["npm", "install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund"]
        self.run_in(self.shop, *install, "--legacy-peer-deps", str(package))
        for library in (self.source / "node_modules").glob("[!.]*"):
            (self.shop / "node_modules" / library.name).symlink_to(library)

    def test_package(self):
        self.install()
        (self.shop / "shop.ts").write_text("""import { Holdfast, Worker } from "holdfast-client";
import { createClient } from "redis";
const shop = new Holdfast(createClient());
export const right: () => Promise<number> = () => shop.invSet("popup", "mug", 3);
// @ts-expect-error: it is a number
export const wrong = () => shop.invSet("popup", "mug", "3");
console.log(typeof shop.invSet, typeof Worker, import.meta.resolve("holdfast-client"));
""")
        compiler = self.source / "node_modules/.bin/tsc"
        options = "--strict --module nodenext --target es2022 --types node".split()
        self.run_in(self.shop, str(compiler), *options, "shop.ts")
        file = self.shop / "node_modules/holdfast-client/dist/index.js"
        self.assertEqual(self.run_in(self.shop, "node", "shop.js").split(), ["function", "function", file.as_uri()])


class Rust(Package, unittest.TestCase):
    client = "rust"

    def test_package(self):
        package = "cargo package --locked --offline --allow-dirty --no-verify --quiet -p holdfast-client".split()
        self.run_in(REPOSITORY, *package, "--target-dir", str(self.place))
        top, names = self.unpacked(self.the_only("package/*.crate"))
        made = {"Cargo.lock", "Cargo.toml.orig", ".cargo_vcs_info.json"}
        wanted = self.files("src/**/*", "examples/*", "README.md", "LICENSE", "Cargo.toml")
        self.assertEqual(names - made, wanted)
        (self.shop / "src").mkdir()
        (self.shop / "src/main.rs").write_text("""fn main() {
    let call: holdfast_client::Call<_> = holdfast_client::inv_set("popup", "mug", 3);
    println!("{}", std::any::type_name_of_val(&call));
}
""")
        (self.shop / "Cargo.toml").write_text(f"""[workspace]
[package]
name = "packed"
edition = "2024"
[dependencies]
holdfast-client = {{ path = "{top}" }}
redis = "1"
serde_json = "1"
""")
        # The versions of the repository, and what the page of this client has built of them.
        shutil.copy(REPOSITORY / "Cargo.lock", self.shop)
        said = self.run_in(self.shop, "cargo", "run", "--offline", "--quiet", CARGO_PROFILE_DEV_DEBUG="none",
                           CARGO_TARGET_DIR=str(TARGET / "shop"))
        self.assertTrue(said.startswith("holdfast_client::"), said)


if __name__ == "__main__":
    unittest.main()
