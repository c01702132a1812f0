//! Calling a workflow: what goes in and what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::action::Action;
use super::context::{Contexts, finished_job};
use super::evaluate::{EvaluationError, Scenario, value};
use super::leg::{Leg, concurrency};
use super::run::Ancestors;
use super::run::{HolderOf, Instance, InstanceId, LegId, Node, Run, Work};
use crate::github::expression::{Object, Value};
use crate::github::model::{EventConfig, Input, InputKind, ReusableJob, Secrets, Workflow};
use crate::github::plan::{Graph, Selection};
use crate::run::Conclusion;

/// The one secret that every workflow has without being given it.
const TOKEN: &str = "GITHUB_TOKEN";

/// Returns the contexts of the workflow that `job` calls, from those of the job.
pub(crate) fn contexts(job: &ReusableJob, caller: &Contexts) -> Result<Contexts, EvaluationError> {
    let mut given = Object::new();
    if let Some(with) = &job.with
        && let Value::Object(object) = value(with, caller, Scenario::SUCCESS)?
    {
        given = (*object).clone();
    }
    let mut contexts = Contexts {
        github: caller.github.clone(),
        vars: caller.vars.clone(),
        ..Contexts::default()
    };
    let mut inputs = Object::new();
    if let Some(called) = &job.called {
        for input in definitions(&called.workflow) {
            let found = given.get(&input.name).filter(|it| !matches!(it, Value::Null));
            let typed = match (found, &input.default) {
                (Some(found), _) => typed(input, found.clone(), job)?,
                (None, Some(default)) => {
                    let found = value(default, &contexts, Scenario::SUCCESS)?;
                    typed(input, found, job)?
                }
                (None, None) if input.required => {
                    let reason =
                        format!("the called workflow requires the input `{}`", &*input.name.value);
                    return Err(EvaluationError::at(job.uses.span, reason));
                }
                (None, None) => empty(input.kind),
            };
            inputs.insert(&*input.name.value, typed);
        }
        for (name, _) in given.iter() {
            if !definitions(&called.workflow)
                .iter()
                .any(|input| input.name.eq_ignore_ascii_case(name))
            {
                let reason = format!("the called workflow has no input `{name}`");
                return Err(EvaluationError::at(job.uses.span, reason));
            }
        }
    }
    contexts.inputs = inputs.into();
    contexts.secrets = match &job.secrets {
        Secrets::Inherit => caller.secrets.clone(),
        Secrets::None => only_token(caller, Object::new()),
        Secrets::Mapping(token) => match value(token, caller, Scenario::SUCCESS)? {
            Value::Object(object) => only_token(caller, (*object).clone()),
            _ => only_token(caller, Object::new()),
        },
    };
    Ok(contexts)
}

fn only_token(caller: &Contexts, mut secrets: Object) -> Value {
    if let Some(token) = caller.secrets.get(TOKEN)
        && !secrets.contains_key(TOKEN)
    {
        secrets.insert(TOKEN, token.clone());
    }
    secrets.into()
}

/// Returns the inputs that a workflow takes when it is called.
pub(crate) fn definitions(workflow: &Workflow) -> &[Input] {
    match workflow.event("workflow_call").map(|event| &event.config) {
        Some(EventConfig::Call { inputs, .. }) => inputs,
        _ => &[],
    }
}

pub(crate) fn empty(kind: InputKind) -> Value {
    match kind {
        InputKind::Boolean => Value::Bool(false),
        InputKind::Number => Value::Number(0.0),
        InputKind::String | InputKind::Choice | InputKind::Environment => Value::from(""),
    }
}

fn typed(input: &Input, given: Value, job: &ReusableJob) -> Result<Value, EvaluationError> {
    let wrong = |given: &Value| {
        let reason = format!(
            "the input `{}` must be a {}, and is `{}`",
            &*input.name.value,
            input.kind.name(),
            given.to_text()
        );
        Err(EvaluationError::at(job.uses.span, reason))
    };
    match (input.kind, given) {
        (_, given @ (Value::Array(_) | Value::Object(_))) => wrong(&given),
        (InputKind::Boolean, given @ Value::Bool(_)) => Ok(given),
        (InputKind::Number, given @ Value::Number(_)) => Ok(given),
        (InputKind::Boolean | InputKind::Number, given) => wrong(&given),
        (_, given) => Ok(Value::from(given.to_text().into_owned())),
    }
}

impl Run {
    /// Adds a workflow that will run; returns its number.
    pub(super) fn add_instance(
        &mut self,
        graph: Arc<Graph>,
        parent: Option<LegId>,
        key_prefix: String,
        name_prefix: String,
        contexts: Contexts,
        selection: Selection,
    ) -> InstanceId {
        let id = self.instances.len();
        let wanted = selection.closure(&graph);
        let mut nodes = vec![None; graph.workflow.jobs.len()];
        let mut remaining = 0;
        for (job, node) in nodes.iter_mut().enumerate() {
            if !wanted[job] {
                continue;
            }
            *node = Some(self.nodes.len());
            remaining += 1;
            self.nodes.push(Node {
                instance: id,
                job,
                waiting: graph.needs[job].len(),
                result: None,
                failed: false,
                succeeded: false,
                cancelled: false,
                ancestors: Ancestors { all_succeeded: true, any_failed: false },
                fresh: false,
                needs_fresh: false,
                outputs: BTreeMap::new(),
                needs: Value::Null,
                legs: Vec::new(),
                unfinished: 0,
                in_flight: 0,
                max_parallel: 1,
                fail_fast: true,
                queue: std::collections::VecDeque::new(),
                stopped: false,
            });
        }
        let cancelled = parent
            .is_some_and(|leg| self.instances[self.nodes[self.legs[leg].node].instance].cancelled);
        self.instances.push(Instance {
            graph,
            parent,
            key_prefix,
            name_prefix,
            contexts,
            selection,
            nodes,
            remaining,
            claim: None,
            begun: false,
            ended: false,
            cancelled,
        });
        id
    }

    /// Begins the workflow that a leg calls.
    pub(super) fn begin_call(&mut self, leg: LegId, contexts: Contexts) {
        let node = &self.nodes[self.legs[leg].node];
        let caller = &self.instances[node.instance];
        let Some(graph) = caller.graph.calls[node.job].clone() else {
            let error = "the workflow it calls was not loaded".to_owned();
            return self.conclude(leg, Conclusion::Failure, error, None);
        };
        let selection = caller.selection.inner(&caller.graph.workflow.jobs[node.job].id.value);
        let key_prefix = format!("{}/", self.legs[leg].key);
        let name_prefix = format!("{} / ", self.legs[leg].name);
        let id = self.add_instance(graph, Some(leg), key_prefix, name_prefix, contexts, selection);
        self.legs[leg].instance = Some(id);
        self.claim_workflow(id);
    }

    /// Takes the workflow's concurrency group, or begins at once where it has none.
    pub(super) fn claim_workflow(&mut self, id: InstanceId) {
        let graph = Arc::clone(&self.instances[id].graph);
        let Some(token) = &graph.workflow.concurrency else { return self.begin_instance(id) };
        match concurrency(token, &self.instances[id].contexts) {
            Ok(group) => {
                let job = self.instances[id].parent.map(|leg| self.legs[leg].key.clone());
                let claim = self.claim(HolderOf::Instance(id), job, group);
                self.instances[id].claim = Some(claim);
            }
            Err(error) => self.end_failed(id, error.to_string()),
        }
    }

    /// Lets the jobs begin that need no other.
    pub(super) fn begin_instance(&mut self, id: InstanceId) {
        if self.instances[id].begun || self.instances[id].ended {
            return;
        }
        self.instances[id].begun = true;
        for node in self.instances[id].nodes.iter().flatten() {
            if self.nodes[*node].waiting == 0 {
                self.work.push_back(Work::Decide(*node));
            }
        }
        if self.instances[id].remaining == 0 {
            self.end_instance(id);
        }
    }

    /// Evaluates the outputs of a called workflow whose jobs have all ended.
    pub(super) fn call_outputs(
        &self,
        id: InstanceId,
    ) -> Result<BTreeMap<String, String>, EvaluationError> {
        let instance = &self.instances[id];
        let Some(EventConfig::Call { outputs, .. }) =
            instance.graph.workflow.event("workflow_call").map(|event| &event.config)
        else {
            return Ok(BTreeMap::new());
        };
        if outputs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut jobs = Object::new();
        for node in instance.nodes.iter().flatten().map(|node| &self.nodes[*node]) {
            let result = node.result.unwrap_or(Conclusion::Skipped);
            let id = &instance.graph.workflow.jobs[node.job].id.value;
            jobs.insert(&**id, finished_job(result, &node.outputs));
        }
        let jobs = Value::from(jobs);
        let mut evaluated = BTreeMap::new();
        for output in outputs {
            let found = super::evaluate::value_with(
                &output.value,
                &instance.contexts,
                Scenario::SUCCESS,
                &[("jobs", &jobs)],
            )?;
            let text = found.to_text();
            if !text.is_empty() {
                evaluated.insert(output.name.to_string(), text.into_owned());
            }
        }
        Ok(evaluated)
    }

    /// Tells that the workflow which a leg calls has ended.
    pub(super) fn tell_called(
        &mut self,
        leg: LegId,
        conclusion: Conclusion,
        outputs: &BTreeMap<String, String>,
    ) {
        let Leg { key, name, .. } = &self.legs[leg];
        self.actions.push(Action::Called {
            key: key.clone(),
            name: name.clone(),
            conclusion,
            outputs: outputs.clone(),
        });
    }
}
