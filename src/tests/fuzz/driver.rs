//! libFuzzer, as a library: `HOLDFAST_FUZZ` has the name of a target and the options, separated by blanks. scripts/fuzz
//! calls it.

use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;

use super::{TARGETS, Target};

// Links the library, and its C++.
extern crate libfuzzer_sys as _;

unsafe extern "C" {
    fn LLVMFuzzerRunDriver(
        argc: *mut c_int,
        argv: *mut *mut *mut c_char,
        callback: unsafe extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
}

static TARGET: OnceLock<Target> = OnceLock::new();

unsafe extern "C" fn one_input(data: *const u8, len: usize) -> c_int {
    let input = if len == 0 {
        &[]
    } else {
        // SAFETY: libFuzzer passes `len` bytes.
        unsafe { std::slice::from_raw_parts(data, len) }
    };
    TARGET.get().expect("a target")(input);
    0
}

/// Never returns unless there is nothing to do: libFuzzer ends the process.
#[test]
fn fuzz() {
    let Ok(words) = std::env::var("HOLDFAST_FUZZ") else { return };
    let mut words = words.split(' ');
    let name = words.next().expect("the name of a target");
    let target = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target").1;
    TARGET.get_or_init(|| target);
    // A panic has to end the process, so that libFuzzer keeps the input.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        std::process::abort();
    }));
    // How libFuzzer starts itself again, to survive inputs that fail.
    let again = format!("scripts/fuzz again {name}");
    let words: Vec<_> = [&*again].into_iter().chain(words).map(|word| CString::new(word).expect("a word")).collect();
    let mut argv: Vec<_> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    argv.push(std::ptr::null_mut());
    let (mut argc, mut argv) = (words.len() as c_int, argv.as_mut_ptr());
    // SAFETY: `argc` words, which live until the end, and a null pointer.
    unsafe { LLVMFuzzerRunDriver(&mut argc, &mut argv, one_input) };
}
