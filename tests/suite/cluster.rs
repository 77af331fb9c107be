//! (being written)
pub const TESTS: &[(&str, crate::common::TestFn)] = &[];
