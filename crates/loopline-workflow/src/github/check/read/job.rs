//! One job: everything between its id and its steps.

use loopline_diagnostic::rule_set as rules;
use loopline_source::Span;
use loopline_source::yaml::Node;

use super::reader::{CHOSEN, Entry, FIXED, Reader};
use super::{step, workflow};
use crate::github::check::findings::listed;
use crate::github::check::model::{
    Combination, Combinations, Container, Credentials, Deployment, Job, JobCall, Matrix, MatrixRow,
    Named, RunsOn, Services, Snapshot, Strategy,
};
use crate::github::check::text::Text;

const KEYS: &[&str] = &[
    "cancel-timeout-minutes",
    "concurrency",
    "container",
    "continue-on-error",
    "defaults",
    "env",
    "environment",
    "if",
    "name",
    "needs",
    "outputs",
    "permissions",
    "runs-on",
    "secrets",
    "services",
    "snapshot",
    "steps",
    "strategy",
    "timeout-minutes",
    "uses",
    "with",
];
/// What a job that calls a workflow may have beside `uses`.
const CALL_KEYS: &[&str] =
    &["name", "uses", "with", "secrets", "needs", "if", "permissions", "strategy", "concurrency"];

pub(super) fn job(reader: &mut Reader<'_, '_>, entry: Entry<'_>) -> Job {
    let mut job = new_job(entry.key);
    let what = format!("job `{}`", job.id.value);
    let mut uses: Option<Text> = None;
    let (mut inputs, mut secrets, mut inherits_secrets) = (Vec::new(), Vec::new(), false);
    let (mut step_keys, mut call_keys): (Vec<Text>, Vec<Text>) = (Vec::new(), Vec::new());
    let (mut has_runs_on, mut has_steps) = (false, false);
    for entry in reader.mapping(entry.value, &what, FIXED) {
        if KEYS.contains(&&*entry.id) && !CALL_KEYS.contains(&&*entry.id) {
            step_keys.push(entry.key.clone());
        }
        let value = entry.value;
        match &*entry.id {
            "name" => job.name = Some(reader.string(value, "`name`")),
            "needs" => job.needs = reader.one_or_many(value, "`needs`"),
            "runs-on" => {
                has_runs_on = true;
                job.runs_on = Some(runs_on(reader, value));
            }
            "permissions" => job.permissions = workflow::permissions(reader, value),
            "environment" => job.deployment = Some(deployment(reader, &entry.key, value)),
            "concurrency" => {
                job.concurrency = Some(workflow::concurrency(reader, &entry.key, value));
            }
            "outputs" => job.outputs = reader.named_texts(value, "`outputs`"),
            "env" => job.env = reader.environment(value),
            "defaults" => job.defaults = Some(workflow::defaults(reader, value)),
            "if" => job.condition = Some(reader.filled(value, "`if`")),
            "steps" => {
                has_steps = value.as_sequence().is_some_and(|steps| !steps.is_empty());
                job.steps = step::steps(reader, value);
            }
            "timeout-minutes" => {
                job.timeout_minutes = reader.positive(value, "`timeout-minutes`", false);
            }
            "cancel-timeout-minutes" => {
                job.cancel_timeout_minutes =
                    reader.positive(value, "`cancel-timeout-minutes`", false);
            }
            "strategy" => job.strategy = Some(strategy(reader, value)),
            "continue-on-error" => {
                job.continue_on_error = reader.boolean(value, "`continue-on-error`");
            }
            "container" => {
                job.container = Some(container(reader, &entry.key, value, "`container`", false));
            }
            "services" => job.services = services(reader, value),
            "snapshot" => job.snapshot = Some(snapshot(reader, &entry.key, value)),
            "uses" => uses = Some(reader.filled(value, "`uses`")),
            "with" => {
                call_keys.push(entry.key);
                inputs = reader.named_texts(value, "`with`");
            }
            "secrets" => {
                call_keys.push(entry.key);
                if value.as_scalar().is_some() {
                    inherits_secrets = inherit(reader, value);
                } else {
                    secrets = reader.named_texts(value, "`secrets`");
                }
            }
            _ => reader.unknown_key(&entry.key, &what, KEYS),
        }
    }
    match uses {
        Some(uses) => {
            refuse(reader, &step_keys, |keys| {
                format!("{what} calls a workflow with `uses`, where {keys} cannot stand")
            });
            job.call = Some(JobCall { uses, inputs, secrets, inherits_secrets });
        }
        None => {
            if !has_steps {
                reader.missing(job.id.span, "steps", &what);
            }
            if !has_runs_on {
                reader.missing(job.id.span, "runs-on", &what);
            }
            refuse(reader, &call_keys, |keys| {
                format!("{what} has {keys}, which only a call of a workflow with `uses` takes")
            });
        }
    }
    job
}

/// Complains once about keys that do not fit the kind of job, at the last of them.
fn refuse(reader: &mut Reader<'_, '_>, keys: &[Text], message: impl Fn(&str) -> String) {
    let Some(last) = keys.last() else { return };
    let names: Vec<_> = keys.iter().map(|key| &*key.value).collect();
    let text = message(&listed(&names));
    let file = reader.file().clone();
    if let Some(found) = reader.findings.add(&rules::WORKFLOW_UNKNOWN_KEY, last.span, text) {
        for key in &keys[..keys.len() - 1] {
            *found = found.clone().also(&file, key.span, "");
        }
    }
}

fn new_job(id: Text) -> Job {
    Job {
        id,
        name: None,
        needs: Vec::new(),
        runs_on: None,
        permissions: None,
        deployment: None,
        concurrency: None,
        outputs: Vec::new(),
        env: None,
        defaults: None,
        condition: None,
        steps: Vec::new(),
        timeout_minutes: None,
        cancel_timeout_minutes: None,
        strategy: None,
        continue_on_error: None,
        container: None,
        services: None,
        snapshot: None,
        call: None,
    }
}

fn inherit(reader: &mut Reader<'_, '_>, node: &Node) -> bool {
    let text = reader.string(node, "`secrets`");
    let inherits = &*text.value == "inherit";
    if !inherits {
        reader.wrong_type(node, "`secrets`", "a mapping or the word `inherit`");
    }
    inherits
}

fn runs_on(reader: &mut Reader<'_, '_>, node: &Node) -> RunsOn {
    if let Some(expression) = reader.expression(node) {
        return RunsOn { expression: Some(expression), ..RunsOn::default() };
    }
    if node.as_mapping().is_none() {
        return RunsOn { labels: reader.one_or_many(node, "`runs-on`"), ..RunsOn::default() };
    }
    let mut runs_on = RunsOn::default();
    for entry in reader.mapping(node, "`runs-on`", FIXED) {
        match &*entry.id {
            "labels" => match reader.expression(entry.value) {
                Some(expression) => runs_on.expression = Some(expression),
                None => runs_on.labels = reader.one_or_many(entry.value, "`labels`"),
            },
            "group" => runs_on.group = Some(reader.filled(entry.value, "`group`")),
            _ => reader.unknown_key(&entry.key, "`runs-on`", &["group", "labels"]),
        }
    }
    runs_on
}

fn deployment(reader: &mut Reader<'_, '_>, key: &Text, node: &Node) -> Deployment {
    let mut deployment = Deployment::default();
    if node.as_scalar().is_some() {
        deployment.name = Some(reader.filled(node, "`environment`"));
        return deployment;
    }
    for entry in reader.mapping(node, "`environment`", FIXED) {
        match &*entry.id {
            "name" => deployment.name = Some(reader.filled(entry.value, "`name`")),
            "url" => deployment.url = Some(reader.filled(entry.value, "`url`")),
            "deployment" => {
                deployment.deployment = reader.boolean(entry.value, "`deployment`");
            }
            _ => reader.unknown_key(&entry.key, "`environment`", &["deployment", "name", "url"]),
        }
    }
    if deployment.name.is_none() {
        reader.missing(key.span, "name", "`environment`");
    }
    deployment
}

fn strategy(reader: &mut Reader<'_, '_>, node: &Node) -> Strategy {
    const KEYS: &[&str] = &["fail-fast", "matrix", "max-parallel"];
    if let Some(expression) = reader.expression(node) {
        return Strategy { expression: Some(expression), ..Strategy::default() };
    }
    let mut strategy = Strategy::default();
    for entry in reader.mapping(node, "`strategy`", FIXED) {
        match &*entry.id {
            "matrix" => strategy.matrix = Some(matrix(reader, &entry.key, entry.value)),
            "fail-fast" => strategy.fail_fast = reader.boolean(entry.value, "`fail-fast`"),
            "max-parallel" => {
                strategy.max_parallel = reader.positive(entry.value, "`max-parallel`", true);
            }
            _ => reader.unknown_key(&entry.key, "`strategy`", KEYS),
        }
    }
    strategy
}

fn matrix(reader: &mut Reader<'_, '_>, key: &Text, node: &Node) -> Matrix {
    let mut matrix = Matrix { at: key.span, ..Matrix::default() };
    if node.as_scalar().is_some() {
        matrix.expression = reader.only_expression(node, "`matrix`", "a mapping");
        return matrix;
    }
    for entry in reader.mapping(node, "`matrix`", CHOSEN) {
        match &*entry.id {
            "include" => matrix.include = combinations(reader, entry.value, "`include`"),
            "exclude" => matrix.exclude = combinations(reader, entry.value, "`exclude`"),
            _ => {
                let what = format!("`{}`", entry.key.value);
                let row = if entry.value.as_scalar().is_some() {
                    match reader.only_expression(entry.value, &what, "a list of values") {
                        Some(expression) => MatrixRow::Expression(expression),
                        None => continue,
                    }
                } else {
                    let items = reader.list(entry.value, &what, false).unwrap_or(&[]);
                    MatrixRow::Values(items.iter().map(|item| reader.raw(item)).collect())
                };
                matrix.rows.push(Named { name: entry.key, value: row });
            }
        }
    }
    matrix
}

fn combinations(reader: &mut Reader<'_, '_>, node: &Node, what: &str) -> Option<Combinations> {
    if node.as_scalar().is_some() {
        let expression = reader.only_expression(node, what, "a list of combinations");
        return expression.map(Combinations::Expression);
    }
    let items = reader.list(node, what, false).unwrap_or(&[]);
    let mut list = Vec::with_capacity(items.len());
    for item in items {
        if item.as_scalar().is_some() {
            let expression = reader.only_expression(item, "a combination", "a mapping");
            list.extend(expression.map(Combination::Expression));
            continue;
        }
        let entries = reader.mapping(item, "a combination", CHOSEN);
        let assigns = entries
            .into_iter()
            .map(|entry| Named { name: entry.key, value: reader.raw(entry.value) })
            .collect();
        list.push(Combination::Assigns(assigns));
    }
    Some(Combinations::List(list))
}

fn container(
    reader: &mut Reader<'_, '_>,
    key: &Text,
    node: &Node,
    what: &str,
    service: bool,
) -> Container {
    let mut container = Container::default();
    if node.as_scalar().is_some() {
        let text = reader.filled(node, what);
        if text.is_expression() {
            container.expression = Some(text);
        } else {
            container.image = Some(text);
        }
        return container;
    }
    let mut known = vec!["credentials", "env", "image", "options", "ports", "volumes"];
    if service {
        known.extend(["command", "entrypoint"]);
    }
    let mut has_image = false;
    for entry in reader.mapping(node, what, FIXED) {
        let value = entry.value;
        match &*entry.id {
            "image" => {
                has_image = true;
                // A service without an image is not started: that is a documented switch.
                container.image = Some(if service {
                    reader.string(value, "`image`")
                } else {
                    reader.filled(value, "`image`")
                });
            }
            "credentials" => {
                container.credentials = Some(credentials(reader, &entry.key, value));
            }
            "env" => container.env = reader.environment(value),
            "ports" => container.ports = texts(reader, value, "`ports`"),
            "volumes" => container.volumes = texts(reader, value, "`volumes`"),
            "options" => container.options = Some(reader.string(value, "`options`")),
            "entrypoint" if service => {
                container.entrypoint = Some(reader.string(value, "`entrypoint`"));
            }
            "command" if service => container.command = Some(reader.string(value, "`command`")),
            _ => reader.unknown_key(&entry.key, what, &known),
        }
    }
    if !has_image {
        reader.missing(key.span, "image", what);
    }
    container
}

fn texts(reader: &mut Reader<'_, '_>, node: &Node, what: &str) -> Vec<Text> {
    if let Some(expression) = reader.expression(node) {
        return vec![expression];
    }
    let items = reader.list(node, what, true).unwrap_or(&[]);
    items.iter().map(|item| reader.filled(item, what)).collect()
}

fn credentials(reader: &mut Reader<'_, '_>, key: &Text, node: &Node) -> Credentials {
    if let Some(expression) = reader.expression(node) {
        return Credentials::Expression(expression);
    }
    let (mut username, mut password) = (None, None);
    for entry in reader.mapping(node, "`credentials`", FIXED) {
        match &*entry.id {
            "username" => username = Some(reader.filled(entry.value, "`username`")),
            "password" => password = Some(reader.filled(entry.value, "`password`")),
            _ => reader.unknown_key(&entry.key, "`credentials`", &["password", "username"]),
        }
    }
    if username.is_none() || password.is_none() {
        let missing = if username.is_none() { "username" } else { "password" };
        reader.missing(key.span, missing, "`credentials`");
    }
    Credentials::Pair { username, password }
}

fn services(reader: &mut Reader<'_, '_>, node: &Node) -> Option<Services> {
    if let Some(expression) = reader.expression(node) {
        return Some(Services::Expression(expression));
    }
    let mut list = Vec::new();
    for entry in reader.mapping(node, "`services`", CHOSEN) {
        let what = format!("service `{}`", entry.key.value);
        let value = container(reader, &entry.key, entry.value, &what, true);
        list.push(Named { name: entry.key, value });
    }
    Some(Services::List(list))
}

fn snapshot(reader: &mut Reader<'_, '_>, key: &Text, node: &Node) -> Snapshot {
    let mut snapshot = Snapshot::default();
    if node.as_scalar().is_some() {
        snapshot.image_name = Some(reader.filled(node, "`snapshot`"));
        return snapshot;
    }
    if node.as_sequence().is_some() {
        reader.wrong_type(node, "`snapshot`", "text or a mapping");
        return snapshot;
    }
    let mut missing_at: Option<Span> = Some(key.span);
    for entry in reader.mapping(node, "`snapshot`", FIXED) {
        match &*entry.id {
            "image-name" => {
                missing_at = None;
                snapshot.image_name = Some(reader.filled(entry.value, "`image-name`"));
            }
            "version" => snapshot.version = Some(reader.filled(entry.value, "`version`")),
            "if" => snapshot.condition = Some(reader.filled(entry.value, "`if`")),
            _ => reader.unknown_key(&entry.key, "`snapshot`", &["if", "image-name", "version"]),
        }
    }
    if let Some(span) = missing_at {
        reader.missing(span, "image-name", "`snapshot`");
    }
    snapshot
}
