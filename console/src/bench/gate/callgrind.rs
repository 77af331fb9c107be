//! A server under callgrind, valgrind's profiler: it counts instructions and simulates caches of fixed sizes, the same
//! on every host. A small preloaded library takes time and chance out of the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use holdfast_lab::{Options, Server};
use tempfile::TempDir;

use super::figures::Counts;

/// The server's other threads free memory, at times of their own: their counts are kept apart, and left out.
const VALGRIND: [&str; 5] = ["valgrind", "-q", "--tool=callgrind", "--cache-sim=yes", "--separate-threads=yes"];
/// How callgrind marks the dumps of the thread that executes commands.
const MAIN_THREAD: &str = "01";
/// Cache sizes in bytes, ways and bytes a line: those of common processors, and fixed, whatever the host has. But any
/// line of the instruction cache may hold any part of the code. With the usual 8 ways, misses depend on where the
/// linker puts a function, and change by 10 % where no instruction does.
const CACHES: [&str; 3] = ["--I1=32768,512,64", "--D1=32768,8,64", "--LL=8388608,16,64"];
/// The server's own background work is kept as rare as it gets.
const QUIET: [&str; 3] = ["hz 1", "dynamic-hz no", "activerehashing no"];
const STEADY_SOURCE: &str = include_str!("steady.c");
/// The variable that tells the library where random numbers come from.
const SEED_VARIABLE: &str = "HOLDFAST_SEED";
/// More than the server and the module read.
const SEED_BYTES: usize = 4_096;

/// A server under callgrind.
pub struct Callgrind {
    pub server: Server,
    /// Where the dumps go, as callgrind names them: `callgrind.1-01` and so on, by their number and the thread's.
    scratch: TempDir,
    /// How many there are.
    dumps: u32,
    /// Where those of the main thread are kept.
    keep: Option<PathBuf>,
    /// Where valgrind and vgdb meet.
    meeting: String,
}

impl Callgrind {
    /// Starts a server of these options. What is dumped is also written to the folder `keep`, if there is one. Fails
    /// when valgrind or a C compiler is missing, or the server does not start.
    pub fn start(options: Options, keep: Option<&Path>) -> Result<Callgrind> {
        let scratch = tempfile::tempdir_in(holdfast_lab::cleanup::run_dir())?;
        if let Some(dir) = keep {
            fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        let meeting = format!("--vgdb-prefix={}", scratch.path().join("vgdb").display());
        let mut wrapper: Vec<String> = VALGRIND.iter().chain(&CACHES).map(ToString::to_string).collect();
        wrapper
            .extend([format!("--callgrind-out-file={}", scratch.path().join("callgrind").display()), meeting.clone()]);
        let environment = vec![("LD_PRELOAD", steady(scratch.path())?), (SEED_VARIABLE, seed(scratch.path())?)];
        let options = Options { wrapper, environment, ..options }.with(&QUIET);
        let server = Server::start(&options).context("starting a server under valgrind (apt-get install valgrind)")?;
        Ok(Callgrind { server, scratch, dumps: 0, keep: keep.map(PathBuf::from), meeting })
    }

    /// What the server's main thread did during `work`. `name` becomes the name of the file that is kept. Fails as
    /// the work does, and when callgrind does not answer.
    pub fn count(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<Counts> {
        self.tell(&["zero"])?;
        work()?;
        self.tell(&["dump", name])?;
        self.dumps += 1;
        let path = self.scratch.path().join(format!("callgrind.{}-{MAIN_THREAD}", self.dumps));
        let dump = fs::read(&path).with_context(|| format!("reading what callgrind counted, {}", path.display()))?;
        if let Some(dir) = &self.keep {
            fs::write(dir.join(format!("{name}.callgrind")), &dump)?;
        }
        Counts::of_dump(&String::from_utf8_lossy(&dump))
    }

    fn tell(&self, words: &[&str]) -> Result<()> {
        let pid = self.server.pid().context("the server has ended")?;
        let mut vgdb = Command::new("vgdb");
        vgdb.arg(&self.meeting).arg(format!("--pid={pid}")).args(words);
        let output = vgdb.output().context("starting vgdb, a part of valgrind")?;
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "vgdb {} failed: {}", words.join(" "), problem.trim());
        Ok(())
    }
}

/// The version of valgrind. Fails when it is missing.
pub fn version() -> Result<String> {
    let output = Command::new("valgrind").arg("--version").output();
    let output = output.context("starting valgrind (apt-get install valgrind)")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// The preloaded library.
fn steady(dir: &Path) -> Result<PathBuf> {
    let (source, library) = (dir.join("steady.c"), dir.join("steady.so"));
    fs::write(&source, STEADY_SOURCE)?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).args([&library, &source]).arg("-ldl");
    let output = cc.output().context("starting the C compiler, cc")?;
    if !output.status.success() {
        bail!("compiling {}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(library)
}

fn seed(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("seed");
    fs::write(&path, [1; SEED_BYTES])?;
    Ok(path)
}
