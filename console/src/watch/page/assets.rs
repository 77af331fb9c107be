//! The page's files, inside the program: nothing has to be installed or found.

use std::borrow::Cow;

use rust_embed::Embed;

use crate::watch::known::words;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// All files of the page, from `console/web/`.
#[derive(Embed)]
#[folder = "web/"]
#[include = "*.html"]
#[include = "*.js"]
#[include = "*.css"]
#[include = "*.svg"]
#[exclude = "node_modules/*"]
#[exclude = "test/*"]
struct Files;

/// The module with all words: a part of the page that the program writes, so that it comes with the scripts.
const VOCABULARY: &str = "/vocabulary.js";

/// The file that is served at a path, and its content type; the page itself at `/`.
pub fn at(path: &str) -> Option<(&'static str, Cow<'static, [u8]>)> {
    if path == VOCABULARY {
        return Some((JAVASCRIPT, format!("export default {};\n", words::json()).into_bytes().into()));
    }
    let name = match path.strip_prefix('/')? {
        "" => "index.html",
        name => name,
    };
    let kind = match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => JAVASCRIPT,
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    };
    Files::get(name).map(|file| (kind, file.data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_is_served() {
        for path in ["", "/no.html", "/../Cargo.toml", "/vendor/", "//index.html", "/vendor/uPlot.LICENSE"] {
            assert!(at(path).is_none(), "{path}");
        }
    }
}
