//! Who takes part in the suite: each does what ORDER.PLACE does in the way its users would write it.

pub mod connection;
pub mod drive;
pub mod holdfast;
pub mod host;
mod on_node;
pub mod postgres;
pub mod redis_host;
mod scripts;
mod watch;
mod xadd;

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};

use self::holdfast::Holdfast;
use self::host::{Host, MOST_ORDERS};
use self::on_node::NodeHost;
use self::postgres::{PostgresHost, PostgresServer};
use self::redis_host::RedisHost;
use self::scripts::Scripts;
use self::watch::Watch;
use self::xadd::Xadd;
use super::subject::{Aof, Subject, SubjectArgs};
use super::suite::terms::{Contender, Durability};
use super::suite::work::Work;
use super::workload::Case;

/// What contenders are set up with.
pub struct Setup {
    pub subject: SubjectArgs,
    /// The one server of both PostgreSQL schemes, if there is PostgreSQL.
    pub postgres: Option<Rc<PostgresServer>>,
    /// Where the programs on Node were installed, if there is Node.
    pub node_dir: Option<PathBuf>,
}

impl Setup {
    /// Whether a contender can be started here.
    pub fn has(&self, contender: Contender) -> bool {
        match contender {
            _ if contender.is_postgres() => self.postgres.is_some(),
            _ if contender.is_on_node() => self.node_dir.is_some(),
            _ => true,
        }
    }

    /// Starts a contender. Fails when its server does not start.
    pub fn start(&self, contender: Contender, durability: Durability) -> Result<Box<dyn Host>> {
        if contender.is_postgres() {
            let server = self.postgres.clone().context("there is no PostgreSQL")?;
            return Ok(Box::new(PostgresHost::new(server, contender, durability)?));
        }
        let mut subject = self.redis(durability, &[])?;
        Ok(match contender {
            Contender::Xadd => Box::new(RedisHost { subject, client: Xadd }),
            Contender::Holdfast => Box::new(RedisHost { subject, client: Holdfast::on_one() }),
            Contender::Watch => Box::new(RedisHost { subject, client: Watch }),
            Contender::Lua => {
                let client = Scripts::load(&mut subject.control).context("loading the scripts")?;
                Box::new(RedisHost { subject, client })
            }
            Contender::Function => {
                let client = Scripts::load_library(&mut subject.control).context("loading the library")?;
                Box::new(RedisHost { subject, client })
            }
            Contender::HoldfastNode | Contender::Bullmq => {
                let dir = self.node_dir.as_deref().context("there is no Node")?;
                Box::new(NodeHost::new(subject, dir, contender == Contender::Bullmq)?)
            }
            Contender::PostgresRow | Contender::PostgresUnits => unreachable!("started above"),
        })
    }

    /// Starts a redis-server with the module, as every contender on Redis has it. Fails when it does not start.
    pub fn redis(&self, durability: Durability, config: &[&str]) -> Result<Subject> {
        let aof = match durability {
            Durability::None => Aof::No,
            Durability::Second => Aof::Everysec,
            Durability::Always => Aof::Always,
        };
        Subject::start(&self.subject.with_aof(aof), &[Case::Place], config)
    }
}

/// The largest round a contender can have.
pub fn most_orders(contender: Contender, work: Work) -> u64 {
    if contender.is_postgres() { postgres::most_orders(work) } else { MOST_ORDERS }
}
