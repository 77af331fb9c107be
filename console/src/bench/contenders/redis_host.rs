//! A Redis server with a kind of client.

use anyhow::Result;
use redis::{Connection as Control, cmd};

use super::connection::{Client, Connector};
use super::drive::{Load, drive};
use super::host::{Host, Marks, Round};
use crate::bench::clock::CpuTime;
use crate::bench::subject::Subject;
use crate::bench::suite::work::Work;
use crate::bench::wire::{Batch, Wire};
use crate::bench::workload::FILL_PIPELINE;

pub struct RedisHost<C> {
    pub subject: Subject,
    pub client: C,
}

/// Makes the stock of `client` in an empty server at this address. Fails when it refuses that.
pub fn stock(url: &str, control: &mut Control, client: &impl Client, work: Work) -> Result<()> {
    cmd("FLUSHALL").arg("SYNC").exec(control)?;
    let commands: Vec<_> = client.stock(work).collect();
    let mut wire = Wire::connect(url)?;
    let batch = |part: &[redis::Cmd]| part.iter().cloned().collect::<Batch>();
    commands.chunks(FILL_PIPELINE as usize).try_for_each(|part| wire.exchange(&batch(part)).map(drop))
}

/// How many orders wait in the streams of `client`. Fails when the server is gone.
pub fn waiting(control: &mut Control, client: &impl Client) -> Result<u64> {
    let mut waiting = 0;
    for queue in client.queues() {
        waiting += cmd("XLEN").arg(queue).query::<u64>(control)?;
    }
    Ok(waiting)
}

impl<C: Client> Host for RedisHost<C> {
    fn prepare(&mut self, work: Work, _: &Load) -> Result<()> {
        stock(&self.subject.server.url(), &mut self.subject.control, &self.client, work)
    }

    fn run(&mut self, work: Work, load: Load) -> Result<Round> {
        let clients = vec![(self.subject.server.port(), self.client.clone())];
        let pid = self.subject.pid;
        Ok(drive(&Connector { clients, work }, load, || Marks::of(CpuTime::when_idle(pid)?.process_ns))?.into())
    }

    fn stored_bytes(&mut self) -> Result<u64> {
        self.subject.settled_memory_bytes()
    }

    fn waiting(&mut self) -> Result<u64> {
        waiting(&mut self.subject.control, &self.client)
    }
}
