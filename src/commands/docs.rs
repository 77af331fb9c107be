//! `docs/commands.md`, from the table of commands, and `docs/metrics.md`, from the engine's list of numbers.

#[cfg(test)]
mod tests {
    use crate::commands::TABLE;
    use crate::host::register::{Access, Arg, Kind};
    use holdfast_engine::terms::metrics::{METRICS, MetricKind};
    use holdfast_engine::terms::settings::FIELDS;

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
        if arg.optional { format!("[{text}]") } else { text }
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
        let defaults = holdfast_engine::terms::settings::Settings::default();
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

    const ABOUT_METRICS: &str = "\
# Metrics

Written from the engine's own list (`make docs`). An entry of `{popup}:metrics` has every field below, in this order, each
a whole number. Counters say how often something happened since the store was made and only grow; gauges say how it is.
The first sample after a quiet time is taken at once, then one a second while anything changes, and a last one when
nothing does any more (`CONFIG SET holdfast.sample-ms`: how often; 0: never). The stream keeps `metrics` entries.

Refusals are counted where they happen, replicated with the next sample, and in `STORE.INFO` at once. Only refused writes
count: a read that finds nothing changes nothing (the server's `INFO errorstats` counts it). Where RedisTimeSeries is loaded
the same numbers go to `{popup}:ts:<field>`, labels `store` and `metric` (`CONFIG SET holdfast.timeseries
on|auto|off`); a series that is made keeps a week. They stay when the store is dropped. `INFO holdfast` has the sums over
all stores of what can be summed, as of their last samples. `holdfast watch` serves all of it to Prometheus as
`holdfast_<field>`, dashes as underscores.

| field | kind | meaning |
|---|---|---|
";

    fn metrics() -> String {
        let kind = |kind| if kind == MetricKind::Counter { "counter" } else { "gauge" };
        let rows = METRICS.iter().map(|metric| (metric.name, kind(metric.kind), metric.meaning));
        let rows = rows.map(|(name, kind, meaning)| format!("| `{name}` | {kind} | {meaning} |\n"));
        ABOUT_METRICS.to_owned() + &rows.collect::<String>()
    }

    /// Panics unless a file of `docs/` is as it should be; writes it first where that is wanted.
    fn assert_written(name: &str, text: &str) {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/");
        if std::env::var_os("HOLDFAST_WRITE_DOCS").is_some() {
            std::fs::create_dir_all(dir).expect("docs/ can be made");
            std::fs::write(dir.to_owned() + name, text).expect("a file of docs/ can be written");
        }
        let written = std::fs::read_to_string(dir.to_owned() + name).expect("a file of docs/");
        assert!(written == text, "docs/{name} is not what the table says: run `make docs`");
    }

    #[test]
    fn the_reference_is_what_the_table_says() {
        assert_written("commands.md", &reference());
    }

    #[test]
    fn the_reference_of_metrics_is_what_the_engine_says() {
        assert_written("metrics.md", &metrics());
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
