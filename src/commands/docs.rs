//! `docs/commands.md`, from the table.

#[cfg(test)]
mod tests {
    use crate::commands::TABLE;
    use crate::engine::FIELDS;
    use crate::server::register::{Access, Arg, Kind};

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");

    /// An argument as Redis's own documentation writes it.
    fn syntax(arg: &Arg) -> String {
        let parts: Vec<_> = arg.parts.iter().map(syntax).collect();
        let inner = match arg.kind {
            Kind::OneOf => format!("<{}>", parts.join(" | ")),
            Kind::Block => parts.join(" "),
            Kind::Word => String::new(),
            _ => arg.name.to_owned(),
        };
        let again = if arg.multiple { format!(" [{inner} …]") } else { String::new() };
        let text = [arg.token.unwrap_or_default(), &inner].join(" ");
        let text = format!("{}{again}", text.trim());
        if arg.optional {
            format!("[{text}]")
        } else {
            text
        }
    }

    fn reference() -> String {
        let mut out =
            String::from("# Commands\n\nWritten from the table of commands (`make docs`). Errors: see the README.\n");
        for command in TABLE.iter().filter(|command| !command.internal) {
            let about = &command.about;
            let args: Vec<_> = about.args.iter().map(syntax).collect();
            out.push_str(&format!("\n## {}\n\n```\n{} {}\n```\n\n", about.name, about.name, args.join(" ")));
            let what = if about.name.starts_with("LOCK.") { "lock" } else { "store" };
            let key = match about.access {
                Access::Read => format!("reads the {what}"),
                Access::Update => format!("changes the {what}"),
                Access::Insert => format!("changes the {what}, makes it if there is none"),
                Access::Delete => format!("removes the {what}"),
            };
            out.push_str(&format!(
                "{}.\n\n- reply: {}\n- complexity: {}\n- flags: {}; ACL categories: {} holdfast\n- key: {key}\n- since: {}\n",
                about.summary, about.reply, about.complexity, about.flags, about.acl, about.since
            ));
        }
        out.push_str("\n## Fields of STORE.SET\n\n| field | default | least | meaning |\n|---|---|---|---|\n");
        let defaults = crate::engine::Settings::default();
        for field in FIELDS {
            let default = defaults.get(*field);
            let (default, min) = if field.is_switch() {
                ("no".to_owned(), "no".to_owned())
            } else {
                (default.to_string(), field.min().to_string())
            };
            out.push_str(&format!("| `{}` | {default} | {min} | {} |\n", field.name(), field.doc()));
        }
        out
    }

    #[test]
    fn the_reference_is_what_the_table_says() {
        if std::env::var_os("HOLDFAST_WRITE_DOCS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).expect("docs/ can be made");
            std::fs::write(PATH, reference()).expect("docs/commands.md can be written");
        }
        let written = std::fs::read_to_string(PATH).expect("docs/commands.md is there");
        assert!(written == reference(), "docs/commands.md is not what the table says: run `make docs`");
    }

    #[test]
    fn arity_fits_the_arguments() {
        for command in TABLE {
            let least: usize = command.about.args.iter().map(least).sum::<usize>() + 1;
            let exact = command.about.args.iter().all(fixed);
            let arity = if exact { least as i32 } else { -(least as i32) };
            assert_eq!(command.about.arity, arity, "{}", command.about.name);
        }
    }

    /// Whether an argument is always as many words.
    fn fixed(arg: &Arg) -> bool {
        !arg.optional && !arg.multiple && arg.parts.iter().all(fixed)
    }

    /// The fewest words an argument can be.
    fn least(arg: &Arg) -> usize {
        let token = usize::from(arg.token.is_some());
        match (arg.optional, arg.kind) {
            (true, _) => 0,
            (_, Kind::Word) => token,
            (_, Kind::Block) => token + arg.parts.iter().map(least).sum::<usize>(),
            (_, Kind::OneOf) => arg.parts.iter().map(least).min().unwrap_or(0),
            _ => token + 1,
        }
    }
}
