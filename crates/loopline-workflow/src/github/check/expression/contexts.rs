//! The contexts: what each holds, and which keys of a workflow may use which.
//!
//! The table is GitHub's "context availability"; the properties are those of its contexts
//! reference.

use std::collections::BTreeMap;

use super::types::{Object, Type};

/// What the expressions at one place may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Availability {
    pub(crate) contexts: &'static [&'static str],
    /// The special functions, in lowercase.
    pub(crate) functions: &'static [&'static str],
}

macro_rules! places {
    ($($(#[$doc:meta])* $name:ident = [$($context:ident)*] [$($function:ident)*];)*) => {
        impl Availability {
            $($(#[$doc])* pub(crate) const $name: Self = Self {
                contexts: &[$(stringify!($context)),*],
                functions: &[$(stringify!($function)),*],
            };)*
        }
    };
}

places! {
    /// Keys that are read before anything is known.
    NOWHERE = [] [];
    RUN_NAME = [github inputs vars] [];
    WORKFLOW_ENV = [github inputs secrets vars] [];
    CALL_OUTPUT = [github inputs jobs vars] [];
    /// Most keys of a job.
    JOB = [github inputs matrix needs strategy vars] [];
    JOB_ENV = [github inputs matrix needs secrets strategy vars] [];
    JOB_DEFAULTS = [env github inputs matrix needs strategy vars] [];
    JOB_IF = [github inputs needs vars] [always cancelled failure success];
    SNAPSHOT_IF = [github inputs matrix needs strategy vars] [always cancelled failure success];
    JOB_OUTPUT = [env github inputs job matrix needs runner secrets steps strategy vars] [];
    STRATEGY = [github inputs needs vars] [];
    CREDENTIALS = [env github inputs matrix needs secrets strategy vars] [];
    CONTAINER_ENV = [env github inputs job matrix needs runner secrets strategy vars] [];
    DEPLOYMENT_URL = [env github inputs job matrix needs runner steps strategy vars] [];
    STEP = [env github inputs job matrix needs runner secrets steps strategy vars] [hashfiles];
    STEP_IF = [env github inputs job matrix needs runner steps strategy vars]
        [always cancelled failure hashfiles success];
}

/// The types of all contexts at one place.
#[derive(Clone, Debug)]
pub(crate) struct Contexts {
    types: BTreeMap<&'static str, Type>,
}

impl Contexts {
    /// Returns the contexts as they are before a job is looked at.
    pub(crate) fn new() -> Self {
        let strings = || Type::map(Type::String);
        let types = [
            ("github", github(Type::loose())),
            ("env", strings()),
            ("vars", strings()),
            ("secrets", strings()),
            ("job", job(None)),
            ("runner", strict_strings(RUNNER)),
            ("strategy", strategy()),
            ("matrix", Type::Object(Object::default())),
            ("needs", Type::Object(Object::default())),
            ("steps", Type::Object(Object::default())),
            ("inputs", Type::Object(Object::default())),
        ];
        Self { types: types.into_iter().collect() }
    }

    pub(crate) fn set(&mut self, name: &'static str, value: Type) {
        self.types.insert(name, value);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.types.remove(name);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.types.keys().copied()
    }

    /// Sets what `github.event.inputs` holds.
    pub(crate) fn set_event_inputs(&mut self, inputs: Object) {
        let mut event = Object::map(Type::Any);
        event.properties.insert("inputs".into(), Type::Object(inputs));
        self.set("github", github(Type::Object(event)));
    }

    /// Sets the services whose identifiers are known.
    pub(crate) fn set_services(&mut self, names: &[String]) {
        self.set("job", job(Some(names)));
    }

    /// Adds a step that was run.
    pub(crate) fn add_step(&mut self, id: &str, outputs: Type) {
        let step = Type::strict([
            ("conclusion", Type::String),
            ("outcome", Type::String),
            ("outputs", outputs),
        ]);
        if let Some(Type::Object(steps)) = self.types.get_mut("steps") {
            steps.properties.insert(id.to_lowercase(), step);
        }
    }
}

const GITHUB: &[&str] = &[
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "action_status",
    "actor",
    "actor_id",
    "api_url",
    "artifacts",
    "artifacts_list",
    "base_ref",
    "env",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "job_workflow_sha",
    "output",
    "path",
    "ref",
    "ref_name",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "repositoryurl",
    "run_attempt",
    "run_id",
    "run_number",
    "secret_source",
    "server_url",
    "sha",
    "state",
    "step_summary",
    "token",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "workspace",
];
const RUNNER: &[&str] =
    &["arch", "debug", "environment", "name", "os", "temp", "tool_cache", "workspace"];

fn strict_strings(names: &[&str]) -> Type {
    Type::strict(names.iter().map(|name| (*name, Type::String)))
}

fn github(event: Type) -> Type {
    let strings = GITHUB.iter().map(|name| (*name, Type::String));
    Type::strict(strings.chain([
        ("artifact_cache_size_limit", Type::Number),
        ("event", event),
        ("ref_protected", Type::Boolean),
        ("retention_days", Type::Number),
    ]))
}

fn job(services: Option<&[String]>) -> Type {
    let service = || {
        Type::strict([
            ("id", Type::String),
            ("network", Type::String),
            ("ports", Type::map(Type::String)),
        ])
    };
    let services = match services {
        Some(names) => Type::strict(names.iter().map(|name| (name.as_str(), service()))),
        None => Type::map(service()),
    };
    Type::strict([
        ("check_run_id", Type::Number),
        ("container", strict_strings(&["id", "network"])),
        ("services", services),
        ("status", Type::String),
        ("workflow_file_path", Type::String),
        ("workflow_ref", Type::String),
        ("workflow_repository", Type::String),
        ("workflow_sha", Type::String),
    ])
}

fn strategy() -> Type {
    Type::strict([
        ("fail-fast", Type::Boolean),
        ("job-index", Type::Number),
        ("job-total", Type::Number),
        ("max-parallel", Type::Number),
    ])
}
