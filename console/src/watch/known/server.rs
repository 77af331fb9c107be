//! Everything that is known of a server, in one place for all who look on.

use std::sync::Arc;

use super::detail::Details;
use super::durations::Durations;
use super::history::Histories;
use super::lanes::AllLanes;
use super::link::Link;
use super::model::Model;
use crate::connect::Way;

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
    pub fn new(way: Arc<Way>) -> Arc<Known> {
        let model = Arc::new(Model::new(way.shown().to_string()));
        let link = Arc::new(Link::new(way, model.clone()));
        let histories = Histories::new(link.clone());
        let details = Details::new(model.clone(), link.clone());
        let lanes = AllLanes::new(model.clone(), link.clone());
        let durations = Durations::new(model.clone(), link.clone());
        Arc::new(Known { model, link, histories, details, lanes, durations })
    }
}
