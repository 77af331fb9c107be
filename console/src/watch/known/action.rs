//! What one may do to a store from the page: redrive, cancel an order, pass a gate, pause the store.

use std::future::Future;

use redis::cmd;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::ask::AskError;
use super::id::bytes_of;
use super::link::Link;
use super::model::Key;
use super::order::{Redrive, redrive};

/// A write, as the page asks for it. Ids are percent-encoded.
pub trait Action: DeserializeOwned + Send {
    /// Carries it out, and says what came back. Fails when the server is away, or refuses.
    fn carry_out(self, link: &Link, key: &Key) -> impl Future<Output = Result<Json, AskError>> + Send;
}

impl Action for Redrive {
    /// `redriven`: orders that were queued again.
    async fn carry_out(self, link: &Link, key: &Key) -> Result<Json, AskError> {
        Ok(json!({ "redriven": redrive(link, key, self.command(key)).await? }))
    }
}

/// Cancels an order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    pub order: String,
    #[serde(default)]
    pub reason: String,
}

impl Action for Cancel {
    /// `units`: those that were put back.
    async fn carry_out(self, link: &Link, key: &Key) -> Result<Json, AskError> {
        let mut cancel = cmd("ORDER.CANCEL");
        cancel.arg(&**key).arg(bytes_of(&self.order));
        if !self.reason.is_empty() {
            cancel.arg("REASON").arg(self.reason);
        }
        let units: i64 = link.write(key, cancel, None).await?;
        Ok(json!({ "units": units }))
    }
}

/// Passes a gate of an order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    pub order: String,
    pub gate: String,
}

impl Action for Pass {
    /// `left`: gates still to pass.
    async fn carry_out(self, link: &Link, key: &Key) -> Result<Json, AskError> {
        let mut pass = cmd("ORDER.PASS");
        pass.arg(&**key).arg(bytes_of(&self.order)).arg(bytes_of(&self.gate));
        let left: i64 = link.write(key, pass, None).await?;
        Ok(json!({ "left": left }))
    }
}

/// Looks at a store and sets it in one step: what the look refuses is the reply, and nothing is set.
const SET_PAUSED: &str = "local found = redis.pcall('STORE.GET', KEYS[1], 'paused')
if type(found) ~= 'table' or found.err then return found end
return redis.call('STORE.SET', KEYS[1], 'paused', ARGV[1])";

/// Pauses a store, or resumes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    pub paused: bool,
}

impl Action for Pause {
    /// STORE.SET makes a store where there is none: one that was deleted meanwhile must stay deleted.
    async fn carry_out(self, link: &Link, key: &Key) -> Result<Json, AskError> {
        let mut set = cmd("EVAL");
        set.arg(SET_PAUSED).arg(1).arg(&**key).arg(if self.paused { "yes" } else { "no" });
        let _: String = link.write(key, set, None).await?;
        Ok(json!({ "paused": self.paused }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        for body in ["{}", r#"{"order":7}"#, r#"{"order":"o","resaon":"x"}"#] {
            assert!(serde_json::from_str::<Cancel>(body).is_err(), "{body}");
        }
        assert!(serde_json::from_str::<Pass>(r#"{"order":"o"}"#).is_err());
        assert!(serde_json::from_str::<Pause>(r#"{"paused":"yes"}"#).is_err());
    }
}
