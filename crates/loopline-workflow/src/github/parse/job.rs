//! One job: what is literal in it is checked now, the rest is kept as tokens.

use loopline_source::Span;

use super::convert::{Converter, If};
use super::problem::Problem;
use super::{condition, identifiers::Identifiers, matrix, permissions};
use crate::github::model::{Job, JobKind, OrdinaryJob, ReusableJob, Secrets, Text};
use crate::github::template::{Kind, Token};

impl Converter<'_> {
    /// Converts the job `id`.
    pub(super) fn job(&mut self, id: Text, token: &Token) -> Job {
        if let Err(problem) = Identifiers::default().add(&id) {
            self.problem(id.span, problem);
        }
        let mut job = Job {
            span: token.span,
            name: Token::string(id.span, id.value.clone()),
            needs: Vec::new(),
            condition: condition::default(Span::at(id.span.start)),
            strategy: None,
            permissions: None,
            concurrency: None,
            kind: JobKind::Ordinary(Box::new(empty())),
            id,
        };
        let mut ordinary = empty();
        let mut uses = None;
        let mut with = None;
        let mut secrets = Secrets::None;
        for pair in token.as_mapping().unwrap_or_default() {
            let value = &pair.value;
            let kept = || Some(value.clone());
            let Some(key) = pair.key.as_str() else { continue };
            match key {
                "name" if value.as_str() == Some("") => {}
                "name" => job.name = value.clone(),
                "needs" => job.needs = self.texts(value, "job needs"),
                "if" => job.condition = self.condition(value, If::Job),
                "strategy" => {
                    matrix::check(self, value);
                    job.strategy = kept();
                }
                "permissions" => job.permissions = Some(permissions::convert(value)),
                "concurrency" => {
                    self.concurrency(value);
                    job.concurrency = kept();
                }
                "runs-on" => {
                    self.runs_on(value);
                    ordinary.runs_on = kept();
                }
                "timeout-minutes" => ordinary.timeout_minutes = kept(),
                "cancel-timeout-minutes" => ordinary.cancel_timeout_minutes = kept(),
                "continue-on-error" => ordinary.continue_on_error = kept(),
                "container" => {
                    self.container(value);
                    ordinary.container = kept();
                }
                "services" => {
                    for service in value.as_mapping().unwrap_or_default() {
                        self.container(&service.value);
                    }
                    ordinary.services = kept();
                }
                "env" => ordinary.env = kept(),
                "environment" => ordinary.environment = kept(),
                "outputs" => ordinary.outputs = kept(),
                "defaults" => ordinary.defaults = kept(),
                "snapshot" => {
                    self.snapshot(value);
                    ordinary.snapshot = kept();
                }
                "steps" => ordinary.steps = self.steps(value, false),
                "uses" => uses = self.text(value, "job uses value"),
                "with" => with = kept(),
                "secrets" => {
                    secrets = match &value.kind {
                        Kind::Mapping(_) => Secrets::Mapping(value.clone()),
                        _ => Secrets::Inherit,
                    };
                }
                _ => {}
            }
        }
        job.kind = match uses {
            Some(uses) => {
                JobKind::Reusable(Box::new(ReusableJob { uses, with, secrets, called: None }))
            }
            None => JobKind::Ordinary(Box::new(ordinary)),
        };
        job
    }

    /// Returns one string or a sequence of strings.
    pub(super) fn texts(&mut self, token: &Token, place: &str) -> Vec<Text> {
        match &token.kind {
            Kind::Sequence(items) => {
                items.iter().filter_map(|item| self.text(item, place)).collect()
            }
            _ => self.text(token, place).into_iter().collect(),
        }
    }

    fn runs_on(&mut self, token: &Token) {
        let Some(group) = token.get("group") else { return };
        let Some(name) = group.as_str() else { return };
        let parts: Vec<&str> = name.split('/').collect();
        let prefixes = ["org", "organization", "ent", "enterprise"];
        let problem = match parts.as_slice() {
            [_] => return,
            [prefix, _] if !prefixes.contains(prefix) => {
                Problem::RunnerGroupPrefix(name.to_owned())
            }
            [_, ""] => Problem::RunnerGroup(name.to_owned()),
            [_, _] => return,
            _ => Problem::RunnerGroupPrefix(name.to_owned()),
        };
        self.problem(group.span, problem);
    }

    fn container(&mut self, token: &Token) {
        if token.has_expressions() {
            return;
        }
        let image = match &token.kind {
            // `container: ''` is no container.
            Kind::Mapping(_) => token.get("image").and_then(Token::as_str).unwrap_or_default(),
            _ => return,
        };
        if image.is_empty() {
            self.problem(token.span, Problem::EmptyImage);
        }
    }

    fn snapshot(&mut self, token: &Token) {
        if let Some(condition) = token.get("if") {
            // Checked here, kept as it is: only the runner's service evaluates it.
            self.condition(condition, If::Snapshot);
        }
        if let Some(version) = token.get("version").and_then(Token::as_str) {
            let major = version.strip_suffix(".*");
            let good = major.is_some_and(|major| {
                !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit())
            });
            if !good {
                self.problem(token.span, Problem::SnapshotVersion(version.to_owned()));
            }
        }
    }
}

fn empty() -> OrdinaryJob {
    OrdinaryJob {
        runs_on: None,
        timeout_minutes: None,
        cancel_timeout_minutes: None,
        continue_on_error: None,
        container: None,
        services: None,
        env: None,
        environment: None,
        outputs: None,
        defaults: None,
        snapshot: None,
        steps: Vec::new(),
    }
}
