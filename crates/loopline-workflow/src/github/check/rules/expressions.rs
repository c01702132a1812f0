//! Every expression of a workflow: its syntax, its types and what it may use where it stands.

use loopline_source::FileTree;

use super::configuration::Configuration;
use super::{reusable, steps_context};
use crate::github::check::expression::{Availability, Contexts, Object, Type};
use crate::github::check::findings::Findings;
use crate::github::check::model::{
    Action, Call, Combination, Combinations, Concurrency, Container, Credentials, Event, InputType,
    Job, Matrix, MatrixRow, Named, Raw, RawData, RunsOn, Services, Step, Strategy, Workflow,
};
use crate::github::check::text::Text;
use templates::Templates;

mod templates;

pub(super) fn check(
    workflow: &Workflow,
    tree: &dyn FileTree,
    configuration: &Configuration,
    findings: &mut Findings<'_>,
) {
    let mut templates =
        Templates { findings, contexts: Contexts::new(), shell: Availability::NOWHERE };
    if let Some(variables) = &configuration.variables {
        let known = variables.iter().map(|name| (name.clone(), Type::String));
        templates.contexts.set("vars", Type::strict(known));
    }
    events_contexts(workflow, &mut templates.contexts);
    templates.text(workflow.name.as_ref(), Availability::STEP);
    templates.text(workflow.run_name.as_ref(), Availability::RUN_NAME);
    templates.environment(workflow.env.as_ref(), Availability::WORKFLOW_ENV);
    if let Some(defaults) = &workflow.defaults {
        templates.text(defaults.shell.as_ref(), Availability::NOWHERE);
        templates.text(defaults.working_directory.as_ref(), Availability::NOWHERE);
    }
    concurrency(&mut templates, workflow.concurrency.as_ref(), Availability::RUN_NAME);
    for event in &workflow.events {
        if let Event::Call(call) = event {
            call_defaults(&mut templates, call);
            call_outputs(&mut templates, call, workflow, tree);
        }
    }
    let base = templates.contexts.clone();
    for one in &workflow.jobs {
        templates.contexts = base.clone();
        templates.contexts.set("needs", needs(one, workflow, tree));
        job(&mut templates, one, tree);
    }
}

/// Checks the steps of a composite action that takes `inputs`, and what its outputs read.
pub(super) fn composite(
    inputs: &[String],
    list: &[Step],
    outputs: &[Text],
    tree: &dyn FileTree,
    findings: &mut Findings<'_>,
) {
    let mut templates =
        Templates { findings, contexts: Contexts::new(), shell: Availability::STEP };
    let names = inputs.iter().map(|name| (name.to_lowercase(), Type::String));
    templates.contexts.set("inputs", Type::strict(names));
    // An action sees the matrix and jobs of whoever uses it, but no secrets.
    templates.contexts.set("matrix", Type::loose());
    templates.contexts.set("needs", Type::loose());
    templates.contexts.remove("secrets");
    steps(&mut templates, list, tree);
    for output in outputs {
        templates.text(Some(output), Availability::STEP);
    }
}

/// Sets what the events say of `inputs`, `secrets` and `github.event.inputs`.
fn events_contexts(workflow: &Workflow, contexts: &mut Contexts) {
    let mut inputs: Option<Object> = None;
    for event in &workflow.events {
        match event {
            Event::Dispatch { inputs: declared, .. } => {
                let named = declared.iter().map(|i| (i.name.lower(), input_type(i.kind)));
                let own = Object::strict(named);
                let texts = declared.iter().map(|i| (i.name.lower(), Type::String));
                contexts.set_event_inputs(Object::strict(texts));
                inputs = Some(merge_inputs(inputs, own));
            }
            Event::Call(call) => {
                let named = call.inputs.iter().map(|i| (i.name.lower(), input_type(i.kind)));
                inputs = Some(merge_inputs(inputs, Object::strict(named)));
                // Started by another event, the workflow sees all secrets of the repository.
                if let Some(secrets) = &call.secrets
                    && workflow.events.len() == 1
                {
                    let given = ["github_token", "actions_step_debug", "actions_runner_debug"];
                    let names = secrets.iter().map(|secret| secret.name.lower());
                    let names = names.chain(given.map(str::to_owned));
                    let secrets = Type::strict(names.map(|name| (name, Type::String)));
                    contexts.set("secrets", secrets);
                }
            }
            Event::Webhook(_)
            | Event::Schedule(_)
            | Event::RepositoryDispatch
            | Event::ImageVersion { .. } => {}
        }
    }
    contexts.set("inputs", Type::Object(inputs.unwrap_or_default()));
}

fn merge_inputs(known: Option<Object>, new: Object) -> Object {
    let Some(mut known) = known else { return new };
    for (name, kind) in new.properties {
        let kind = match known.properties.remove(&name) {
            Some(other) if other == kind => kind,
            Some(_) => Type::Any,
            None => kind,
        };
        known.properties.insert(name, kind);
    }
    known
}

fn input_type(kind: InputType) -> Type {
    match kind {
        InputType::Unknown => Type::Any,
        InputType::Number => Type::Number,
        InputType::Boolean => Type::Boolean,
        InputType::String | InputType::Choice | InputType::Environment => Type::String,
    }
}

/// Checks the defaults of inputs, each of which may use those before it.
fn call_defaults(templates: &mut Templates<'_, '_>, call: &Call) {
    let all = templates.contexts.clone();
    let mut known = Object::default();
    for input in &call.inputs {
        templates.contexts.set("inputs", Type::Object(known.clone()));
        if let Some(default) = &input.default {
            let given = templates.template(default, Availability::RUN_NAME, false);
            let wanted = input_type(input.kind);
            let fits = match (&given, &wanted) {
                (Some(given), Type::Number | Type::Boolean) => {
                    *given == wanted || *given == Type::Any
                }
                _ => true,
            };
            if let Some(given) = given.filter(|_| !fits) {
                templates.wrong_type(default, &format!("a {wanted}"), &given);
            }
        }
        known.properties.insert(input.name.lower(), input_type(input.kind));
    }
    templates.contexts = all;
}

fn call_outputs(
    templates: &mut Templates<'_, '_>,
    call: &Call,
    workflow: &Workflow,
    tree: &dyn FileTree,
) {
    let jobs = workflow.jobs.iter().map(|job| (job.id.lower(), job_result(job, tree)));
    templates.contexts.set("jobs", Type::strict(jobs));
    for output in &call.outputs {
        templates.text(output.value.as_ref(), Availability::CALL_OUTPUT);
    }
    templates.contexts.remove("jobs");
}

fn job_result(job: &Job, tree: &dyn FileTree) -> Type {
    let outputs = match &job.call {
        None => Type::strict(job.outputs.iter().map(|output| (output.name.lower(), Type::String))),
        Some(call) => match reusable::local(&call.uses.value, tree).flatten() {
            Some(called) => {
                let names = called.outputs.iter().map(|output| output.name.lower());
                Type::strict(names.map(|name| (name, Type::String)))
            }
            None => Type::loose(),
        },
    };
    Type::strict([("outputs", outputs), ("result", Type::String)])
}

fn needs(job: &Job, workflow: &Workflow, tree: &dyn FileTree) -> Type {
    let found = job.needs.iter().filter_map(|need| {
        let name = need.lower();
        let other = workflow.jobs.iter().find(|other| other.id.lower() == name)?;
        Some((name, job_result(other, tree)))
    });
    Type::strict(found)
}

fn concurrency(
    templates: &mut Templates<'_, '_>,
    concurrency: Option<&Concurrency>,
    place: Availability,
) {
    let Some(concurrency) = concurrency else { return };
    templates.text(concurrency.group.as_ref(), place);
    templates.boolean(concurrency.cancel_in_progress.as_ref(), place);
    templates.text(concurrency.queue.as_ref(), place);
}

fn job(templates: &mut Templates<'_, '_>, job: &Job, tree: &dyn FileTree) {
    templates.condition(job.condition.as_ref(), Availability::JOB_IF);
    if let Some(one) = &job.strategy {
        strategy(templates, one);
    }
    if let Some(Services::List(list)) = &job.services {
        let names: Vec<_> = list.iter().map(|service| service.name.lower()).collect();
        templates.contexts.set_services(&names);
    }
    let place = Availability::JOB;
    templates.text(job.name.as_ref(), place);
    if let Some(one) = &job.runs_on {
        runs_on(templates, one);
    }
    concurrency(templates, job.concurrency.as_ref(), place);
    templates.environment(job.env.as_ref(), Availability::JOB_ENV);
    if let Some(defaults) = &job.defaults {
        templates.text(defaults.shell.as_ref(), Availability::JOB_DEFAULTS);
        templates.text(defaults.working_directory.as_ref(), Availability::JOB_DEFAULTS);
    }
    templates.number(job.timeout_minutes.as_ref(), place);
    templates.number(job.cancel_timeout_minutes.as_ref(), place);
    templates.boolean(job.continue_on_error.as_ref(), place);
    if let Some(one) = &job.container {
        container(templates, one);
    }
    match &job.services {
        Some(Services::Expression(text)) => templates.object(text, place),
        Some(Services::List(list)) => {
            for service in list {
                container(templates, &service.value);
            }
        }
        None => {}
    }
    if let Some(snapshot) = &job.snapshot {
        templates.text(snapshot.image_name.as_ref(), place);
        templates.text(snapshot.version.as_ref(), place);
        templates.condition(snapshot.condition.as_ref(), Availability::SNAPSHOT_IF);
    }
    if let Some(call) = &job.call {
        templates.text(Some(&call.uses), Availability::NOWHERE);
        for input in &call.inputs {
            templates.text(Some(&input.value), place);
        }
        call_types(templates, &call.uses.value, &call.inputs, tree);
        for secret in &call.secrets {
            templates.text(Some(&secret.value), Availability::JOB_ENV);
        }
    }
    steps(templates, &job.steps, tree);
    if let Some(deployment) = &job.deployment {
        templates.text(deployment.name.as_ref(), place);
        templates.text(deployment.url.as_ref(), Availability::DEPLOYMENT_URL);
        templates.boolean(deployment.deployment.as_ref(), place);
    }
    for output in &job.outputs {
        templates.text(Some(&output.value), Availability::JOB_OUTPUT);
    }
}

/// Checks the types that expressions give to the inputs of a called workflow.
fn call_types(
    templates: &mut Templates<'_, '_>,
    uses: &str,
    inputs: &[Named<Text>],
    tree: &dyn FileTree,
) {
    let Some(called) = reusable::local(uses, tree).flatten() else { return };
    for input in inputs {
        let declared = called.inputs.iter().find(|i| i.name.lower() == input.name.lower());
        let Some(wanted) = declared.map(|declared| input_type(declared.kind)) else { continue };
        if !input.value.has_expression() {
            continue;
        }
        let given = if input.value.is_expression() {
            templates.silent_type(&input.value)
        } else {
            Type::String
        };
        let fits = match (&given, &wanted) {
            (Type::Any, _) | (_, Type::Any) | (Type::Number, Type::String) => true,
            (given, wanted) => given == wanted,
        };
        if !fits {
            templates.wrong_type(&input.value, &format!("a {wanted}"), &given);
        }
    }
}

fn runs_on(templates: &mut Templates<'_, '_>, runs_on: &RunsOn) {
    let place = Availability::JOB;
    if let Some(text) = &runs_on.expression
        && let Some(given) = templates.template(text, place, false)
    {
        let fits = match &given {
            Type::Any | Type::String | Type::Array(..) => true,
            // An object may give a group and labels, and nothing else.
            Type::Object(object) => {
                object.properties.keys().all(|key| matches!(key.as_str(), "group" | "labels"))
                    && (object.others.is_some() || !object.properties.is_empty())
            }
            Type::Null | Type::Number | Type::Boolean => false,
        };
        if !fits {
            templates.wrong_type(text, "a string, a list or an object", &given);
        }
    }
    for label in &runs_on.labels {
        templates.text(Some(label), place);
    }
    templates.text(runs_on.group.as_ref(), place);
}

fn container(templates: &mut Templates<'_, '_>, container: &Container) {
    let place = Availability::JOB;
    if let Some(text) = &container.expression
        && let Some(given) = templates.template(text, place, false)
        && !matches!(given, Type::Any | Type::String | Type::Object(_))
    {
        templates.wrong_type(text, "a string or an object", &given);
    }
    templates.text(container.image.as_ref(), place);
    match &container.credentials {
        Some(Credentials::Expression(text)) => templates.object(text, Availability::CREDENTIALS),
        Some(Credentials::Pair { username, password }) => {
            templates.text(username.as_ref(), Availability::CREDENTIALS);
            templates.text(password.as_ref(), Availability::CREDENTIALS);
        }
        None => {}
    }
    templates.environment(container.env.as_ref(), Availability::CONTAINER_ENV);
    for text in container.ports.iter().chain(&container.volumes) {
        if text.is_expression() {
            templates.template(text, place, false);
        } else {
            templates.text(Some(text), place);
        }
    }
    templates.text(container.options.as_ref(), place);
    templates.text(container.entrypoint.as_ref(), place);
    templates.text(container.command.as_ref(), place);
}

fn strategy(templates: &mut Templates<'_, '_>, strategy: &Strategy) {
    let place = Availability::STRATEGY;
    let mut known = Type::Object(Object::default());
    if let Some(text) = &strategy.expression {
        templates.object(text, place);
        known = Type::loose();
    }
    if let Some(one) = &strategy.matrix {
        known = matrix(templates, one);
    }
    templates.boolean(strategy.fail_fast.as_ref(), place);
    templates.number(strategy.max_parallel.as_ref(), place);
    templates.contexts.set("matrix", known);
}

/// Checks a matrix and returns what `matrix` holds in its jobs.
fn matrix(templates: &mut Templates<'_, '_>, matrix: &Matrix) -> Type {
    let place = Availability::STRATEGY;
    if let Some(text) = &matrix.expression {
        return match templates.whole(text, place) {
            Some(Type::Object(_) | Type::Any) | None => Type::loose(),
            Some(given) => {
                templates.wrong_type(text, "an object", &given);
                Type::loose()
            }
        };
    }
    let mut object = Object::default();
    for row in &matrix.rows {
        let element = match &row.value {
            MatrixRow::Expression(text) => match templates.whole(text, place) {
                Some(Type::Array(element, _)) => *element,
                Some(Type::Any) | None => Type::Any,
                Some(given) => {
                    templates.wrong_type(text, "a list", &given);
                    Type::Any
                }
            },
            MatrixRow::Values(values) => merged(templates, values),
        };
        object.properties.insert(row.name.lower(), element);
    }
    if let Some(exclude) = &matrix.exclude {
        combinations(templates, exclude);
    }
    let Some(include) = &matrix.include else { return Type::Object(object) };
    combinations(templates, include);
    let Combinations::List(list) = include else { return Type::loose() };
    for combination in list {
        let Combination::Assigns(assigns) = combination else { return Type::loose() };
        for assign in assigns {
            let given = raw(templates, &assign.value);
            let name = assign.name.lower();
            let given = match object.properties.remove(&name) {
                Some(known) => known.merge(given),
                None => given,
            };
            object.properties.insert(name, given);
        }
    }
    Type::Object(object)
}

fn combinations(templates: &mut Templates<'_, '_>, combinations: &Combinations) {
    let place = Availability::STRATEGY;
    match combinations {
        Combinations::Expression(text) => {
            if let Some(given) = templates.whole(text, place)
                && !matches!(given, Type::Any | Type::Array(..))
            {
                templates.wrong_type(text, "a list", &given);
            }
        }
        Combinations::List(list) => {
            for combination in list {
                match combination {
                    Combination::Expression(text) => templates.object(text, place),
                    Combination::Assigns(assigns) => {
                        for assign in assigns {
                            raw(templates, &assign.value);
                        }
                    }
                }
            }
        }
    }
}

fn merged(templates: &mut Templates<'_, '_>, values: &[Raw]) -> Type {
    let types: Vec<Type> = values.iter().map(|value| raw(templates, value)).collect();
    types.into_iter().reduce(Type::merge).unwrap_or(Type::Any)
}

/// Checks the expressions in a value of a matrix and returns its type.
fn raw(templates: &mut Templates<'_, '_>, value: &Raw) -> Type {
    match &value.data {
        RawData::Scalar(text) => templates.scalar(text, Availability::STRATEGY),
        RawData::List(items) => Type::array(merged(templates, items)),
        RawData::Mapping(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| (key.clone(), raw(templates, value))).collect();
            Type::strict(entries)
        }
    }
}

fn steps(templates: &mut Templates<'_, '_>, list: &[Step], tree: &dyn FileTree) {
    for one in list {
        step(templates, one, tree);
        if let Some(id) = &one.id {
            let outputs = steps_context::outputs(one, tree);
            templates.contexts.add_step(&id.value, outputs);
        }
    }
}

fn step(templates: &mut Templates<'_, '_>, step: &Step, tree: &dyn FileTree) {
    let place = Availability::STEP;
    templates.text(step.id.as_ref(), Availability::NOWHERE);
    templates.text(step.name.as_ref(), place);
    templates.condition(step.condition.as_ref(), Availability::STEP_IF);
    templates.environment(step.env.as_ref(), place);
    templates.boolean(step.continue_on_error.as_ref(), place);
    templates.number(step.timeout_minutes.as_ref(), place);
    match &step.action {
        Action::Run { script, shell, working_directory } => {
            templates.script(script, place);
            templates.text(shell.as_ref(), templates.shell);
            templates.text(working_directory.as_ref(), place);
        }
        Action::Uses { uses, inputs, expression, .. } => {
            templates.text(Some(uses), Availability::NOWHERE);
            if let Some(text) = expression {
                templates.object(text, place);
            }
            let script = uses.value.to_lowercase().starts_with("actions/github-script@");
            for input in inputs {
                if script && input.name.value.eq_ignore_ascii_case("script") {
                    templates.script(&input.value, place);
                } else {
                    templates.text(Some(&input.value), place);
                }
            }
        }
        Action::Parallel { steps, .. } => self::steps(templates, steps, tree),
        Action::Unknown | Action::Wait { .. } | Action::WaitAll { .. } | Action::Cancel { .. } => {}
    }
}
