//! Executes a workflow plan: steps, logs, actions, artifacts and caches.

pub mod log;
pub mod services;
pub mod workspace;
