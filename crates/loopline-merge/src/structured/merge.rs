//! A live object with a configuration merged over it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fields::FieldSetError;
use super::walk::{Form, ItemError, Items, as_items, form};
use crate::depth::bounded;
use crate::order::equal;
use crate::path::PathElement;
use crate::types::Type;

/// Returns the live value with everything that the configuration says merged over it. Nothing is
/// removed. Items that only one side has stay in the order of that side, items of both follow the
/// configuration.
///
/// # Errors
///
/// Fails with the first list item that has no name of its own, and with values too deep.
pub fn merge<T: Type>(live: &Value, config: &Value, ty: T) -> Result<Value, FieldSetError> {
    bounded(live)?;
    bounded(config)?;
    Ok(merge_at(live, config, ty)?)
}

fn merge_at<T: Type>(live: &Value, config: &Value, ty: T) -> Result<Value, (usize, ItemError)> {
    match form(&ty, config) {
        Form::Leaf => Ok(config.clone()),
        Form::List(keys) => {
            let (lives, configs) = (as_items(Some(live)), as_items(Some(config)));
            match (lives.is_empty(), configs.is_empty()) {
                // Empty and null are told apart.
                (true, _) => Ok(config.clone()),
                (false, true) => Ok(live.clone()),
                (false, false) => Ok(Value::Array(merge_items(lives, configs, keys, ty)?)),
            }
        }
        Form::Map => {
            let lives = live.as_object().filter(|map| !map.is_empty());
            let configs = config.as_object().filter(|map| !map.is_empty());
            match (lives, configs) {
                (None, _) => Ok(config.clone()),
                (Some(_), None) => Ok(live.clone()),
                (Some(lives), Some(configs)) => merge_fields(lives, configs, ty),
            }
        }
    }
}

/// Returns whether a live value has all that a configuration says, so that merging would change
/// nothing. May say no although it would not: it looks only at lists whose items are paired.
pub(crate) fn contains<T: Type>(live: &Value, config: &Value, ty: T) -> bool {
    match form(&ty, config) {
        Form::Leaf => equal(live, config),
        Form::List(keys) => {
            let (lives, configs) = (as_items(Some(live)), as_items(Some(config)));
            if lives.is_empty() || configs.is_empty() {
                return !lives.is_empty() || live == config;
            }
            let Some(element) = ty.element().filter(|_| !keys.is_empty()) else {
                return live == config;
            };
            let paired = |(live, config): (&Value, &Value)| {
                keys.iter().all(|key| live.get(key) == config.get(key))
                    && contains(live, config, element)
            };
            lives.len() == configs.len() && lives.iter().zip(configs).all(paired)
        }
        Form::Map => {
            let lives = live.as_object().filter(|map| !map.is_empty());
            let configs = config.as_object().filter(|map| !map.is_empty());
            match (lives, configs) {
                (None, _) => live == config,
                (Some(_), None) => true,
                (Some(lives), Some(configs)) => {
                    configs.iter().all(|(name, config)| match (lives.get(name), ty.field(name)) {
                        (Some(live), Some(field)) => contains(live, config, field),
                        (Some(live), None) => live == config,
                        (None, _) => false,
                    })
                }
            }
        }
    }
}

fn merge_fields<T: Type>(
    lives: &Map<String, Value>,
    configs: &Map<String, Value>,
    ty: T,
) -> Result<Value, (usize, ItemError)> {
    let mut merged = Map::with_capacity(lives.len().max(configs.len()));
    for (name, live) in lives {
        let value = match (configs.get(name), ty.field(name)) {
            (Some(config), Some(field)) => merge_at(live, config, field)?,
            (Some(config), None) => config.clone(),
            (None, _) => live.clone(),
        };
        merged.insert(name.clone(), value);
    }
    for (name, config) in configs {
        if !lives.contains_key(name) {
            merged.insert(name.clone(), config.clone());
        }
    }
    Ok(Value::Object(merged))
}

fn merge_items<T: Type>(
    lives: &[Value],
    configs: &[Value],
    keys: &[String],
    ty: T,
) -> Result<Vec<Value>, (usize, ItemError)> {
    if lives == configs {
        return Ok(lives.to_vec());
    }
    let element = ty.element();
    let lives = Items::of(keys, element, lives)?;
    let configs = Items::of(keys, element, configs)?;
    let combine = |step: &PathElement, config: &Value| match (lives.single(step), element) {
        (Some(live), Some(element)) => merge_at(live, config, element),
        // Of duplicates nobody knows which one is meant: the configuration's replaces them.
        _ => Ok(config.clone()),
    };
    // The items of both sides, in the configuration's order: what comes between them in the live
    // list stays between them.
    let mut shared =
        configs.elements.iter().filter(|step| lives.positions.contains_key(*step)).peekable();
    let mut placed: BTreeSet<&PathElement> = BTreeSet::new();
    let mut merged = Vec::with_capacity(lives.values.len().max(configs.values.len()));
    let (mut left, mut right) = (0, 0);
    while left < lives.values.len() || right < configs.values.len() {
        if let (Some(live_step), Some(config_step)) =
            (lives.elements.get(left), configs.elements.get(right))
        {
            if live_step == config_step {
                placed.insert(config_step);
                merged.push(combine(config_step, &configs.values[right])?);
                left += 1;
                right += 1;
                shared.next();
                continue;
            }
            let elsewhere = configs.positions.contains_key(live_step);
            if elsewhere && shared.peek().is_some_and(|next| *next != live_step) {
                left += 1;
                continue;
            }
        }
        if let Some(live_step) = lives.elements.get(left) {
            if !configs.positions.contains_key(live_step) {
                merged.push(lives.values[left].clone());
                left += 1;
                continue;
            }
            if placed.contains(live_step) {
                left += 1;
            }
        }
        if let Some(config_step) = configs.elements.get(right) {
            placed.insert(config_step);
            merged.push(combine(config_step, &configs.values[right])?);
            right += 1;
            if shared.peek().is_some_and(|next| *next == config_step) {
                shared.next();
            }
        }
    }
    Ok(merged)
}
