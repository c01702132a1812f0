//! The model as the JSON of GitHub's published reader cases.

use loopline_source::{SourceFile, Span, yaml};
use loopline_workflow::github::expression::format_number;
use loopline_workflow::github::model::{
    EventConfig, Input, InputKind, Job, JobKind, Permission, PermissionLevel, Permissions,
    SecretDefinition, Secrets, Step, StepKind, Text, Workflow,
};
use loopline_workflow::github::template::{Kind, Token};
use serde_json::{Map, Value, json};

pub(super) struct Writer {
    with_source: bool,
    files: Vec<String>,
}

impl Writer {
    pub(super) fn new(with_source: bool) -> Self {
        Self { with_source, files: Vec::new() }
    }

    pub(super) fn workflow(&mut self, workflow: &Workflow) -> Value {
        let file = &workflow.file;
        self.file(file);
        let mut out = Map::new();
        put(&mut out, "events", Some(events(workflow)));
        put(&mut out, "input-types", input_types(workflow));
        put(&mut out, "permissions", workflow.permissions.as_ref().map(permissions));
        put(&mut out, "env", self.optional(file, &workflow.env));
        put(&mut out, "defaults", self.optional(file, &workflow.defaults));
        put(&mut out, "concurrency", self.optional(file, &workflow.concurrency));
        let jobs = workflow.jobs.iter().map(|job| self.job(file, job)).collect();
        out.insert("jobs".into(), Value::Array(jobs));
        if self.with_source {
            out.insert("file-table".into(), json!(self.files));
        }
        Value::Object(out)
    }

    /// Returns the number of a file, from one.
    fn file(&mut self, file: &SourceFile) -> usize {
        let known = self.files.iter().position(|name| name == file.name());
        known.unwrap_or_else(|| {
            self.files.push(file.name().to_owned());
            self.files.len() - 1
        }) + 1
    }

    fn job(&mut self, file: &SourceFile, job: &Job) -> Value {
        let mut out = Map::new();
        let is_reusable = matches!(job.kind, JobKind::Reusable(_));
        let kind = if is_reusable { "reusableWorkflowJob" } else { "job" };
        out.insert("type".into(), kind.into());
        out.insert("id".into(), self.text(file, &job.id));
        out.insert("name".into(), self.token(file, &job.name));
        if is_reusable || !job.needs.is_empty() {
            let needs = job.needs.iter().map(|need| self.text(file, need)).collect();
            out.insert("needs".into(), Value::Array(needs));
        }
        out.insert("if".into(), condition(&job.condition));
        put(&mut out, "strategy", self.optional(file, &job.strategy));
        put(&mut out, "concurrency", self.optional(file, &job.concurrency));
        let mut granted = job.permissions.as_ref();
        match &job.kind {
            JobKind::Reusable(reusable) => {
                out.insert("ref".into(), self.text(file, &reusable.uses));
                put(&mut out, "input-values", self.optional(file, &reusable.with));
                match &reusable.secrets {
                    Secrets::None => {}
                    Secrets::Inherit => put(&mut out, "inherit-secrets", Some(true.into())),
                    Secrets::Mapping(secrets) => {
                        out.insert("secret-values".into(), self.token(file, secrets));
                    }
                }
                let mut jobs = Vec::new();
                if let Some(called) = &reusable.called {
                    let file = &called.workflow.file;
                    self.file(file);
                    granted = called.permissions.as_ref();
                    let definitions = [
                        ("input-definitions", &called.input_definitions),
                        ("secret-definitions", &called.secret_definitions),
                        ("outputs", &called.output_definitions),
                        ("env", &called.workflow.env),
                        ("defaults", &called.workflow.defaults),
                        ("embedded-concurrency", &called.workflow.concurrency),
                    ];
                    for (key, token) in definitions {
                        put(&mut out, key, self.optional(file, token));
                    }
                    jobs = called.workflow.jobs.iter().map(|job| self.job(file, job)).collect();
                }
                out.insert("jobs".into(), Value::Array(jobs));
            }
            JobKind::Ordinary(ordinary) => {
                let tokens = [
                    ("runs-on", &ordinary.runs_on),
                    ("timeout-minutes", &ordinary.timeout_minutes),
                    ("cancel-timeout-minutes", &ordinary.cancel_timeout_minutes),
                    ("continue-on-error", &ordinary.continue_on_error),
                    ("container", &ordinary.container),
                    ("services", &ordinary.services),
                    ("env", &ordinary.env),
                    ("environment", &ordinary.environment),
                    ("outputs", &ordinary.outputs),
                    ("defaults", &ordinary.defaults),
                    ("snapshot", &ordinary.snapshot),
                ];
                for (key, token) in tokens {
                    put(&mut out, key, self.optional(file, token));
                }
                if !ordinary.steps.is_empty() {
                    let steps = ordinary.steps.iter().map(|step| self.step(file, step)).collect();
                    out.insert("steps".into(), Value::Array(steps));
                }
            }
        }
        put(&mut out, "permissions", granted.map(permissions));
        Value::Object(out)
    }

    fn step(&mut self, file: &SourceFile, step: &Step) -> Value {
        let mut out = Map::new();
        out.insert("id".into(), step.id.to_string().into());
        put(&mut out, "name", self.optional(file, &step.name));
        let tokens = [
            ("continue-on-error", &step.continue_on_error),
            ("timeout-minutes", &step.timeout_minutes),
            ("env", &step.env),
        ];
        for (key, token) in tokens {
            put(&mut out, key, self.optional(file, token));
        }
        put(&mut out, "background", step.background.as_ref().map(|it| it.value.into()));
        if matches!(step.kind, StepKind::Run { .. } | StepKind::Uses { .. }) {
            out.insert("if".into(), condition(&step.condition));
        }
        match &step.kind {
            StepKind::Run { run, shell, working_directory } => {
                out.insert("run".into(), self.token(file, run));
                put(&mut out, "shell", self.optional(file, shell));
                put(&mut out, "working-directory", self.optional(file, working_directory));
            }
            StepKind::Uses { uses, with } => {
                out.insert("uses".into(), self.text(file, uses));
                put(&mut out, "with", self.optional(file, with));
            }
            StepKind::Wait(targets) => {
                let targets = targets.iter().map(|target| self.text(file, target)).collect();
                out.insert("wait".into(), Value::Array(targets));
            }
            StepKind::WaitAll => {
                out.insert("wait-all".into(), true.into());
            }
            StepKind::Cancel(target) => {
                out.insert("cancel".into(), self.text(file, target));
            }
            StepKind::Parallel(steps) => {
                let steps = steps.iter().map(|step| self.step(file, step)).collect();
                out.insert("parallel".into(), Value::Array(steps));
            }
        }
        Value::Object(out)
    }

    fn text(&mut self, file: &SourceFile, text: &Text) -> Value {
        self.token(file, &Token::string(text.span, text.value.clone()))
    }

    fn optional(&mut self, file: &SourceFile, token: &Option<Token>) -> Option<Value> {
        token.as_ref().map(|token| self.token(file, token))
    }

    fn token(&mut self, file: &SourceFile, token: &Token) -> Value {
        let (kind, key, value) = match &token.kind {
            Kind::Null => (7, "", Value::Null),
            Kind::Boolean(value) => (5, "bool", json!(value)),
            Kind::Number(value) => (6, "num", number(*value)),
            Kind::String(text) => (0, "lit", json!(&**text)),
            Kind::Expression(expression) => (3, "expr", json!(&*expression.text)),
            Kind::Insert => (4, "directive", json!("insert")),
            Kind::Sequence(items) => {
                let items = items.iter().map(|item| self.token(file, item)).collect();
                (1, "seq", Value::Array(items))
            }
            Kind::Mapping(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|pair| {
                        let key = self.token(file, &pair.key);
                        json!({ "Key": key, "Value": self.token(file, &pair.value) })
                    })
                    .collect();
                (2, "map", Value::Array(pairs))
            }
        };
        if !self.with_source && matches!(kind, 0 | 5 | 6 | 7) {
            return value;
        }
        let mut out = Map::new();
        out.insert("type".into(), kind.into());
        if self.with_source {
            let at = place(file, token.span);
            out.insert("file".into(), self.file(file).into());
            out.insert("line".into(), at.0.into());
            out.insert("col".into(), at.1.into());
        }
        let has_value = match kind {
            7 => false,
            1 | 2 => value.as_array().is_some_and(|items| !items.is_empty()),
            _ => true,
        };
        if has_value {
            out.insert(key.into(), value);
        }
        Value::Object(out)
    }
}

fn place(file: &SourceFile, span: Span) -> (u32, u32) {
    let at = file.position(span.start);
    (at.line, at.column)
}

fn put(out: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        out.insert(key.to_owned(), value);
    }
}

/// Conditions are written without their place.
fn condition(token: &Token) -> Value {
    match &token.kind {
        Kind::Expression(expression) => json!({ "type": 3, "expr": &*expression.text }),
        _ => Value::Null,
    }
}

fn number(value: f64) -> Value {
    if !value.is_finite() {
        return format_number(value).into();
    }
    // Whole numbers are written without a fraction.
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return json!(value as i64);
    }
    json!(value)
}

fn permissions(permissions: &Permissions) -> Value {
    let granted = Permission::ALL.into_iter().filter_map(|permission| {
        let level = permissions.level(permission);
        (level != PermissionLevel::None)
            .then(|| (permission.name().to_owned(), level.name().into()))
    });
    Value::Object(granted.collect())
}

fn input_types(workflow: &Workflow) -> Option<Value> {
    let EventConfig::Dispatch(inputs) = &workflow.event("workflow_dispatch")?.config else {
        return None;
    };
    let types = inputs.iter().map(|input| (input.name.to_string(), input.kind.name().into()));
    Some(Value::Object(types.collect()))
}

fn events(workflow: &Workflow) -> Value {
    let parsed = yaml::parse(&workflow.file, &yaml::Limits::default());
    let root = parsed.documents.first().map(|document| &document.root);
    let on = root.and_then(|root| root.get("on"));
    let events = workflow.on.iter().map(|event| {
        let written = on.and_then(|on| on.get(&event.name));
        let mut out = Map::new();
        match &event.config {
            EventConfig::Filters(_) => {}
            EventConfig::Schedule(entries) => {
                let entries = entries.iter().map(|entry| {
                    let mut out = Map::new();
                    out.insert("cron".into(), json!(&*entry.cron.value));
                    put(&mut out, "timezone", entry.timezone.as_ref().map(|it| json!(&*it.value)));
                    Value::Object(out)
                });
                return (event.name.to_string(), entries.collect());
            }
            EventConfig::Dispatch(inputs) => {
                put(&mut out, "inputs", definitions(written, "inputs", inputs, input));
            }
            EventConfig::Call { inputs, secrets, .. } => {
                put(&mut out, "inputs", definitions(written, "inputs", inputs, input));
                put(&mut out, "secrets", definitions(written, "secrets", secrets, secret));
            }
        }
        if let EventConfig::Filters(filters) = &event.config {
            let lists = [
                ("branches", &filters.branches),
                ("branches-ignore", &filters.branches_ignore),
                ("tags", &filters.tags),
                ("tags-ignore", &filters.tags_ignore),
                ("paths", &filters.paths),
                ("paths-ignore", &filters.paths_ignore),
                ("types", &filters.types),
                ("workflows", &filters.workflows),
                ("names", &filters.names),
                ("versions", &filters.versions),
            ];
            for (key, list) in lists {
                let list = list.as_ref().map(|list| list.iter().map(|it| json!(&*it.value)));
                put(&mut out, key, list.map(|list| Value::Array(list.collect())));
            }
        }
        (event.name.to_string(), Value::Object(out))
    });
    Value::Object(events.collect())
}

/// Writes the definitions under `key`, if it is there; each with what stands in the file.
fn definitions<T>(
    event: Option<&yaml::Node>,
    key: &str,
    all: &[T],
    write: impl Fn(&T, &yaml::Node) -> (String, Value),
) -> Option<Value> {
    let written = event?.get(key)?;
    Some(Value::Object(all.iter().map(|one| write(one, written)).collect()))
}

fn input(input: &Input, written: &yaml::Node) -> (String, Value) {
    let mut out = Map::new();
    // The reader that writes events knows no numbers, and writes no type for them.
    let kind = (input.kind != InputKind::Number).then(|| input.kind.name().into());
    put(&mut out, "type", kind);
    put(&mut out, "description", input.description.as_ref().map(|it| json!(&*it.value)));
    if written.get(&input.name).is_some_and(|input| input.get("required").is_some()) {
        out.insert("required".into(), input.required.into());
    }
    let default = match input.default.as_ref().map(|default| &default.kind) {
        // A number's default is checked when the workflow starts.
        Some(_) if input.kind == InputKind::Number => None,
        Some(Kind::String(text)) => Some(json!(&**text)),
        Some(Kind::Boolean(value)) => Some(json!(value)),
        _ => None,
    };
    put(&mut out, "default", default);
    if !input.options.is_empty() {
        let options = input.options.iter().map(|option| json!(&*option.value)).collect();
        out.insert("options".into(), options);
    }
    (input.name.to_string(), Value::Object(out))
}

fn secret(secret: &SecretDefinition, written: &yaml::Node) -> (String, Value) {
    let mut out = Map::new();
    put(&mut out, "description", secret.description.as_ref().map(|it| json!(&*it.value)));
    if written.get(&secret.name).is_some_and(|secret| secret.get("required").is_some()) {
        out.insert("required".into(), secret.required.into());
    }
    (secret.name.to_string(), Value::Object(out))
}
