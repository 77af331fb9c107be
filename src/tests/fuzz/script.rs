//! Inputs that are text: a line is a step, and its words are separated by blanks.
//!
//! In a word `\s` is a blank, `\n` a line feed, `\0` nothing at all (for the empty word), and any other character after
//! a backslash stands for itself. All other bytes are what they are.

use holdfast_engine::base::units::Ms;

use crate::host::simulated::Bytes;

/// Steps of an input that are taken: more find nothing that fewer do not.
const STEPS_MAX: usize = 200;

/// Words of a line that are taken.
const WORDS_MAX: usize = 64;

/// The longest time that passes in one step: a day.
const PASS_MS_MAX: Ms = 86_400_000;

/// A step.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// `+ms`: time passes.
    Pass(Ms),
    /// `!word`: something happens to the server.
    Server(Bytes),
    /// The words of a command.
    Command(Vec<Bytes>),
}

/// The steps of an input.
pub fn steps(input: &[u8]) -> Vec<Step> {
    input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(STEPS_MAX).map(step).collect()
}

fn step(line: &[u8]) -> Step {
    match line[0] {
        b'+' => {
            let ms = std::str::from_utf8(&line[1..]).ok().and_then(|text| text.parse().ok()).unwrap_or(1);
            Step::Pass(PASS_MS_MAX.min(ms))
        }
        b'!' => Step::Server(line[1..].to_vec()),
        _ => Step::Command(line.split(|byte| *byte == b' ').take(WORDS_MAX).map(word).collect()),
    }
}

fn word(text: &[u8]) -> Bytes {
    let (mut word, mut rest) = (Vec::new(), text.iter());
    while let Some(byte) = rest.next() {
        match (byte, if *byte == b'\\' { rest.next() } else { None }) {
            (_, Some(b's')) => word.push(b' '),
            (_, Some(b'n')) => word.push(b'\n'),
            (_, Some(b'0')) => {}
            (_, Some(other)) => word.push(*other),
            (byte, None) => word.push(*byte),
        }
    }
    word
}

/// A line of these words.
pub fn line<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    let words: Vec<Bytes> = words.into_iter().map(written).collect();
    words.join(&b' ')
}

fn written(word: &[u8]) -> Bytes {
    let mut text = if word.is_empty() { b"\\0".to_vec() } else { Vec::new() };
    for (at, byte) in word.iter().enumerate() {
        match byte {
            b' ' => text.extend(b"\\s"),
            b'\n' => text.extend(b"\\n"),
            b'\\' => text.extend(b"\\\\"),
            b'+' | b'!' if at == 0 => text.extend([b'\\', *byte]),
            _ => text.push(*byte),
        }
    }
    text
}

#[test]
fn what_is_written_is_read() {
    let words: [&[u8]; 5] = [b"ORDER.PLACE", b"", b"a b\nc\\d\\s", b"+1", b"\0\xff"];
    assert_eq!(steps(&line(words)), [Step::Command(words.map(<[u8]>::to_vec).to_vec())]);
    assert_eq!(steps(b"+5\n\n!full"), [Step::Pass(5), Step::Server(b"full".to_vec())]);
}
