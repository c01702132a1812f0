//! The whole server, as clients see it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod access;
mod bad_input;
mod client;
mod crash;
mod crd;
mod disruption;
mod foreign;
mod fuzz;
mod kubectl;
mod load;
mod mistakes;
mod node;
mod pods;
mod policies;
mod policies_cel;
mod quotas;
mod rbac;
mod refusals;
mod services;
mod slow;
mod streams;
mod support;
mod webhooks;
