//! `INFO holdfast`: its sections, and the count of what was refused.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int};
use std::sync::OnceLock;

use redis_module::raw;

use super::api::api;
use super::ctx::Ctx;

/// A section.
pub struct Section {
    pub name: &'static CStr,
    /// Whether it is a part of the server's crash report too.
    pub in_crash_report: bool,
    pub fill: fn(&Fields),
}

/// The sections, once the module is loaded.
static SECTIONS: OnceLock<&'static [Section]> = OnceLock::new();

thread_local! {
    /// Refused writes since the module was loaded, by code. They are this server's alone: nothing of them is
    /// replicated.
    static REFUSALS: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts a refusal by the first word of its text.
pub fn count_refusal(text: &str) {
    let code = text.split(' ').next().unwrap_or_default();
    REFUSALS.with_borrow_mut(|refusals| match refusals.get_mut(code) {
        Some(count) => *count += 1,
        None => drop(refusals.insert(code.to_owned(), 1)),
    });
}

/// The section of what was refused.
pub const REFUSED: Section = Section {
    name: c"refusals",
    in_crash_report: false,
    fill: |fields| {
        REFUSALS.with_borrow(|refusals| refusals.iter().for_each(|(code, n)| fields.add(&code.to_lowercase(), *n)));
    },
};

/// The fields of a section.
pub struct Fields(*mut raw::RedisModuleInfoCtx);

impl Fields {
    /// Adds a number.
    pub fn add(&self, name: &str, value: u64) {
        let name = CString::new(name).unwrap_or_default();
        // SAFETY: the context is live, the name is copied.
        unsafe {
            api!(RedisModule_InfoAddFieldULongLong(self.0, name.as_ptr(), value));
        }
    }
}

/// Registers the sections.
pub fn register(ctx: Ctx<'_>, sections: &'static [Section]) -> bool {
    let _ = SECTIONS.set(sections);
    // SAFETY: called while the module loads.
    unsafe { api!(RedisModule_RegisterInfoFunc(ctx.raw(), Some(info))) == raw::REDISMODULE_OK as c_int }
}

unsafe extern "C" fn info(ctx: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int) {
    let sections = SECTIONS.get().copied().unwrap_or_default();
    for section in sections.iter().filter(|section| for_crash_report == 0 || section.in_crash_report) {
        // SAFETY: the server passes a live context; the name is a C string.
        unsafe {
            api!(RedisModule_InfoAddSection(ctx, section.name.as_ptr()));
        }
        (section.fill)(&Fields(ctx));
    }
}
