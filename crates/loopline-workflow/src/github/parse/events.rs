//! `on`: events, their filters, schedules, inputs, outputs and secrets.

use std::sync::Arc;

use super::convert::Converter;
use super::cron;
use super::problem::Problem;
use crate::github::model::{
    Event, EventConfig, Filters, Input, InputKind, Output, Schedule, SecretDefinition, Text,
};
use crate::github::template::{Kind, Token};

/// Converts `on`: a name, names, or a mapping.
pub(super) fn convert(converter: &mut Converter<'_>, token: &Token) -> Vec<Event> {
    match &token.kind {
        Kind::Mapping(pairs) => pairs
            .iter()
            .filter_map(|pair| {
                let name = text(&pair.key)?;
                let config = configuration(converter, &name, &pair.value);
                Some(Event { name, config })
            })
            .collect(),
        Kind::Sequence(items) => items.iter().filter_map(text).map(alone).collect(),
        _ => text(token).map(alone).into_iter().collect(),
    }
}

/// Returns an event without configuration.
fn alone(name: Text) -> Event {
    let config = match &**name {
        "workflow_dispatch" => EventConfig::Dispatch(Vec::new()),
        "workflow_call" => {
            EventConfig::Call { inputs: Vec::new(), outputs: Vec::new(), secrets: Vec::new() }
        }
        "schedule" => EventConfig::Schedule(Vec::new()),
        _ => EventConfig::Filters(Box::default()),
    };
    Event { name, config }
}

fn configuration(converter: &mut Converter<'_>, name: &Text, token: &Token) -> EventConfig {
    let part = |key: &str| token.get(key).and_then(Token::as_mapping).unwrap_or_default();
    match &*name.value {
        "schedule" => EventConfig::Schedule(schedules(converter, token)),
        "workflow_dispatch" => {
            let inputs = part("inputs").iter();
            EventConfig::Dispatch(
                inputs.filter_map(|pair| input(converter, &pair.key, &pair.value)).collect(),
            )
        }
        "workflow_call" => {
            let inputs = part("inputs").iter();
            let inputs = inputs.filter_map(|pair| input(converter, &pair.key, &pair.value));
            let inputs = inputs.collect();
            let outputs = part("outputs").iter().filter_map(|pair| output(&pair.key, &pair.value));
            let secrets = part("secrets").iter().filter_map(|pair| secret(&pair.key, &pair.value));
            EventConfig::Call { inputs, outputs: outputs.collect(), secrets: secrets.collect() }
        }
        _ => {
            let mut list = |key: &str| token.get(key).map(|value| converter.texts(value, key));
            EventConfig::Filters(Box::new(Filters {
                branches: list("branches"),
                branches_ignore: list("branches-ignore"),
                tags: list("tags"),
                tags_ignore: list("tags-ignore"),
                paths: list("paths"),
                paths_ignore: list("paths-ignore"),
                types: list("types"),
                workflows: list("workflows"),
                names: list("names"),
                versions: list("versions"),
            }))
        }
    }
}

fn schedules(converter: &mut Converter<'_>, token: &Token) -> Vec<Schedule> {
    let mut schedules = Vec::new();
    for item in token.as_sequence().unwrap_or_default() {
        let Some(cron) = item.get("cron").and_then(text) else { continue };
        if !cron::is_valid(&cron) {
            converter.problem(cron.span, Problem::Cron);
        }
        schedules.push(Schedule { cron, timezone: item.get("timezone").and_then(text) });
    }
    schedules
}

fn input(converter: &mut Converter<'_>, key: &Token, token: &Token) -> Option<Input> {
    let kind = token.get("type").and_then(Token::as_str).and_then(InputKind::from_name);
    let options = token.get("options");
    let input = Input {
        name: text(key)?,
        description: token.get("description").and_then(text),
        kind: kind.unwrap_or(InputKind::String),
        required: token.get("required").and_then(Token::as_bool).unwrap_or(false),
        default: token.get("default").cloned(),
        options: options
            .and_then(Token::as_sequence)
            .map(|items| items.iter().filter_map(text).collect())
            .unwrap_or_default(),
    };
    if input.kind == InputKind::Choice && input.options.is_empty() {
        converter.problem(token.span, Problem::NoOptions);
    }
    if input.kind != InputKind::Choice && options.is_some() {
        converter.problem(token.span, Problem::UnexpectedOptions);
    }
    Some(input)
}

fn output(key: &Token, token: &Token) -> Option<Output> {
    Some(Output {
        name: text(key)?,
        description: token.get("description").and_then(text),
        value: token.get("value")?.clone(),
    })
}

fn secret(key: &Token, token: &Token) -> Option<SecretDefinition> {
    Some(SecretDefinition {
        name: text(key)?,
        description: token.get("description").and_then(text),
        required: token.get("required").and_then(Token::as_bool).unwrap_or(false),
        span: token.span,
    })
}

fn text(token: &Token) -> Option<Text> {
    match &token.kind {
        Kind::String(text) => Some(Text { value: Arc::clone(text), span: token.span }),
        _ => None,
    }
}
