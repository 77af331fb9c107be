//! One call of a command, as the commands see it.

use std::ffi::CStr;

use super::ctx::Ctx;
use super::string::Str;
use holdfast_engine::base::units::Ms;
use holdfast_engine::terms::refusal::Refusal;

/// A call: whose, on which key, with what.
pub struct Call<'a, H = Ctx<'a>> {
    pub ctx: H,
    /// The command's name, as it is replicated.
    pub name: &'static CStr,
    /// The key of the store or the lock.
    pub key: Str<'a>,
    /// The arguments behind the key.
    pub rest: &'a [Str<'a>],
    /// The time the primary gave the call, where it is a replayed one.
    pub stamp: Option<Ms>,
}

/// Why a call stops without a reply of its own.
#[derive(Debug)]
pub enum Stop {
    /// The engine, or the reading of the arguments, refuses.
    Refused(Refusal),
    /// The server does: the text, code first.
    Server(String),
    /// The reply comes later, or has been given.
    Replied,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

impl Stop {
    /// The server's text for a key of another type.
    pub fn wrong_type() -> Stop {
        Stop::Server("WRONGTYPE Operation against a key holding the wrong kind of value".into())
    }

    /// The error's text, code first, if it is one.
    pub fn text(&self) -> Option<String> {
        match self {
            Stop::Refused(refusal) => Some(refusal.to_string()),
            Stop::Server(text) => Some(text.clone()),
            Stop::Replied => None,
        }
    }
}
