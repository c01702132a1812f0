//! A workflow as far as it could be read: every part optional, every part with its place.
//!
//! The tolerant reader in `read` fills it; the rules only look at it.

use loopline_source::Span;

use super::text::Text;

/// A value that is written out or computed.
#[derive(Clone, Debug)]
pub(crate) enum Value<T> {
    Literal(T),
    Expression(Text),
}

/// A mapping's entry whose key is a name the author chose.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    pub(crate) name: Text,
    pub(crate) value: T,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Workflow {
    pub(crate) name: Option<Text>,
    pub(crate) run_name: Option<Text>,
    pub(crate) events: Vec<Event>,
    pub(crate) permissions: Option<Permissions>,
    pub(crate) env: Option<Environment>,
    pub(crate) defaults: Option<Defaults>,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) jobs: Vec<Job>,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Webhook(Webhook),
    Schedule(Vec<Schedule>),
    Dispatch { name: Text, inputs: Vec<DispatchInput> },
    RepositoryDispatch,
    Call(Call),
    ImageVersion { names: Vec<Text>, versions: Vec<Text> },
}

#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) name: Text,
    pub(crate) types: Option<Vec<Text>>,
    pub(crate) workflows: Option<Vec<Text>>,
    /// `branches`, `paths`, ... by key.
    pub(crate) filters: Vec<Named<Vec<Text>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) cron: Option<Text>,
    pub(crate) timezone: Option<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputType {
    Unknown,
    String,
    Number,
    Boolean,
    Choice,
    Environment,
}

#[derive(Clone, Debug)]
pub(crate) struct DispatchInput {
    pub(crate) name: Text,
    pub(crate) default: Option<Text>,
    pub(crate) kind: InputType,
    pub(crate) options: Vec<Text>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) inputs: Vec<CallInput>,
    /// `None` where the caller may hand over all its secrets.
    pub(crate) secrets: Option<Vec<CallSecret>>,
    pub(crate) outputs: Vec<CallOutput>,
}

#[derive(Clone, Debug)]
pub(crate) struct CallInput {
    pub(crate) name: Text,
    pub(crate) kind: InputType,
    pub(crate) required: bool,
    pub(crate) default: Option<Text>,
}

#[derive(Clone, Debug)]
pub(crate) struct CallSecret {
    pub(crate) name: Text,
    pub(crate) required: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct CallOutput {
    pub(crate) name: Text,
    pub(crate) value: Option<Text>,
}

#[derive(Clone, Debug)]
pub(crate) enum Permissions {
    All(Text),
    Scopes(Vec<Named<Text>>),
}

#[derive(Clone, Debug)]
pub(crate) enum Environment {
    Expression(Text),
    Variables(Vec<Named<Text>>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) shell: Option<Text>,
    pub(crate) working_directory: Option<Text>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Concurrency {
    pub(crate) group: Option<Text>,
    pub(crate) cancel_in_progress: Option<Value<bool>>,
    pub(crate) queue: Option<Text>,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: Text,
    pub(crate) name: Option<Text>,
    pub(crate) needs: Vec<Text>,
    pub(crate) runs_on: Option<RunsOn>,
    pub(crate) permissions: Option<Permissions>,
    pub(crate) deployment: Option<Deployment>,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) outputs: Vec<Named<Text>>,
    pub(crate) env: Option<Environment>,
    pub(crate) defaults: Option<Defaults>,
    pub(crate) condition: Option<Text>,
    pub(crate) steps: Vec<Step>,
    pub(crate) timeout_minutes: Option<Value<f64>>,
    pub(crate) cancel_timeout_minutes: Option<Value<f64>>,
    pub(crate) strategy: Option<Strategy>,
    pub(crate) continue_on_error: Option<Value<bool>>,
    pub(crate) container: Option<Container>,
    pub(crate) services: Option<Services>,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) call: Option<JobCall>,
}

#[derive(Clone, Debug)]
pub(crate) struct JobCall {
    pub(crate) uses: Text,
    pub(crate) inputs: Vec<Named<Text>>,
    pub(crate) secrets: Vec<Named<Text>>,
    pub(crate) inherits_secrets: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct RunsOn {
    pub(crate) labels: Vec<Text>,
    /// `runs-on: ${{ ... }}` or `labels: ${{ ... }}`.
    pub(crate) expression: Option<Text>,
    pub(crate) group: Option<Text>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Deployment {
    pub(crate) name: Option<Text>,
    pub(crate) url: Option<Text>,
    pub(crate) deployment: Option<Value<bool>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Strategy {
    pub(crate) expression: Option<Text>,
    pub(crate) matrix: Option<Matrix>,
    pub(crate) fail_fast: Option<Value<bool>>,
    pub(crate) max_parallel: Option<Value<f64>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Matrix {
    /// Where the key `matrix` stands.
    pub(crate) at: Span,
    pub(crate) expression: Option<Text>,
    pub(crate) rows: Vec<Named<MatrixRow>>,
    pub(crate) include: Option<Combinations>,
    pub(crate) exclude: Option<Combinations>,
}

#[derive(Clone, Debug)]
pub(crate) enum MatrixRow {
    Expression(Text),
    Values(Vec<Raw>),
}

#[derive(Clone, Debug)]
pub(crate) enum Combinations {
    Expression(Text),
    List(Vec<Combination>),
}

#[derive(Clone, Debug)]
pub(crate) enum Combination {
    Expression(Text),
    Assigns(Vec<Named<Raw>>),
}

/// A value of any shape, as a matrix holds.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) span: Span,
    pub(crate) data: RawData,
}

#[derive(Clone, Debug)]
pub(crate) enum RawData {
    Scalar(Text),
    List(Vec<Raw>),
    Mapping(Vec<(String, Raw)>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Container {
    pub(crate) image: Option<Text>,
    pub(crate) expression: Option<Text>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) env: Option<Environment>,
    pub(crate) ports: Vec<Text>,
    pub(crate) volumes: Vec<Text>,
    pub(crate) options: Option<Text>,
    pub(crate) entrypoint: Option<Text>,
    pub(crate) command: Option<Text>,
}

#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    Expression(Text),
    Pair { username: Option<Text>, password: Option<Text> },
}

#[derive(Clone, Debug)]
pub(crate) enum Services {
    Expression(Text),
    List(Vec<Named<Container>>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) image_name: Option<Text>,
    pub(crate) version: Option<Text>,
    pub(crate) condition: Option<Text>,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) id: Option<Text>,
    pub(crate) name: Option<Text>,
    pub(crate) condition: Option<Text>,
    pub(crate) env: Option<Environment>,
    pub(crate) continue_on_error: Option<Value<bool>>,
    pub(crate) timeout_minutes: Option<Value<f64>>,
    pub(crate) background: Option<(Span, Value<bool>)>,
    pub(crate) action: Action,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// It could not be told.
    Unknown,
    Run {
        script: Text,
        shell: Option<Text>,
        working_directory: Option<Text>,
    },
    Uses {
        uses: Text,
        inputs: Vec<Named<Text>>,
        expression: Option<Text>,
        entrypoint: Option<Text>,
        args: Option<Text>,
    },
    Wait {
        at: Span,
        steps: Vec<Text>,
    },
    WaitAll {
        at: Span,
    },
    Cancel {
        at: Span,
        step: Text,
    },
    Parallel {
        at: Span,
        steps: Vec<Step>,
    },
}
