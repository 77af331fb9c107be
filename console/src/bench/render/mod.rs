//! `holdfast bench render`: the pages `docs/benchmarks.md` and `docs/scaling.md` with their pictures, made of the JSON
//! file of the suite and of nothing else, so that every number on them was measured.

mod pages;
mod plots;
mod tables;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::suite::results::{FORMAT, Results};

/// The folder of the pictures, in that of the pages.
const IMAGES: &str = "images";

/// Options of `holdfast bench render`.
#[derive(clap::Args, Clone, Debug)]
pub struct RenderArgs {
    /// What `holdfast bench suite` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder to write to [default: that of the file]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Makes the pages. Fails when the file is not one of the suite, or a page cannot be written.
pub fn run(args: &RenderArgs) -> Result<()> {
    let folder = args.to.as_deref().or(args.file.parent()).unwrap_or(Path::new(""));
    fs::create_dir_all(folder.join(IMAGES)).with_context(|| format!("making {}", folder.join(IMAGES).display()))?;
    for (name, text) in render(&read(&args.file)?)? {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("{} written", path.display());
    }
    Ok(())
}

fn read(file: &Path) -> Result<Results> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let results: Results = serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    ensure!(results.format == FORMAT, "the format must be {FORMAT}, got {}; run the suite again", results.format);
    Ok(results)
}

/// All files, by their paths in the folder.
fn render(results: &Results) -> Result<Vec<(String, String)>> {
    let pages = pages::render(results).into_iter().map(|(name, text)| Ok((name.to_string(), text)));
    let pictures = plots::draw(results)?.into_iter().map(|(name, svg)| Ok((format!("{IMAGES}/{name}"), svg)));
    pages.chain(pictures).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pages are what their JSON file says: nobody edits a number by hand. `make bench` writes all of them, and
    /// `holdfast bench render docs/benchmarks.json` the pages alone.
    #[test]
    fn the_pages_are_what_was_measured() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let results = read(&docs.join("benchmarks.json")).expect("results");
        for (name, text) in render(&results).expect("pages") {
            let kept = fs::read_to_string(docs.join(&name)).unwrap_or_default();
            assert!(kept == text, "docs/{name} differs: run holdfast bench render docs/benchmarks.json");
        }
    }
}
