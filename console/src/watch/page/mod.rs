//! The page, its API and `/metrics`, over HTTP.

mod app;
mod assets;
mod connections;
pub mod guard;
mod http;
mod prometheus;
mod query;
mod sse;

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Result;

use self::app::App;
use self::connections::Connections;
use self::guard::Guard;
use super::known::server::Known;

/// Serves what a feed keeps, for ever. Fails when the listener cannot be used.
pub async fn serve(listener: TcpListener, known: Arc<Known>, guard: Guard, writes: bool) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let app = Arc::new(App { known, writes, connections: Connections::new() });
    app.connections.clone().serve(listener, http::router(app, guard)).await;
    Ok(())
}
