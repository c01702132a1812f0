//! What is wrong with what a workflow's values say, in GitHub's words.

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An id with other characters, or too long.
    #[error(
        "The identifier '{0}' is invalid. IDs may only contain alphanumeric characters, '_', and '-'. IDs must start with a letter or '_' and and must be less than 100 characters."
    )]
    InvalidId(String),
    /// An id that starts with `__`.
    #[error("The identifier '{0}' is invalid. IDs starting with '__' are reserved.")]
    ReservedId(String),
    /// An id used twice.
    #[error("The identifier '{0}' may not be used more than once within the same scope.")]
    RepeatedId(String),
    /// Too many steps of the same kind without an id.
    #[error("Unable to create a unique name")]
    NoUniqueId,
    /// A reference in `uses` of a step that has none of the forms.
    #[error("Expected format {{org}}/{{repo}}[/path]@ref. Actual '{0}'")]
    UsesFormat(String),
    /// A cron expression that is none.
    #[error(
        "Invalid cron expression. Expected format: '* * * * *' (minute hour day month weekday)"
    )]
    Cron,
    /// Every job needs another.
    #[error("The workflow must contain at least one job with no dependencies.")]
    NoFirstJob,
    /// Jobs that need each other.
    #[error("Job '{job}' depends on job '{need}' which creates a cycle in the dependency graph.")]
    NeedsCycle {
        /// The job.
        job: String,
        /// What it needs.
        need: String,
    },
    /// A job that needs what is not there.
    #[error("Job '{job}' depends on unknown job '{need}'.")]
    UnknownNeed {
        /// The job.
        job: String,
        /// What it needs.
        need: String,
    },
    /// Too many jobs.
    #[error("Workflows may not contain more than {0} jobs across all referenced files")]
    TooManyJobs(usize),
    /// An empty vector of a matrix.
    #[error("Matrix vector '{0}' does not contain any values")]
    EmptyVector(String),
    /// A matrix without a vector.
    #[error("Matrix must define at least one vector")]
    EmptyMatrix,
    /// An empty item of `include`.
    #[error("Matrix include mapping does not contain any values")]
    EmptyInclude,
    /// An empty item of `exclude`.
    #[error("Matrix exclude filter must not be empty")]
    EmptyExclude,
    /// An item of `exclude` that names no vector.
    #[error("Matrix exclude key '{0}' does not match any key within the matrix")]
    UnknownExcludeKey(String),
    /// A container without an image.
    #[error("Container image cannot be empty")]
    EmptyImage,
    /// A name of a concurrency group that is too long.
    #[error("Concurrency group name must be less than 400 characters")]
    LongGroup,
    /// A group that both queues and cancels.
    #[error("'queue: max' and 'cancel-in-progress: true' exclude each other")]
    QueueOfCancelled,
    /// A runner group without a name.
    #[error("Invalid runs-on group name '{0}'.")]
    RunnerGroup(String),
    /// A runner group with another prefix.
    #[error(
        "Invalid runs-on group name '{0}. Please use 'organization/' or 'enterprise/' prefix to target a single runner group.'"
    )]
    RunnerGroupPrefix(String),
    /// A version of a snapshot that is not `N.*`.
    #[error("Expected format '{{major-version}}.*' Actual '{0}'")]
    SnapshotVersion(String),
    /// A choice without options.
    #[error("Missing 'options' for choice input")]
    NoOptions,
    /// Options of something that is no choice.
    #[error("Input type is not 'choice', but 'options' is defined")]
    UnexpectedOptions,
    /// A step that does nothing.
    #[error("Expected one of uses, run, wait, wait-all, cancel, or parallel to be defined")]
    EmptyStep,
    /// `wait-all: false`.
    #[error("The value of 'wait-all' must be true or omitted")]
    WaitAllFalse,
    /// A step that waits for or cancels itself.
    #[error("Step '{0}' cannot reference itself")]
    StepReferencesItself(String),
    /// A step that waits for or cancels what is not there.
    #[error("Step references unknown step ID '{0}'")]
    UnknownStep(String),
    /// `background` inside `parallel`.
    #[error(
        "'background' is not allowed inside a parallel block. Steps in a parallel block are automatically run as background steps."
    )]
    BackgroundInParallel,
    /// Another key that may not stand inside `parallel`.
    #[error("'{0}' is not allowed inside a parallel block.")]
    NotInParallel(&'static str),
    /// `parallel` inside `parallel`.
    #[error("Nested 'parallel' blocks are not allowed.")]
    NestedParallel,
    /// A called workflow that is not there.
    #[error("Unable to find reusable workflow")]
    NoSuchWorkflow,
    /// A called workflow that cannot be called.
    #[error("workflow_call key is not defined in the referenced workflow.")]
    NotCallable,
    /// Calls nested too deep.
    #[error("Nested reusable workflow depth exceeded {0}.")]
    NestedTooDeep(usize),
    /// Too many files.
    #[error("The maximum file count of {0} has been exceeded")]
    TooManyFiles(usize),
    /// Too many calls.
    #[error("The maximum of {0} calls of reusable workflows has been exceeded")]
    TooManyCalls(usize),
    /// A required input without a value.
    #[error("Input {0} is required, but not provided while calling.")]
    InputRequired(String),
    /// An input nobody defined.
    #[error("Invalid input, {0} is not defined in the referenced workflow.")]
    UnknownInput(String),
    /// A required secret without a value.
    #[error("Secret {0} is required, but not provided while calling.")]
    SecretRequired(String),
    /// A secret nobody defined.
    #[error("Invalid secret, {0} is not defined in the referenced workflow.")]
    UnknownSecret(String),
    /// A called workflow that asks for more than its caller may give.
    #[error(
        "Error calling workflow '{workflow}'. {asker} is requesting '{requested}', but is only allowed '{allowed}'."
    )]
    PermissionsExceeded {
        /// The called workflow.
        workflow: String,
        /// Who asks.
        asker: String,
        /// What is asked beyond what is allowed.
        requested: String,
        /// What is allowed of it.
        allowed: String,
    },
}

impl Problem {
    /// Returns whether the problem has no file to name.
    pub(in crate::github) fn is_bare(&self) -> bool {
        matches!(self, Self::NestedTooDeep(_) | Self::TooManyFiles(_) | Self::TooManyCalls(_))
    }
}
