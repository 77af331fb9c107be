//! Everything that is known of a server, in one place for all who look on.

use std::sync::Arc;

use super::detail::Details;
use super::durations::Durations;
use super::history::Histories;
use super::lanes::AllLanes;
use super::link::Link;
use super::model::Model;

/// Everything that is known of a server, and the way to ask it for more.
#[derive(Debug)]
pub struct Known {
    /// The server and its stores, as a feed keeps them.
    pub model: Arc<Model>,
    pub link: Arc<Link>,
    pub histories: Histories,
    pub details: Details,
    pub lanes: AllLanes,
    pub durations: Durations,
}

impl Known {
    pub fn new(link: Link) -> Arc<Known> {
        let link = Arc::new(link);
        let model = Arc::new(Model::new(link.url().to_string()));
        let histories = Histories::new(link.clone());
        let details = Details::new(model.clone(), link.clone());
        let lanes = AllLanes::new(model.clone(), link.clone());
        let durations = Durations::new(model.clone(), link.clone());
        Arc::new(Known { model, link, histories, details, lanes, durations })
    }
}
