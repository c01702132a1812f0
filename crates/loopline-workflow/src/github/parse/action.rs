//! `action.yml`: inputs, outputs and how the action runs.

use loopline_source::SourceFile;

use super::Options;
use super::convert::Converter;
use crate::github::expression::format_number;
use crate::github::model::{Action, ActionInput, ActionOutput, ActionRuns, Text};
use crate::github::schema::Schema;
use crate::github::template::{Errors, Kind, Limits, Token};

/// Converts an action's tokens.
pub(super) fn convert(
    file: &SourceFile,
    root: Option<&Token>,
    limits: &Limits,
    errors: &mut Errors,
) -> Action {
    let options = Options { limits: limits.clone(), ..Options::default() };
    let mut job_count = 0;
    let mut converter = Converter::new(file, &options, Schema::action(), errors, &mut job_count);
    let part = |key| root.and_then(|root| root.get(key));
    let pairs = |key| part(key).and_then(Token::as_mapping).unwrap_or_default().iter();
    Action {
        file: file.clone(),
        name: part("name").and_then(text),
        description: part("description").and_then(text),
        inputs: pairs("inputs").filter_map(|pair| input(&pair.key, &pair.value)).collect(),
        outputs: pairs("outputs").filter_map(|pair| output(&pair.key, &pair.value)).collect(),
        runs: part("runs").and_then(|runs| self::runs(&mut converter, runs)),
    }
}

fn input(key: &Token, token: &Token) -> Option<ActionInput> {
    // Metadata is read loosely: `required: "true"` is as good as `required: true`.
    let required = token.get("required").is_some_and(|required| match &required.kind {
        Kind::Boolean(value) => *value,
        Kind::String(value) => value.eq_ignore_ascii_case("true"),
        _ => false,
    });
    Some(ActionInput {
        name: text(key)?,
        description: token.get("description").and_then(text),
        required,
        default: token.get("default").cloned(),
        deprecation_message: token.get("deprecationMessage").and_then(text),
    })
}

fn output(key: &Token, token: &Token) -> Option<ActionOutput> {
    Some(ActionOutput {
        name: text(key)?,
        description: token.get("description").and_then(text),
        value: token.get("value").cloned(),
    })
}

fn runs(converter: &mut Converter<'_>, runs: &Token) -> Option<ActionRuns> {
    let part = |key: &str| runs.get(key).and_then(text);
    let using = part("using")?;
    let kept = |key: &str| runs.get(key).cloned();
    match &*using.value {
        "composite" => {
            let steps = runs.get("steps").map(|steps| converter.steps(steps, false));
            Some(ActionRuns::Composite { steps: steps.unwrap_or_default() })
        }
        "docker" => Some(ActionRuns::Docker {
            image: part("image")?,
            args: kept("args"),
            env: kept("env"),
            entrypoint: part("entrypoint"),
            pre_entrypoint: part("pre-entrypoint"),
            pre_if: part("pre-if"),
            post_entrypoint: part("post-entrypoint"),
            post_if: part("post-if"),
        }),
        _ => Some(ActionRuns::Node {
            main: part("main")?,
            pre: part("pre"),
            pre_if: part("pre-if"),
            post: part("post"),
            post_if: part("post-if"),
            using,
        }),
    }
}

/// Returns a literal as text.
fn text(token: &Token) -> Option<Text> {
    let value = match &token.kind {
        Kind::String(text) => text.clone(),
        Kind::Boolean(value) => value.to_string().into(),
        Kind::Number(value) => format_number(*value).into(),
        _ => return None,
    };
    Some(Text { value, span: token.span })
}
