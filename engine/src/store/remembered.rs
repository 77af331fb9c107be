//! What is remembered of calls that name no hold and no order: REFs, and the numbers of feeds.

use std::collections::BTreeMap;

use crate::base::slab::Slab;
use crate::base::table::Table;
use crate::base::units::Bytes;
use crate::record::reference::{Content, Ref, RefCommand, Source};
use crate::terms::refusal::{Refusal, Shown};

/// REFs, and the numbers of feeds.
pub(crate) struct Remembered {
    refs: Table<Ref>,
    sources: BTreeMap<Bytes, Source>,
}

impl Remembered {
    pub fn new(seed: u64) -> Self {
        Remembered { refs: Table::new(seed), sources: BTreeMap::new() }
    }

    /// The REFs, for reading.
    pub fn refs(&self) -> &Slab<Ref> {
        &self.refs
    }

    /// A REF of a command.
    pub fn find(&self, by: RefCommand, id: &[u8]) -> Option<&Ref> {
        Some(self.refs.at(self.refs.find_if(id, |known| known.by == by)?))
    }

    /// The first reply to a command's REF, if it is known with the same content.
    pub fn replied(&self, by: RefCommand, id: Option<&[u8]>, content: &Content) -> Result<Option<u64>, Refusal> {
        let known = |id| self.find(by, id).or_else(|| self.find(RefCommand::Any, id));
        let Some((id, known)) = id.and_then(|id| Some((id, known(id)?))) else {
            return Ok(None);
        };
        if !content.is(known.call) {
            return Err(Refusal::Mismatch(format!("REF {} was used for another call", Shown(id))));
        }
        Ok(Some(known.reply))
    }

    /// Remembers a REF; its slot. Its deadline is the caller's to note.
    pub(super) fn insert(&mut self, reference: Ref) -> u32 {
        self.refs.insert(reference)
    }

    /// Adds a REF of a store that is being loaded; its slot. [`Self::index_loaded`] follows.
    pub fn load(&mut self, reference: Ref) -> u32 {
        self.refs.load(reference)
    }

    /// Makes loaded REFs known by their ids; false if a command has one twice.
    pub fn index_loaded(&mut self) -> bool {
        self.refs.index_loaded(|one, other| one.by == other.by)
    }

    /// Forgets a REF.
    pub fn forget(&mut self, slot: u32) {
        self.refs.remove(slot);
    }

    /// The feeds, by id.
    pub fn sources(&self) -> &BTreeMap<Bytes, Source> {
        &self.sources
    }

    /// Breaks what is remembered on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> (&mut Table<Ref>, &mut BTreeMap<Bytes, Source>) {
        (&mut self.refs, &mut self.sources)
    }

    /// Notes the last number of a feed; what was noted before.
    pub fn set_source(&mut self, id: &[u8], source: Source) -> Option<Source> {
        self.sources.insert(id.into(), source)
    }
}
