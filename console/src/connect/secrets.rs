//! Passwords on the command line: everybody on the machine can read it while the program runs (ps). So the program
//! starts itself again without them, and takes them from the environment, which only its own user can read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Options whose value may be secret, and the variable that says the same.
const OPTIONS: [(&str, &str); 2] = [("--url", "HOLDFAST_URL"), ("--password", "HOLDFAST_WATCH_PASSWORD")];

/// Starts the program again if its arguments have a password in them; returns if not, or if it cannot be.
pub fn leave_the_command_line() {
    let (arguments, secrets) = without_secrets(std::env::args_os().skip(1).collect());
    let Ok(program) = std::env::current_exe() else { return };
    if !secrets.is_empty() {
        let name = std::env::args_os().next().unwrap_or_else(|| program.clone().into_os_string());
        // It returns only if that fails: then everything goes on as it began.
        let _ = Command::new(program).arg0(name).args(arguments).envs(secrets).exec();
    }
}

/// The arguments without those that have a secret, and the secrets by the variables that say the same.
fn without_secrets(arguments: Vec<OsString>) -> (Vec<OsString>, Vec<(&'static str, OsString)>) {
    let (mut kept, mut secrets) = (Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let bytes = argument.as_bytes();
        let named = OPTIONS.iter().find_map(|(option, variable)| {
            let rest = bytes.strip_prefix(option.as_bytes())?;
            (rest.is_empty() || rest[0] == b'=').then_some((*option, *variable, rest.get(1..)))
        });
        let Some((option, variable, value)) = named else {
            kept.push(argument);
            continue;
        };
        let Some(value) = value.map(|value| OsStr::from_bytes(value).to_owned()).or_else(|| arguments.next()) else {
            kept.push(argument);
            continue;
        };
        if option == "--url" && !value.as_bytes().contains(&b'@') && !has_password_parameter(&value) {
            kept.extend([OsString::from(option), value]);
        } else {
            secrets.push((variable, value));
        }
    }
    (kept, secrets)
}

/// Whether the address of a socket has a password behind it.
fn has_password_parameter(url: &OsStr) -> bool {
    url.to_string_lossy().contains("pass=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_secret_is_taken_out() {
        let split = |text: &str| {
            let (kept, secrets) = without_secrets(text.split(' ').map(OsString::from).collect());
            let words: Vec<_> = kept.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            (words.join(" "), secrets.iter().map(|(name, _)| *name).collect::<Vec<_>>())
        };
        let is =
            |text: &str, kept: &str, secrets: &[&str]| assert_eq!(split(text), (kept.to_string(), secrets.to_vec()));
        is("watch --url redis://a:1 --tui", "watch --url redis://a:1 --tui", &[]);
        is("watch --url redis://:x@a --tui", "watch --tui", &["HOLDFAST_URL"]);
        is("watch --url=redis://:x@a --password=p", "watch", &["HOLDFAST_URL", "HOLDFAST_WATCH_PASSWORD"]);
        is("watch --url unix:///a?pass=x", "watch", &["HOLDFAST_URL"]);
        is("watch --password p --password-file f", "watch --password-file f", &["HOLDFAST_WATCH_PASSWORD"]);
        is("watch --url-file f --url", "watch --url-file f --url", &[]);
    }
}
