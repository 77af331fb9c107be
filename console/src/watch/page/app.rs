//! What the routes and the events work with.

use std::sync::Arc;

use super::connections::Connections;
use crate::watch::known::server::Known;

/// The page of a server.
#[derive(Debug)]
pub struct App {
    /// What is known of the server.
    pub known: Arc<Known>,
    /// Whether the page may write.
    pub writes: bool,
    /// All connections, some of them of pages that look on.
    pub connections: Arc<Connections>,
}

impl App {
    /// An app on what a feed keeps.
    pub fn new(known: Arc<Known>, writes: bool) -> Arc<App> {
        Arc::new(App { known, writes, connections: Connections::new() })
    }
}
