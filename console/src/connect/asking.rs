//! Commands for a node that a slot is on its way to: it takes one only behind ASKING.

use redis::{Pipeline, cmd};

/// Commands, as they are sent, each behind an ASKING.
pub fn packed(commands: &[u8]) -> Vec<u8> {
    let asking = cmd("ASKING").get_packed_command();
    let (mut with_asking, mut rest) = (Vec::with_capacity(2 * commands.len()), commands);
    while !rest.is_empty() {
        let (command, others) = rest.split_at(length_of_first(rest));
        with_asking.extend([asking.as_slice(), command].concat());
        rest = others;
    }
    with_asking
}

/// Some commands of a pipeline, by their place in it, each behind an ASKING.
pub fn pipeline(commands: &Pipeline, places: &[usize]) -> Pipeline {
    let mut with_asking = redis::pipe();
    for (place, command) in commands.cmd_iter().enumerate() {
        if places.contains(&place) {
            with_asking.cmd("ASKING").add_command(command.clone());
        }
    }
    with_asking
}

/// The replies of the commands, without those of ASKING.
pub fn without_asking<T>(replies: Vec<T>) -> Vec<T> {
    replies.into_iter().skip(1).step_by(2).collect()
}

/// How long the first command is: `*2`, and for each argument `$3` and its bytes, all with the end of a line.
fn length_of_first(commands: &[u8]) -> usize {
    let (arguments, mut at) = number(commands, 0);
    for _ in 0..arguments {
        let (bytes, start) = number(commands, at);
        at = start + bytes + 2;
    }
    at
}

/// The number in the line that begins here, behind its first byte, and where the next line begins.
fn number(commands: &[u8], at: usize) -> (usize, usize) {
    let digits = commands[at + 1..].iter().take_while(|byte| byte.is_ascii_digit());
    let (value, count) =
        digits.fold((0, 0), |(value, count), digit| (value * 10 + usize::from(digit - b'0'), count + 1));
    (value, at + 1 + count + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Pipeline {
        let mut commands = redis::pipe();
        commands.cmd("GET").arg("a\r\n*1\r\n").cmd("SET").arg("").arg("x".repeat(1_000)).cmd("PING");
        commands
    }

    #[test]
    fn each_command_goes_behind_an_asking() {
        let asked = pipeline(&commands(), &[0, 1, 2]);
        assert_eq!(asked.len(), 6);
        assert_eq!(packed(&commands().get_packed_pipeline()), asked.get_packed_pipeline());
        assert!(packed(b"").is_empty());
    }

    #[test]
    fn some_go_and_the_others_do_not() {
        let text = String::from_utf8(pipeline(&commands(), &[2]).get_packed_pipeline()).expect("text");
        assert_eq!(text, "*1\r\n$6\r\nASKING\r\n*1\r\n$4\r\nPING\r\n");
        assert_eq!(without_asking(vec!["OK", "a", "OK", "b"]), ["a", "b"]);
    }
}
