//! What is generated from the table of commands and the list of metrics, and what is checked against them.

pub mod any_host;
mod dashboards;
mod docs;
pub mod reference;
