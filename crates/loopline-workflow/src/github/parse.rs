//! From text to the model: workflows with those they call, and action metadata.
//!
//! Reading never fails wholesale: what could be read is returned beside what is wrong. Files are
//! found by a [`Loader`]; nothing here opens one.

mod action;
mod call;
mod condition;
mod convert;
mod cron;
mod events;
mod identifiers;
mod job;
mod matrix;
mod permissions;
mod problem;
mod steps;

use loopline_source::SourceFile;

use super::model::{Action, Permissions, Workflow};
use super::schema::{self, Schema};
use super::template::{self, Error, Errors, Limits, Usage};

pub use problem::Problem;

/// How deep workflows may call workflows.
pub const MAX_NESTING: usize = 10;
/// How many files one run may read: the workflow and fifty it calls.
pub const MAX_FILES: usize = 51;
/// How many calls of workflows one run may hold, a file called twice counted twice.
const MAX_CALLS: usize = 5_000;

/// Bounds and choices for [`workflow`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Bounds of one file.
    pub limits: Limits,
    /// Whether unknown events and settings of events are mistakes.
    pub strict_events: bool,
    /// What a job may do where nobody states permissions.
    pub policy: PermissionsPolicy,
    /// How deep workflows may call workflows.
    pub nesting: usize,
    /// How many different files may be read.
    pub files: usize,
    /// How many jobs there may be in all files together.
    pub jobs: Option<usize>,
    /// Whether called workflows are read at all.
    pub called_workflows: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            strict_events: true,
            policy: PermissionsPolicy::Write,
            nesting: MAX_NESTING,
            files: MAX_FILES,
            jobs: None,
            called_workflows: true,
        }
    }
}

impl Options {
    fn root(&self) -> &'static str {
        if self.strict_events { schema::WORKFLOW_ROOT } else { schema::WORKFLOW_ROOT_LOOSE }
    }
}

/// What a repository grants to jobs where nobody states permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionsPolicy {
    /// Reading contents and packages.
    LimitedRead,
    /// Writing everything (a token for identity only within the same repository).
    Write,
}

impl PermissionsPolicy {
    /// Returns the permissions that stand where nobody states any; `trusted` says that the
    /// called workflow belongs to the caller's repository.
    pub fn permissions(self, trusted: bool) -> Permissions {
        permissions::of_policy(self, trusted)
    }
}

/// Finds called workflows.
pub trait Loader {
    /// Returns the file that `uses` names in a job of `caller`; its name is what errors show.
    fn load(&mut self, uses: &str, caller: &SourceFile) -> Option<SourceFile>;
}

impl<F: FnMut(&str, &SourceFile) -> Option<SourceFile>> Loader for F {
    fn load(&mut self, uses: &str, caller: &SourceFile) -> Option<SourceFile> {
        self(uses, caller)
    }
}

/// Reads a workflow and the workflows it calls.
pub fn workflow(
    file: &SourceFile,
    options: &Options,
    loader: &mut dyn Loader,
) -> (Workflow, Vec<Error>) {
    let mut errors = Errors::default();
    let mut usage = Usage::default();
    let root = template::read(
        file,
        Schema::workflow(),
        options.root(),
        &options.limits,
        &mut usage,
        &mut errors,
    );
    let mut job_count = 0;
    let readable = errors.is_empty();
    // Where reading found mistakes, converting would only repeat them.
    let mut hidden = Errors::default();
    let mut workflow = {
        let errors = if readable { &mut errors } else { &mut hidden };
        let mut converter =
            convert::Converter::new(file, options, Schema::workflow(), errors, &mut job_count);
        converter.workflow(root.as_ref())
    };
    if options.called_workflows && errors.is_empty() {
        let mut calls = call::Calls {
            options,
            loader,
            usage: &mut usage,
            errors: &mut errors,
            job_count: &mut job_count,
            files: vec![file.name().to_uppercase()],
            calls: 0,
        };
        calls.load_all(&mut workflow.jobs, file, 1);
    }
    (workflow, errors.into_vec())
}

/// Reads an action's metadata.
pub fn action(file: &SourceFile, limits: &Limits) -> (Action, Vec<Error>) {
    let mut errors = Errors::default();
    let mut usage = Usage::default();
    let root = template::read(
        file,
        Schema::action(),
        schema::ACTION_ROOT,
        limits,
        &mut usage,
        &mut errors,
    );
    let action = action::convert(file, root.as_ref(), limits, &mut errors);
    (action, errors.into_vec())
}
