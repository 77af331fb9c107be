//! What is known of a server and its stores, and who follows it. Nothing in here knows the page or the terminal.
//!
//! The [`feed`] keeps a [`model`] of the server, over one connection however many look on; [`detail`] and [`history`]
//! ask for more of the stores that somebody looks at, and a [`follow::Follower`] says what changed of them.

pub mod detail;
mod discovery;
pub mod feed;
pub mod follow;
pub mod history;
pub mod id;
pub mod link;
pub mod model;
pub mod order;
pub mod reply;
pub mod sample;
pub mod series;
mod shelf;
pub mod words;

use std::sync::Arc;

use self::detail::Details;
use self::follow::Follower;
use self::history::Histories;
use self::link::Link;
use self::model::{Key, Model};

/// Everything that is known of a server, and the way to ask it for more.
#[derive(Debug)]
pub struct Known {
    /// The server and its stores, as a feed keeps them.
    pub model: Arc<Model>,
    /// The way to the server.
    pub link: Arc<Link>,
    /// Samples over time.
    pub histories: Histories,
    /// Stores in detail.
    pub details: Details,
}

impl Known {
    /// Nothing yet of the server behind this link.
    pub fn new(link: Link) -> Arc<Known> {
        let link = Arc::new(link);
        let model = Arc::new(Model::new(link.url().to_string()));
        let histories = Histories::new(link.clone());
        let details = Details::new(model.clone(), link.clone());
        Arc::new(Known { model, link, histories, details })
    }

    /// Follows the server, and a store if one is given. `points`: into how many points its history is thinned.
    pub fn follow(self: &Arc<Self>, store: Option<Key>, points: Option<usize>) -> Follower {
        Follower::new(self.clone(), store, points)
    }
}
