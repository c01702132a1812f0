//! A workflow's root, its jobs in order, and what they need of each other.

use std::collections::HashMap;
use std::sync::Arc;

use loopline_source::{SourceFile, Span};

use super::problem::Problem;
use super::{Options, condition, events, permissions};
use crate::github::model::{Job, Spanned, Text, Workflow};
use crate::github::schema::Schema;
use crate::github::template::{Allowed, ErrorKind, Errors, Kind, Token};

/// Converts the tokens of one file.
pub(super) struct Converter<'a> {
    pub(super) file: &'a SourceFile,
    pub(super) options: &'a Options,
    job_if: Arc<Allowed>,
    step_if: Arc<Allowed>,
    snapshot_if: Arc<Allowed>,
    errors: &'a mut Errors,
    job_count: &'a mut usize,
}

impl<'a> Converter<'a> {
    pub(super) fn new(
        file: &'a SourceFile,
        options: &'a Options,
        steps: &Schema,
        errors: &'a mut Errors,
        job_count: &'a mut usize,
    ) -> Self {
        Self {
            file,
            options,
            job_if: Arc::new(allowed(Schema::workflow(), "job-if")),
            step_if: Arc::new(allowed(steps, "step-if")),
            snapshot_if: Arc::new(allowed(Schema::workflow(), "snapshot-if")),
            errors,
            job_count,
        }
    }

    pub(super) fn error(&mut self, span: Span, kind: ErrorKind) {
        self.errors.add(self.file, Some(span), kind);
    }

    pub(super) fn problem(&mut self, span: Span, problem: Problem) {
        self.error(span, ErrorKind::Model(problem));
    }

    /// Returns a literal string with its place; anything else is told.
    pub(super) fn text(&mut self, token: &Token, place: &str) -> Option<Text> {
        match &token.kind {
            Kind::String(text) => Some(Text { value: text.clone(), span: token.span }),
            _ => {
                self.wrong_type(token, place, "StringToken");
                None
            }
        }
    }

    /// Returns a literal boolean; anything else is told.
    pub(super) fn boolean(&mut self, token: &Token, place: &str) -> Option<Spanned<bool>> {
        match token.as_bool() {
            Some(value) => Some(Spanned { value, span: token.span }),
            None => {
                self.wrong_type(token, place, "BooleanToken");
                None
            }
        }
    }

    /// Tells about a value of another type than the place needs.
    pub(super) fn wrong_type(&mut self, token: &Token, place: &str, expected: &'static str) {
        let actual = match token.kind {
            Kind::Null => "NullToken",
            Kind::Boolean(_) => "BooleanToken",
            Kind::Number(_) => "NumberToken",
            Kind::String(_) => "StringToken",
            Kind::Expression(_) => "BasicExpressionToken",
            Kind::Insert => "InsertExpressionToken",
            Kind::Sequence(_) => "SequenceToken",
            Kind::Mapping(_) => "MappingToken",
        };
        let place = place.to_owned();
        self.error(token.span, ErrorKind::WrongType { actual, place, expected });
    }

    /// Converts a whole file.
    pub(super) fn workflow(&mut self, root: Option<&Token>) -> Workflow {
        let mut workflow = Workflow {
            file: self.file.clone(),
            name: None,
            description: None,
            run_name: None,
            on: Vec::new(),
            on_span: None,
            permissions: None,
            env: None,
            defaults: None,
            concurrency: None,
            jobs: Vec::new(),
        };
        for pair in root.and_then(Token::as_mapping).unwrap_or_default() {
            let value = &pair.value;
            match pair.key.as_str() {
                Some("on") => {
                    workflow.on_span = Some(value.span);
                    workflow.on = events::convert(self, value);
                }
                Some("name") => workflow.name = self.text(value, "name"),
                Some("description") => workflow.description = self.text(value, "description"),
                Some("run-name") => workflow.run_name = Some(value.clone()),
                Some("defaults") => workflow.defaults = Some(value.clone()),
                Some("env") => workflow.env = Some(value.clone()),
                Some("permissions") => workflow.permissions = Some(permissions::convert(value)),
                Some("concurrency") => {
                    self.concurrency(value);
                    workflow.concurrency = Some(value.clone());
                }
                Some("jobs") => workflow.jobs = self.jobs(value),
                _ => {}
            }
        }
        if let Some(stated) = &workflow.permissions {
            for job in &mut workflow.jobs {
                job.permissions.get_or_insert_with(|| stated.clone());
            }
        }
        workflow
    }

    /// Checks what of `concurrency` is literal.
    pub(super) fn concurrency(&mut self, token: &Token) {
        let group = match &token.kind {
            Kind::String(group) => Some(group),
            _ => match token.get("group").map(|group| &group.kind) {
                Some(Kind::String(group)) => Some(group),
                _ => None,
            },
        };
        if group.is_some_and(|group| group.encode_utf16().count() > MAX_GROUP_LENGTH) {
            self.problem(token.span, Problem::LongGroup);
        }
        let queue = token.get("queue").and_then(Token::as_str);
        if let Some(cancel) = token.get("cancel-in-progress")
            && queue == Some("max")
            && matches!(cancel.kind, Kind::Boolean(true))
        {
            self.problem(cancel.span, Problem::QueueOfCancelled);
        }
    }

    fn jobs(&mut self, token: &Token) -> Vec<Job> {
        let mut jobs = Vec::new();
        for pair in token.as_mapping().unwrap_or_default() {
            let (Some(id), Kind::Mapping(_)) = (pair.key.as_str(), &pair.value.kind) else {
                continue;
            };
            let id = Text { value: Arc::from(id), span: pair.key.span };
            self.count_job(id.span);
            jobs.push(self.job(id, &pair.value));
        }
        if self.errors.is_empty() {
            self.check_needs(token.span, &jobs);
        }
        jobs
    }

    /// Tells once when there are too many jobs in all files together.
    fn count_job(&mut self, span: Span) {
        *self.job_count += 1;
        if let Some(most) = self.options.jobs
            && *self.job_count == most + 1
        {
            self.problem(span, Problem::TooManyJobs(most));
        }
    }

    /// Checks that every need is a job and that no jobs wait for each other.
    fn check_needs(&mut self, span: Span, jobs: &[Job]) {
        if jobs.iter().all(|job| !job.needs.is_empty()) {
            self.problem(span, Problem::NoFirstJob);
            return;
        }
        let mut index = HashMap::with_capacity(jobs.len());
        for (at, job) in jobs.iter().enumerate() {
            index.entry(job.id.to_ascii_lowercase()).or_insert(at);
        }
        let find = |need: &Text| index.get(&need.to_ascii_lowercase()).copied();
        let mut waiting: Vec<usize> = jobs.iter().map(|job| job.needs.len()).collect();
        let mut dependants = vec![Vec::new(); jobs.len()];
        for (at, job) in jobs.iter().enumerate() {
            for need in &job.needs {
                if let Some(found) = find(need) {
                    dependants[found].push(at);
                }
            }
        }
        let mut ready: Vec<usize> = (0..jobs.len()).filter(|at| waiting[*at] == 0).collect();
        let mut runs = vec![false; jobs.len()];
        while let Some(at) = ready.pop() {
            runs[at] = true;
            for dependant in &dependants[at] {
                waiting[*dependant] -= 1;
                if waiting[*dependant] == 0 {
                    ready.push(*dependant);
                }
            }
        }
        for (job, _) in jobs.iter().zip(&runs).filter(|(_, runs)| !**runs) {
            for need in &job.needs {
                let (job, name) = (job.id.to_string(), need.to_string());
                match find(need) {
                    Some(found) if runs[found] => {}
                    Some(_) => self.problem(need.span, Problem::NeedsCycle { job, need: name }),
                    None => self.problem(need.span, Problem::UnknownNeed { job, need: name }),
                }
            }
        }
    }

    /// Reads an `if`.
    pub(super) fn condition(&mut self, token: &Token, of: If) -> Token {
        let allowed = Arc::clone(match of {
            If::Job => &self.job_if,
            If::Step => &self.step_if,
            If::Snapshot => &self.snapshot_if,
        });
        condition::convert(self, token, &allowed)
    }
}

/// Whose `if` it is.
#[derive(Clone, Copy)]
pub(super) enum If {
    Job,
    Step,
    Snapshot,
}

/// How long the name of a concurrency group may be.
const MAX_GROUP_LENGTH: usize = 400;

/// Returns the contexts and functions the definition `name` allows.
fn allowed(schema: &Schema, name: &str) -> Allowed {
    let context = schema.find(name).map(|id| schema.get(id).context.as_slice());
    Allowed::default().with(context.unwrap_or_default())
}
