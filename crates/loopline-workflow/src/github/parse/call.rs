//! Called workflows: found, read, converted, and held to what their caller states.

use std::sync::Arc;

use loopline_source::SourceFile;

use super::convert::Converter;
use super::problem::Problem;
use super::{Loader, MAX_CALLS, Options, permissions};
use crate::github::expression::format_number;
use crate::github::model::{Called, Job, JobKind, ReusableJob, Secrets, Workflow};
use crate::github::schema::Schema;
use crate::github::template::{self, ErrorKind, Errors, Kind, Token, Usage};

/// Loads the workflows that jobs call, and those that they call.
pub(super) struct Calls<'a> {
    pub(super) options: &'a Options,
    pub(super) loader: &'a mut dyn Loader,
    pub(super) usage: &'a mut Usage,
    pub(super) errors: &'a mut Errors,
    pub(super) job_count: &'a mut usize,
    /// The names of the files read so far, without regard to case.
    pub(super) files: Vec<String>,
    /// How many calls there were.
    pub(super) calls: usize,
}

impl Calls<'_> {
    /// Loads what `jobs` of `caller` call; stops at the first call with mistakes.
    pub(super) fn load_all(&mut self, jobs: &mut [Job], caller: &SourceFile, depth: usize) {
        for job in jobs {
            let JobKind::Reusable(reusable) = &mut job.kind else { continue };
            if depth > self.options.nesting {
                let problem = Problem::NestedTooDeep(self.options.nesting);
                self.errors.add(caller, None, ErrorKind::Model(problem));
                return;
            }
            let before = self.errors.len();
            let uses = reusable.uses.clone();
            let stated = job.permissions.clone();
            let called = self.load(&job.id, stated, reusable, caller);
            self.errors.called_from(before, caller, uses.span);
            if !self.errors.is_empty() {
                reusable.called = called;
                return;
            }
            if let Some(mut called) = called {
                let file = called.workflow.file.clone();
                self.load_all(&mut called.workflow.jobs, &file, depth + 1);
                reusable.called = Some(called);
            }
            if !self.errors.is_empty() {
                return;
            }
        }
    }

    fn load(
        &mut self,
        id: &crate::github::model::Text,
        stated: Option<crate::github::model::Permissions>,
        job: &ReusableJob,
        caller: &SourceFile,
    ) -> Option<Called> {
        let uses = &job.uses;
        let problem = |problem| ErrorKind::Model(problem);
        self.calls += 1;
        if self.calls > MAX_CALLS {
            self.errors.add(caller, None, problem(Problem::TooManyCalls(MAX_CALLS)));
            return None;
        }
        let Some(file) = self.loader.load(uses, caller) else {
            self.errors.add(caller, Some(uses.span), problem(Problem::NoSuchWorkflow));
            return None;
        };
        let name = file.name().to_uppercase();
        if !self.files.contains(&name) {
            self.files.push(name);
            if self.files.len() > self.options.files {
                let most = self.options.files;
                self.errors.add(caller, None, problem(Problem::TooManyFiles(most)));
                return None;
            }
        }
        let root = template::read(
            &file,
            Schema::workflow(),
            self.options.root(),
            &self.options.limits,
            self.usage,
            self.errors,
        )?;
        if !self.errors.is_empty() {
            return None;
        }
        let on = root.get("on");
        let call = on.and_then(|on| on.get("workflow_call"));
        let definitions = |key| call.and_then(|call| call.get(key)).cloned();
        let (inputs, secrets) = (definitions("inputs"), definitions("secrets"));
        if is_callable(on) {
            self.check_inputs(inputs.as_ref(), job, caller, &file);
            self.check_secrets(secrets.as_ref(), job, caller);
        } else {
            let span = on.map(|on| on.span);
            self.errors.add(&file, span, problem(Problem::NotCallable));
        }
        let mut converter =
            Converter::new(&file, self.options, Schema::workflow(), self.errors, self.job_count);
        let mut workflow = converter.workflow(Some(&root));
        let allowed = stated
            .clone()
            .unwrap_or_else(|| self.options.policy.permissions(uses.starts_with("./")));
        self.check_permissions(&workflow, &root, &allowed, uses, id, caller);
        let permissions = workflow.permissions.clone().or(stated);
        if let Some(permissions) = &permissions {
            for job in &mut workflow.jobs {
                job.permissions.get_or_insert_with(|| permissions.clone());
            }
        }
        Some(Called {
            workflow,
            input_definitions: inputs,
            secret_definitions: secrets,
            output_definitions: definitions("outputs"),
            permissions,
        })
    }

    fn check_permissions(
        &mut self,
        workflow: &Workflow,
        root: &Token,
        allowed: &crate::github::model::Permissions,
        uses: &Arc<str>,
        id: &crate::github::model::Text,
        caller: &SourceFile,
    ) {
        let mut check = |requested, asker: &dyn Fn() -> String| {
            if let Err(found) = permissions::check_within(requested, allowed, uses, asker) {
                self.errors.add(caller, Some(id.span), ErrorKind::Model(found));
            }
        };
        if let Some(requested) = &workflow.permissions {
            check(requested, &|| format!("The workflow '{uses}'"));
        }
        let jobs = root.get("jobs");
        for job in &workflow.jobs {
            // Only what a job states itself; what it has from the file was checked above.
            let states = jobs.and_then(|jobs| jobs.get(&job.id)?.get("permissions")).is_some();
            if let Some(requested) = job.permissions.as_ref().filter(|_| states) {
                let name = job.name.as_str().unwrap_or(&job.id);
                check(requested, &|| format!("The nested job '{name}'"));
            }
        }
    }

    fn check_inputs(
        &mut self,
        definitions: Option<&Token>,
        job: &ReusableJob,
        caller: &SourceFile,
        called: &SourceFile,
    ) {
        let values = job.with.as_ref();
        for pair in definitions.and_then(Token::as_mapping).unwrap_or_default() {
            let Some(name) = pair.key.as_str() else { continue };
            let kind = pair.value.get("type").and_then(Token::as_str).unwrap_or("string");
            if let Some(default) = pair.value.get("default") {
                self.check_type(default, kind, called);
            }
            if let Some(value) = find(values, name) {
                self.check_type(value, kind, caller);
                continue;
            }
            if pair.value.get("required").and_then(Token::as_bool) == Some(true) {
                let problem = Problem::InputRequired(name.to_owned());
                self.errors.add(caller, Some(job.uses.span), ErrorKind::Model(problem));
            }
        }
        for pair in values.and_then(Token::as_mapping).unwrap_or_default() {
            let Some(name) = pair.key.as_str() else { continue };
            if find(definitions, name).is_none() {
                let problem = Problem::UnknownInput(name.to_owned());
                self.errors.add(caller, Some(pair.value.span), ErrorKind::Model(problem));
            }
        }
    }

    /// Checks a literal value of an input; strings take every literal.
    fn check_type(&mut self, value: &Token, kind: &str, file: &SourceFile) {
        let fits = match &value.kind {
            Kind::Expression(_) => true,
            Kind::Boolean(_) => kind != "number",
            Kind::Number(_) => kind != "boolean",
            _ => kind == "string",
        };
        if !fits {
            let text = match &value.kind {
                Kind::String(text) => text.to_string(),
                Kind::Boolean(value) => value.to_string(),
                Kind::Number(value) => format_number(*value).into_owned(),
                _ => String::new(),
            };
            self.errors.add(file, Some(value.span), ErrorKind::UnexpectedValue(text));
        }
    }

    fn check_secrets(
        &mut self,
        definitions: Option<&Token>,
        job: &ReusableJob,
        caller: &SourceFile,
    ) {
        let values = match &job.secrets {
            Secrets::Inherit => return,
            Secrets::None => None,
            Secrets::Mapping(values) => Some(values),
        };
        for pair in definitions.and_then(Token::as_mapping).unwrap_or_default() {
            let Some(name) = pair.key.as_str() else { continue };
            let required = pair.value.get("required").and_then(Token::as_bool) == Some(true);
            if required && find(values, name).is_none() {
                let problem = Problem::SecretRequired(name.to_owned());
                self.errors.add(caller, Some(job.uses.span), ErrorKind::Model(problem));
            }
        }
        for pair in values.and_then(Token::as_mapping).unwrap_or_default() {
            let Some(name) = pair.key.as_str() else { continue };
            if find(definitions, name).is_none() {
                let problem = Problem::UnknownSecret(name.to_owned());
                self.errors.add(caller, Some(pair.value.span), ErrorKind::Model(problem));
            }
        }
    }
}

/// Returns whether `on` holds `workflow_call`.
fn is_callable(on: Option<&Token>) -> bool {
    let is_call = |token: &Token| token.as_str() == Some("workflow_call");
    match on.map(|on| (on, &on.kind)) {
        Some((on, Kind::String(_))) => is_call(on),
        Some((_, Kind::Sequence(items))) => items.iter().any(is_call),
        Some((on, Kind::Mapping(_))) => on.get("workflow_call").is_some(),
        _ => false,
    }
}

/// Finds a key without regard to case.
fn find<'a>(mapping: Option<&'a Token>, name: &str) -> Option<&'a Token> {
    mapping?
        .as_mapping()?
        .iter()
        .find(|pair| pair.key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(name)))
        .map(|pair| &pair.value)
}
