//! The servers of the matrix and the module they load.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Where the dynamic linker is told to look.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// A server program that tests run on.
#[derive(Debug, Clone)]
pub struct ServerBinary {
    path: PathBuf,
    module: PathBuf,
    /// Other modules that the server loads before Holdfast.
    beside: Vec<PathBuf>,
    /// Where the dynamic linker looks first for libraries that this system lacks.
    library_dir: Option<PathBuf>,
    label: String,
    version: (u32, u32, u32),
}

impl ServerBinary {
    /// The servers that `HOLDFAST_SERVERS` names, or `redis-server` from the PATH; the module of `HOLDFAST_MODULE`, or
    /// the release build of this checkout.
    ///
    /// # Errors
    /// A message that names the file, when the module is missing or a server does not run.
    pub fn matrix() -> Result<Vec<Arc<ServerBinary>>, String> {
        let module = module_path()?;
        let paths = std::env::var("HOLDFAST_SERVERS").unwrap_or_default();
        let mut paths: Vec<&str> = paths.split(':').filter(|path| !path.is_empty()).collect();
        if paths.is_empty() {
            paths.push("redis-server");
        }
        paths.into_iter().map(|path| ServerBinary::probe(Path::new(path), &module, None).map(Arc::new)).collect()
    }

    fn probe(path: &Path, module: &Path, library_dir: Option<&Path>) -> Result<ServerBinary, String> {
        let mut command = Command::new(path);
        if let Some(dir) = library_dir {
            command.env(LIBRARY_PATH, dir);
        }
        let output = command.arg("--version").output().map_err(|error| format!("{}: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // "Redis server v=7.0.15 sha=…", "Valkey server v=8.0.2 sha=…"
        let (name, version) = text
            .split_once(" server v=")
            .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default()))
            .ok_or_else(|| format!("{}: not a server: {text:?}", path.display()))?;
        let numbers: Vec<u32> = version.split('.').flat_map(str::parse).collect();
        let &[major, minor, patch] = numbers.as_slice() else {
            return Err(format!("{}: what version is {version:?}?", path.display()));
        };
        Ok(ServerBinary {
            path: path.to_owned(),
            module: module.to_owned(),
            beside: Vec::new(),
            library_dir: library_dir.map(Path::to_owned),
            label: format!("{}-{version}", name.to_lowercase()),
            version: (major, minor, patch),
        })
    }

    /// This server, loading these modules before Holdfast, with the libraries of `library_dir`.
    pub fn with_modules(&self, beside: &[PathBuf], library_dir: &Path) -> ServerBinary {
        ServerBinary { beside: beside.to_vec(), library_dir: Some(library_dir.to_owned()), ..self.clone() }
    }

    /// This server without the module beside Holdfast, and that module: to be loaded while it runs.
    pub fn to_load_later(&self) -> Option<(ServerBinary, PathBuf)> {
        Some((ServerBinary { beside: Vec::new(), ..self.clone() }, self.beside.first()?.clone()))
    }

    /// Another server, loading the same Holdfast, that wants libraries of `library_dir`.
    ///
    /// # Errors
    /// A message that names the file, when it does not run.
    pub fn other(&self, path: &Path, library_dir: &Path) -> Result<ServerBinary, String> {
        ServerBinary::probe(path, &self.module, Some(library_dir))
    }

    /// The program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The module it loads.
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// The modules it loads, in order.
    pub fn modules(&self) -> Vec<PathBuf> {
        self.beside.iter().chain([&self.module]).cloned().collect()
    }

    /// What its environment needs.
    pub fn environment(&self) -> Option<(&'static str, PathBuf)> {
        self.library_dir.clone().map(|dir| (LIBRARY_PATH, dir))
    }

    /// Name and version, as in `redis-7.0.15`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// True where a module's commands can be in the server's ACL categories: Redis 7.2, every Valkey.
    pub fn has_command_categories(&self) -> bool {
        self.version >= (7, 2, 0)
    }

    /// True where a module can add an ACL category: Redis 7.4, Valkey 8.
    pub fn has_acl_categories(&self) -> bool {
        if self.label.starts_with("valkey") { self.version >= (8, 0, 0) } else { self.version >= (7, 4, 0) }
    }

    /// Whether it was built with TLS: then it misses its certificate, and ends.
    pub fn speaks_tls(&self) -> bool {
        let mut command = Command::new(&self.path);
        let output = command.envs(self.environment()).args(["--port", "0", "--tls-port", "1", "--save", ""]).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("No tls-cert-file configured"))
    }

    /// False on Valkey 8.1.1: with a module that listens to keyspace events, a MOVE or a COPY to another database
    /// leaves its client there. Says so on standard error.
    pub fn returns_from_other_databases(&self) -> bool {
        let returns = self.label != "valkey-8.1.1";
        if !returns {
            eprintln!("skipped: {} leaves a client in the database it moves or copies a key to", self.label);
        }
        returns
    }
}

fn module_path() -> Result<PathBuf, String> {
    let path = std::env::var_os("HOLDFAST_MODULE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/libholdfast.so"), PathBuf::from);
    path.canonicalize().map_err(|error| {
        format!("{}: {error} (build it with `cargo build --release`, or name it by HOLDFAST_MODULE)", path.display())
    })
}
