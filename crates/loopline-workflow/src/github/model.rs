//! A GitHub workflow and an action's metadata, typed, with places everywhere.
//!
//! What may hold an expression is a template [`Token`], evaluated while the run is planned or
//! executed; what GitHub wants literal has a type of its own.

mod action;
mod event;
mod job;
mod permissions;

use std::ops::Deref;
use std::sync::Arc;

use loopline_source::{SourceFile, Span};

pub use action::{Action, ActionInput, ActionOutput, ActionRuns};
pub use event::{
    Event, EventConfig, Filters, Input, InputKind, Output, Schedule, SecretDefinition,
};
pub use job::{Called, Job, JobKind, OrdinaryJob, ReusableJob, Secrets, Step, StepKind, UsesRef};
pub use permissions::{Permission, PermissionLevel, Permissions};

use super::template::Token;

/// A literal with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The literal.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// A literal string with its place.
pub type Text = Spanned<Arc<str>>;

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// One workflow file.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// The file all spans point into.
    pub file: SourceFile,
    /// `name`.
    pub name: Option<Text>,
    /// `description`.
    pub description: Option<Text>,
    /// `run-name`, a string or an expression.
    pub run_name: Option<Token>,
    /// `on`, in the order of the file.
    pub on: Vec<Event>,
    /// Where `on` stands.
    pub on_span: Option<Span>,
    /// `permissions`.
    pub permissions: Option<Permissions>,
    /// `env`: a mapping.
    pub env: Option<Token>,
    /// `defaults`: `{run: {shell, working-directory}}`.
    pub defaults: Option<Token>,
    /// `concurrency`: a string, an expression, or `{group, cancel-in-progress, queue}`.
    pub concurrency: Option<Token>,
    /// `jobs`, in the order of the file.
    pub jobs: Vec<Job>,
}

impl Workflow {
    /// Returns the event `name`, if the workflow has it.
    pub fn event(&self, name: &str) -> Option<&Event> {
        self.on.iter().find(|event| &**event.name == name)
    }

    /// Returns the job `id`; ids compare without regard to case.
    pub fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id.eq_ignore_ascii_case(id))
    }
}
