//! Holdfast.
mod engine;
