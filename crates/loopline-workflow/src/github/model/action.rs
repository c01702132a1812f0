//! An action's metadata: `action.yml`.

use loopline_source::SourceFile;

use super::{Step, Text};
use crate::github::template::Token;

/// One `action.yml`.
#[derive(Clone, Debug)]
pub struct Action {
    /// The file all spans point into.
    pub file: SourceFile,
    /// `name`.
    pub name: Option<Text>,
    /// `description`.
    pub description: Option<Text>,
    /// `inputs`, in the order of the file.
    pub inputs: Vec<ActionInput>,
    /// `outputs`, in the order of the file.
    pub outputs: Vec<ActionOutput>,
    /// `runs`; absent where it could not be read.
    pub runs: Option<ActionRuns>,
}

/// One input of an action.
#[derive(Clone, Debug)]
pub struct ActionInput {
    /// Its name; names compare without regard to case.
    pub name: Text,
    /// `description`.
    pub description: Option<Text>,
    /// `required`.
    pub required: bool,
    /// `default`: a string or an expression.
    pub default: Option<Token>,
    /// `deprecationMessage`.
    pub deprecation_message: Option<Text>,
}

/// One output of an action.
#[derive(Clone, Debug)]
pub struct ActionOutput {
    /// Its name.
    pub name: Text,
    /// `description`.
    pub description: Option<Text>,
    /// `value` of a composite action's output.
    pub value: Option<Token>,
}

/// How an action runs.
#[derive(Clone, Debug)]
pub enum ActionRuns {
    /// `using: composite`.
    Composite {
        /// Its steps.
        steps: Vec<Step>,
    },
    /// `using: node20` and its like.
    Node {
        /// The runtime's name.
        using: Text,
        /// The script that runs.
        main: Text,
        /// The script that runs before all steps.
        pre: Option<Text>,
        /// When `pre` runs; `always()` where absent.
        pre_if: Option<Text>,
        /// The script that runs after all steps.
        post: Option<Text>,
        /// When `post` runs; `always()` where absent.
        post_if: Option<Text>,
    },
    /// `using: docker`.
    Docker {
        /// `Dockerfile`, another path, or `docker://IMAGE`.
        image: Text,
        /// `args`: a sequence.
        args: Option<Token>,
        /// `env`: a mapping.
        env: Option<Token>,
        /// `entrypoint`.
        entrypoint: Option<Text>,
        /// `pre-entrypoint`.
        pre_entrypoint: Option<Text>,
        /// When the first entry point runs; `always()` where absent.
        pre_if: Option<Text>,
        /// `post-entrypoint`.
        post_entrypoint: Option<Text>,
        /// When the last entry point runs; `always()` where absent.
        post_if: Option<Text>,
    },
}
