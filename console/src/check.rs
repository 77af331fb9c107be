//! The server's counts, streams and audit when the work is done, compared with the books of those who did it.

use anyhow::{Context, Result};
use redis::{ConnectionLike, FromRedisValue, Value, cmd};

use crate::store::{self, Fields};
use crate::text::{counted, grouped};

/// Complaints kept word for word; the others are only counted.
const COMPLAINTS_KEPT: usize = 5;

/// Things that must never happen, noted while the work is done.
#[derive(Debug, Default)]
pub struct Complaints {
    pub count: u64,
    pub kept: Vec<String>,
}

impl Complaints {
    pub fn add(&mut self, complaint: String) {
        self.count += 1;
        if self.kept.len() < COMPLAINTS_KEPT {
            self.kept.push(complaint);
        }
    }
}

/// A line for each disagreement.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<String>);

impl Findings {
    pub fn expect(&mut self, what: &str, found: i64, wanted: i64) {
        if found != wanted {
            self.0.push(format!("{what}: {}", counted!("{}, wanted {}", found, wanted)));
        }
    }

    pub fn add_complaints(&mut self, complaints: &Complaints) {
        self.0.extend(complaints.kept.iter().cloned());
        let more = complaints.count - complaints.kept.len() as u64;
        if more > 0 {
            self.0.push(format!("… and {} more of this kind", grouped(more)));
        }
    }

    /// The counts of STORE.INFO that must be these.
    pub fn check_info(&mut self, info: &Fields, wanted: &[(&str, i64)]) {
        for &(field, wanted) in wanted {
            match info.get(field) {
                Ok(found) => self.expect(&format!("STORE.INFO {field}"), found, wanted),
                Err(error) => self.0.push(format!("STORE.INFO: {error}")),
            }
        }
    }

    /// How many entries the store's streams must have. Fails when the server cannot be asked.
    pub fn check_streams(
        &mut self,
        connection: &mut dyn ConnectionLike,
        store: &str,
        wanted: &[(&str, i64)],
    ) -> Result<()> {
        for &(stream, wanted) in wanted {
            let stream = store::stream(store, stream);
            let length = cmd("XLEN").arg(&stream).query(connection)?;
            self.expect(&format!("entries in {stream}"), length, wanted);
        }
        Ok(())
    }

    /// What STORE.AUDIT finds. Fails when the server cannot be asked, or replies something else.
    pub fn check_audit(&mut self, connection: &mut dyn ConnectionLike, store: &str) -> Result<()> {
        let audit: Value = cmd("STORE.AUDIT").arg(store).query(connection).context("asking STORE.AUDIT")?;
        let lines = Vec::<Value>::from_redis_value(audit).context("reading the reply of STORE.AUDIT")?;
        self.0.extend(lines.iter().map(|line| format!("STORE.AUDIT: {}", store::plain(line))));
        Ok(())
    }
}

/// What STORE.INFO says. Fails when the server cannot be asked.
pub fn info(connection: &mut dyn ConnectionLike, store: &str) -> Result<Fields> {
    cmd("STORE.INFO").arg(store).query(connection).context("asking STORE.INFO")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_compared_field_by_field() {
        let pairs = vec![(Value::SimpleString("queued".into()), Value::Int(1))];
        let info = Fields::from_redis_value(Value::Map(pairs)).expect("a map");
        let mut findings = Findings::default();
        findings.check_info(&info, &[("queued", 1)]);
        assert!(findings.0.is_empty());
        findings.check_info(&info, &[("queued", 0), ("dead", 0)]);
        assert_eq!(findings.0[0], "STORE.INFO queued: 1, wanted 0");
        assert!(findings.0[1].contains("no field dead"), "{findings:?}");
    }

    #[test]
    fn complaints_past_the_first_are_counted() {
        let (mut complaints, mut findings) = (Complaints::default(), Findings::default());
        (0..COMPLAINTS_KEPT + 2).for_each(|number| complaints.add(format!("complaint {number}")));
        findings.add_complaints(&complaints);
        assert_eq!(findings.0.len(), COMPLAINTS_KEPT + 1);
        assert_eq!(findings.0.last().map(String::as_str), Some("… and 2 more of this kind"));
    }
}
