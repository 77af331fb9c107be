//! What one may do to a store from the page, next to a redrive: cancel an order, pass a gate, pause the store.

use std::future::Future;

use redis::{cmd, pipe};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::ask::AskError;
use super::id::bytes_of;
use super::link::{ANSWER_TIMEOUT, Link};
use super::model::Key;

/// A write, as the page asks for it. Ids are percent-encoded.
pub trait Action: DeserializeOwned + Send {
    /// Carries it out, and says what came back. Fails when the server is away, or refuses.
    fn carry_out(self, link: &Link, key: &Key) -> impl Future<Output = Result<Json, AskError>> + Send;
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
        let units: i64 = cancel.query_async(&mut link.ask(key)?).await?;
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
        let left: i64 = pass.query_async(&mut link.ask(key)?).await?;
        Ok(json!({ "left": left }))
    }
}

/// Pauses a store, or resumes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    pub paused: bool,
}

impl Action for Pause {
    /// STORE.SET makes a store where there is none: one that was deleted meanwhile must stay deleted. So the key is
    /// watched from before the look at it, over a connection of its own.
    async fn carry_out(self, link: &Link, key: &Key) -> Result<Json, AskError> {
        let mut connection = link.connect(key, ANSWER_TIMEOUT).await?;
        let () = cmd("WATCH").arg(&**key).query_async(&mut connection).await?;
        let _: redis::Value = cmd("STORE.GET").arg(&**key).arg("paused").query_async(&mut connection).await?;
        let mut set = pipe();
        set.atomic();
        set.cmd("STORE.SET").arg(&**key).arg("paused").arg(if self.paused { "yes" } else { "no" });
        let done: Option<(String,)> = set.query_async(&mut connection).await?;
        match done {
            Some(_) => Ok(json!({ "paused": self.paused })),
            None => Err(AskError::Refused("the store changed at the same moment: try again".into())),
        }
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
