//! What starts a workflow: `on` and everything below it.

use loopline_source::Span;

use super::Text;
use crate::github::template::Token;

/// One event of `on`.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its name, such as `push`.
    pub name: Text,
    /// Its configuration.
    pub config: EventConfig,
}

/// An event's configuration.
#[derive(Clone, Debug)]
pub enum EventConfig {
    /// Filters; all empty where the event stands alone.
    Filters(Box<Filters>),
    /// `schedule`.
    Schedule(Vec<Schedule>),
    /// `workflow_dispatch` with its inputs.
    Dispatch(Vec<Input>),
    /// `workflow_call`.
    Call {
        /// Its inputs.
        inputs: Vec<Input>,
        /// Its outputs.
        outputs: Vec<Output>,
        /// Its secrets.
        secrets: Vec<SecretDefinition>,
    },
}

/// The filters of an event; `None` where the key is absent.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// `branches`: glob patterns.
    pub branches: Option<Vec<Text>>,
    /// `branches-ignore`: glob patterns.
    pub branches_ignore: Option<Vec<Text>>,
    /// `tags`: glob patterns.
    pub tags: Option<Vec<Text>>,
    /// `tags-ignore`: glob patterns.
    pub tags_ignore: Option<Vec<Text>>,
    /// `paths`: glob patterns.
    pub paths: Option<Vec<Text>>,
    /// `paths-ignore`: glob patterns.
    pub paths_ignore: Option<Vec<Text>>,
    /// `types`: activity types.
    pub types: Option<Vec<Text>>,
    /// `workflows` of `workflow_run`.
    pub workflows: Option<Vec<Text>>,
    /// `names` of `image_version`.
    pub names: Option<Vec<Text>>,
    /// `versions` of `image_version`.
    pub versions: Option<Vec<Text>>,
}

/// One entry of `schedule`.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The cron expression, five fields.
    pub cron: Text,
    /// The time zone it is read in; UTC where absent.
    pub timezone: Option<Text>,
}

/// An input of `workflow_dispatch` or `workflow_call`.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name as written; names compare without regard to case.
    pub name: Text,
    /// `description`.
    pub description: Option<Text>,
    /// `type`; a string where absent.
    pub kind: InputKind,
    /// `required`.
    pub required: bool,
    /// `default`: a literal, or (for `workflow_call`) an expression.
    pub default: Option<Token>,
    /// `options` of a choice.
    pub options: Vec<Text>,
}

/// The type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// `string`.
    String,
    /// `boolean`.
    Boolean,
    /// `number`.
    Number,
    /// `choice`: one of `options`.
    Choice,
    /// `environment`: the name of an environment.
    Environment,
}

impl InputKind {
    /// Returns the kind's name in a workflow.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Choice => "choice",
            Self::Environment => "environment",
        }
    }

    /// Returns the kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::String, Self::Boolean, Self::Number, Self::Choice, Self::Environment]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// An output of `workflow_call`.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: Text,
    /// `description`.
    pub description: Option<Text>,
    /// `value`, usually an expression over `jobs`.
    pub value: Token,
}

/// A secret of `workflow_call`.
#[derive(Clone, Debug)]
pub struct SecretDefinition {
    /// Its name.
    pub name: Text,
    /// `description`.
    pub description: Option<Text>,
    /// `required`.
    pub required: bool,
    /// Where the definition stands.
    pub span: Span,
}
