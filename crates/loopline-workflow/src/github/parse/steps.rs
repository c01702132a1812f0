//! Steps, and the ids of those that have none.

use std::sync::Arc;

use super::condition;
use super::convert::{Converter, If};
use super::identifiers::Identifiers;
use super::problem::Problem;
use crate::github::model::{Step, StepKind, Text, UsesRef};
use crate::github::template::Token;

/// What the keys of one step hold.
#[derive(Default)]
struct Keys<'a> {
    id: Option<Text>,
    condition: Option<Token>,
    name: Option<&'a Token>,
    run: Option<&'a Token>,
    uses: Option<&'a Token>,
    with: Option<&'a Token>,
    shell: Option<&'a Token>,
    working_directory: Option<&'a Token>,
    env: Option<&'a Token>,
    continue_on_error: Option<&'a Token>,
    timeout_minutes: Option<&'a Token>,
    background: Option<&'a Token>,
    wait: Option<&'a Token>,
    wait_all: Option<&'a Token>,
    cancel: Option<&'a Token>,
    parallel: Option<&'a Token>,
}

impl Converter<'_> {
    /// Converts a sequence of steps; `in_parallel` says that they run side by side.
    pub(super) fn steps(&mut self, token: &Token, in_parallel: bool) -> Vec<Step> {
        let mut identifiers = Identifiers::default();
        let mut steps = Vec::new();
        for item in token.as_sequence().unwrap_or_default() {
            if item.as_mapping().is_some() {
                steps.extend(self.step(item, &mut identifiers, in_parallel));
            }
        }
        for step in &mut steps {
            if !step.id_generated {
                continue;
            }
            let stem = format!("__{}", stem(&step.kind));
            match identifiers.make(&stem) {
                Ok(id) => step.id.value = id.into(),
                Err(problem) => {
                    self.problem(step.span, problem);
                    break;
                }
            }
        }
        steps
    }

    fn step(
        &mut self,
        token: &Token,
        identifiers: &mut Identifiers,
        in_parallel: bool,
    ) -> Option<Step> {
        let mut keys = Keys::default();
        for pair in token.as_mapping().unwrap_or_default() {
            let value = &pair.value;
            let Some(key) = pair.key.as_str() else { continue };
            match key {
                "id" => keys.id = self.step_id(value, identifiers),
                "name" => keys.name = Some(value),
                "if" => keys.condition = Some(self.condition(value, If::Step)),
                "run" => keys.run = Some(value),
                "uses" => keys.uses = Some(value),
                "with" => keys.with = Some(value),
                "shell" => keys.shell = Some(value),
                "working-directory" => keys.working_directory = Some(value),
                "env" => keys.env = Some(value),
                "continue-on-error" => keys.continue_on_error = Some(value),
                "timeout-minutes" => keys.timeout_minutes = Some(value),
                "background" => keys.background = Some(value),
                "wait" => keys.wait = Some(value),
                "wait-all" => keys.wait_all = Some(value),
                "cancel" => keys.cancel = Some(value),
                "parallel" => keys.parallel = Some(value),
                _ => {}
            }
        }
        let kind = self.step_kind(token, &keys, identifiers)?;
        if in_parallel {
            self.check_in_parallel(token, &kind, keys.background.is_some());
        }
        let synthetic = match &kind {
            StepKind::Wait(_) => Some("Wait"),
            StepKind::WaitAll => Some("Wait for all"),
            StepKind::Cancel(_) => Some("Cancel"),
            StepKind::Parallel(_) => Some("Parallel group"),
            StepKind::Run { .. } | StepKind::Uses { .. } => None,
        };
        let name = keys.name.cloned();
        Some(Step {
            id_generated: keys.id.is_none(),
            id: keys.id.unwrap_or_else(|| Text { value: "".into(), span: token.span }),
            span: token.span,
            name: name.or_else(|| synthetic.map(|name| Token::string(token.span, name))),
            condition: keys.condition.unwrap_or_else(|| condition::default(token.span)),
            continue_on_error: keys.continue_on_error.cloned(),
            timeout_minutes: keys.timeout_minutes.cloned(),
            env: keys.env.cloned(),
            background: keys.background.and_then(|token| self.boolean(token, "background")),
            kind,
        })
    }

    fn step_id(&mut self, token: &Token, identifiers: &mut Identifiers) -> Option<Text> {
        let id = self.text(token, "steps item id")?;
        if id.is_empty() {
            return None;
        }
        if let Err(problem) = identifiers.add(&id) {
            self.problem(id.span, problem);
        }
        Some(id)
    }

    fn step_kind(
        &mut self,
        token: &Token,
        keys: &Keys<'_>,
        identifiers: &Identifiers,
    ) -> Option<StepKind> {
        if let Some(run) = keys.run {
            return Some(StepKind::Run {
                run: run.clone(),
                shell: keys.shell.cloned(),
                working_directory: keys.working_directory.cloned(),
            });
        }
        if let Some(uses) = keys.uses {
            let uses = self.text(uses, "steps item uses")?;
            if UsesRef::parse(&uses).is_none() {
                self.problem(uses.span, Problem::UsesFormat(uses.to_string()));
            }
            return Some(StepKind::Uses { uses, with: keys.with.cloned() });
        }
        if let Some(wait) = keys.wait {
            let targets = self.texts(wait, "steps item wait");
            for target in &targets {
                self.check_target(target, keys.id.as_ref(), identifiers);
            }
            return Some(StepKind::Wait(targets));
        }
        if let Some(wait_all) = keys.wait_all {
            if !wait_all.is_null()
                && self.boolean(wait_all, "wait-all").is_some_and(|all| !all.value)
            {
                self.problem(wait_all.span, Problem::WaitAllFalse);
            }
            return Some(StepKind::WaitAll);
        }
        if let Some(cancel) = keys.cancel {
            let target = self.text(cancel, "steps item cancel")?;
            self.check_target(&target, keys.id.as_ref(), identifiers);
            return Some(StepKind::Cancel(target));
        }
        if let Some(parallel) = keys.parallel {
            return Some(StepKind::Parallel(self.steps(parallel, true)));
        }
        self.problem(token.span, Problem::EmptyStep);
        None
    }

    fn check_target(&mut self, target: &Text, own: Option<&Text>, identifiers: &Identifiers) {
        let name = target.to_string();
        let problem = if target.starts_with("__") {
            Problem::ReservedId(name)
        } else if own.is_some_and(|own| own.eq_ignore_ascii_case(target)) {
            Problem::StepReferencesItself(name)
        } else if !identifiers.contains(target) {
            Problem::UnknownStep(name)
        } else {
            return;
        };
        self.problem(target.span, problem);
    }

    fn check_in_parallel(&mut self, token: &Token, kind: &StepKind, background: bool) {
        if background {
            self.problem(token.span, Problem::BackgroundInParallel);
        }
        let problem = match kind {
            StepKind::Run { .. } | StepKind::Uses { .. } => return,
            StepKind::Wait(_) => Problem::NotInParallel("wait"),
            StepKind::WaitAll => Problem::NotInParallel("wait-all"),
            StepKind::Cancel(_) => Problem::NotInParallel("cancel"),
            StepKind::Parallel(_) => Problem::NestedParallel,
        };
        self.problem(token.span, problem);
    }
}

/// Returns what a made-up id starts with.
fn stem(kind: &StepKind) -> Arc<str> {
    match kind {
        StepKind::Run { .. } => "run".into(),
        StepKind::Wait(_) => "wait".into(),
        StepKind::WaitAll => "wait-all".into(),
        StepKind::Cancel(_) => "cancel".into(),
        StepKind::Parallel(_) => "parallel".into(),
        StepKind::Uses { uses, .. } => match UsesRef::parse(uses) {
            Some(UsesRef::Docker(image)) if !image.is_empty() => image.into(),
            Some(UsesRef::Local(_) | UsesRef::Own(_)) => "self".into(),
            Some(UsesRef::Remote { owner, repository, .. }) => {
                format!("{owner}/{repository}").into()
            }
            _ => "run".into(),
        },
    }
}
