//! One call of a command, as the commands see it.

use std::ffi::CStr;

use super::clock;
use super::ctx::{Ctx, Str};
use super::value::StoreValue;
use holdfast_engine::base::units::Ms;
use holdfast_engine::terms::refusal::Refusal;

/// A call: whose, on which key, with what.
pub struct Call<'a> {
    pub ctx: Ctx,
    /// The command's name, as it is replicated.
    pub name: &'static CStr,
    /// The store's key.
    pub key: Str,
    /// The arguments behind the key.
    pub rest: &'a [Str],
    /// The time the primary gave the call, where it is a replayed one.
    pub stamp: Option<Ms>,
}

impl Call<'_> {
    /// The time of the call on a store: the primary's stamp, or the store's time on this server, which is the primary.
    #[inline]
    pub fn time(&self, value: &mut StoreValue) -> Ms {
        self.stamp.unwrap_or_else(|| value.time())
    }

    /// The time of the call where there is no value yet.
    pub fn time_without_value(&self) -> Ms {
        self.stamp.unwrap_or_else(|| clock::now().ms())
    }
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
    /// The error's text, code first, if it is one.
    pub fn text(&self) -> Option<String> {
        match self {
            Stop::Refused(refusal) => Some(refusal.to_string()),
            Stop::Server(text) => Some(text.clone()),
            Stop::Replied => None,
        }
    }
}
