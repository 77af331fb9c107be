//! Tests of the module as a whole, without a server.

mod fuzz;
mod simulation;
