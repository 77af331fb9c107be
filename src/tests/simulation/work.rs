//! Long work in slices.

use std::rc::Rc;

use super::action::Long;
use super::world::World;
use crate::host::Stop;
use crate::store::slices::{self, AtDead, Outcome, SomeDead, Task};

/// A client's long work on its way.
pub struct Job {
    job: slices::Job,
    long: Long,
    /// Whether outsiders had changed the lists of orders when it began, and how often.
    meddlings: u64,
}

impl World {
    pub fn begin(&mut self, long: Long) {
        if self.job.is_some() || !self.truth.exists || self.is_paused() {
            return;
        }
        let dead = |act| Task::Dead(SomeDead { act, wanted: Rc::new(|_| true), count: u64::MAX });
        let task = match long {
            Long::Audit => Task::Audit,
            Long::Repair => Task::Repair,
            Long::RedriveAll => dead(AtDead::Redrive),
            Long::Purge => dead(AtDead::Cancel),
        };
        let job = self.primary().call(c"", &[], None, |call| slices::Job::new(call, task)).expect("a store");
        self.job = Some(Job { job, long, meddlings: self.meddlings });
    }

    /// One slice of it; whether it is over.
    pub fn slice(&mut self) {
        let Some(mut job) = self.job.take() else { return };
        let turn = self.begin_turn();
        let server = &self.primary().server;
        let outcome = match job.job.may_go_on(server) {
            Ok(true) => {
                assert!(!self.is_paused() || job.long == Long::Audit, "{:?} goes on under a pause", job.long);
                job.job.slice(server)
            }
            Ok(false) => {
                assert!(self.is_paused() || self.is_moving(), "it waits for nothing");
                None
            }
            Err(stop) => Some(Outcome::Failed(stop)),
        };
        self.end_turn(turn, None);
        match outcome {
            None => self.job = Some(job),
            Some(outcome) => self.end_job(&job, &outcome),
        }
    }

    fn end_job(&mut self, job: &Job, outcome: &Outcome) {
        let is_same = job.meddlings == self.meddlings && !self.is_moving();
        match outcome {
            Outcome::Differences(found) => {
                assert!(found.is_empty() || self.truth.is_meddled, "an audit finds {found:?}");
            }
            Outcome::Count(_) if job.long == Long::Repair && is_same => {
                self.truth.is_meddled = false;
                self.check_streams();
            }
            Outcome::Count(_) => {}
            Outcome::Failed(Stop::Server(text)) if text.starts_with("TRYAGAIN") => {
                assert!(self.is_moving(), "{text}, and nothing moves");
            }
            Outcome::Failed(Stop::Server(text)) if text.contains("takes no more entries") => {
                assert!(self.truth.is_meddled, "{text}");
            }
            Outcome::Failed(stop) => panic!("{:?}: {stop:?}", job.long),
        }
    }
}
