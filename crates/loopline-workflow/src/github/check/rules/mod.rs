//! The rules, one kind of mistake a file.

mod action_table;
mod actions;
pub(super) mod anchors;
mod commands;
mod concurrency;
mod conditions;
pub(super) mod configuration;
mod credentials;
mod environment_names;
mod events;
mod expressions;
mod globs;
mod jobs;
mod labels;
mod matrices;
pub(super) mod metadata;
mod parallel;
mod permissions;
mod reusable;
mod run;
mod schedules;
mod shells;
mod steps_context;
mod webhooks;

pub(super) use run::workflow;
