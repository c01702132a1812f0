//! What is said between a container's supervisor and whoever asks it for something: JSON in the
//! packets of [`crate::sandbox::protocol`], with descriptors beside it. The supervisor may be of an
//! older Loopline than its client, so fields are only ever added.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::spec::{ContainerSpec, Ended, Port, ProcessConfig, Usage};

/// What a supervisor does besides watching.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervision {
    /// Whether the container goes on when whoever started it ends.
    pub detached: bool,
    /// Whether its first process has a terminal.
    pub terminal: bool,
    /// Whether its input stays open for who attaches; otherwise it reads nothing.
    pub open_input: bool,
    /// When it is started again.
    pub restart: Restart,
    /// How its health is learnt.
    pub health: Option<Health>,
    /// The signal that asks it to stop, by number.
    pub stop_signal: i32,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Duration,
}

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// Never.
    No,
    /// After a failure, at most so often.
    OnFailure(Option<u32>),
    /// Always, unless it was asked to stop.
    Always,
}

/// How a container's health is learnt, in Docker's terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The program and its arguments; it ends with 0 where all is well.
    pub test: Vec<String>,
    /// Between the end of one check and the start of the next.
    pub interval: Duration,
    /// After which a check has failed.
    pub timeout: Duration,
    /// How many failures in a row make it unhealthy.
    pub retries: u32,
    /// How long failures do not count after the start.
    pub start_period: Duration,
    /// The interval meanwhile.
    pub start_interval: Duration,
}

/// What a container's health is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// No check has succeeded yet.
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Too many checks have failed.
    Unhealthy,
}

/// What a container is doing, as its supervisor writes it into `state.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where it is in its life.
    pub status: Status,
    /// The first process, on the host; 0 without.
    pub pid: i32,
    /// How it ended last.
    pub ended: Option<Ended>,
    /// Why it could not be started.
    pub error: Option<String>,
    /// When it was started last, and when it ended.
    pub started_at: Option<jiff::Timestamp>,
    /// When it ended last.
    pub finished_at: Option<jiff::Timestamp>,
    /// How often it was started again.
    pub restarts: u32,
    /// Its health, where that is checked.
    pub health: Option<HealthStatus>,
    /// What the last check printed.
    pub health_output: Option<String>,
    /// What is otherwise than asked for, in words.
    pub notes: Vec<String>,
    /// The published ports, with those that the system chose.
    pub ports: Vec<Port>,
}

/// Where a container is in its life, in Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was not started yet.
    Created,
    /// Its first process runs.
    Running,
    /// Its processes are stopped where they are.
    Paused,
    /// It has ended and will be started again.
    Restarting,
    /// It has ended.
    Exited,
}

impl State {
    /// The state of a container that was not started yet.
    #[must_use]
    pub fn created() -> Self {
        Self {
            status: Status::Created,
            pid: 0,
            ended: None,
            error: None,
            started_at: None,
            finished_at: None,
            restarts: 0,
            health: None,
            health_output: None,
            notes: Vec::new(),
            ports: Vec::new(),
        }
    }
}

/// What the fork server is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) spec: ContainerSpec,
    pub(crate) supervision: Supervision,
    /// Its folder: state, log and socket are there. Without one it has none of them.
    pub(crate) folder: Option<std::path::PathBuf>,
}

/// What a supervisor is asked for. Answers come in the order of the questions, [`Reply::Output`] and
/// [`Reply::Ended`] in between.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Tell how it goes; answered by a state.
    State,
    /// Tell what is used; answered by a usage.
    Usage,
    /// Signal the first process; answered.
    Signal(i32),
    /// Stop with this patience instead of the usual; answered when it has ended.
    Stop(Option<Duration>),
    /// Stop or continue all processes; answered.
    Freeze(bool),
    /// Tell when it has ended for good.
    Wait,
    /// From now on pass on what it prints.
    Attach,
    /// Give it this to read.
    Input(Vec<u8>),
    /// Nothing more will come to read.
    EndInput,
    /// The terminal has this many rows and columns.
    Resize(u16, u16),
    /// Start a process inside, with the three streams beside this or a terminal of its own.
    Execute { process: ProcessConfig, terminal: bool },
    /// Signal the process that this connection started.
    SignalExecuted(i32),
}

/// What a supervisor answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It is done. Beside the answer to an execution with a terminal comes that.
    Done,
    /// It cannot be done, for this reason; the code is what Docker would end with.
    Refused {
        code: u8,
        message: String,
    },
    State(Box<State>),
    Usage(Usage),
    /// The container, or the process that this connection started, has ended.
    Ended(Ended),
    /// It has printed this, on its output or (true) its error output.
    Output(bool, Vec<u8>),
}
