//! What the routes and the events work with.

use std::sync::Arc;

use super::connections::Connections;
use crate::watch::known::server::Known;

#[derive(Debug)]
pub struct App {
    pub known: Arc<Known>,
    pub writes: bool,
    pub connections: Arc<Connections>,
}
