//! The page's files, inside the program: nothing has to be installed or found.

use std::borrow::Cow;

use rust_embed::Embed;

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

/// The file that is served at a path, and its content type; the page itself at `/`.
pub fn at(path: &str) -> Option<(&'static str, Cow<'static, [u8]>)> {
    let name = match path.strip_prefix('/')? {
        "" => "index.html",
        name => name,
    };
    let kind = match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
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
    fn the_page_is_inside_the_program() {
        let (kind, page) = at("/").expect("the page");
        assert_eq!(kind, "text/html; charset=utf-8");
        assert!(page.starts_with(b"<!"), "{}", page.escape_ascii());
        assert!(at("/vendor/uPlot.iife.min.js").is_some());
    }

    #[test]
    fn nothing_else_is_served() {
        for path in ["", "/no.html", "/../Cargo.toml", "/vendor/", "//index.html", "/vendor/uPlot.LICENSE"] {
            assert!(at(path).is_none(), "{path}");
        }
    }
}
