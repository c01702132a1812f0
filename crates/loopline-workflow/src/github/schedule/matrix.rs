//! `matrix` to legs: vectors crossed, `exclude` taken away, `include` added.

use super::evaluate::EvaluationError;
use super::expand::{ExpandError, MAX_LEGS};
use crate::github::expression::{Object, Value};
use crate::github::template::Token;

/// Returns the legs and, for each, the part that shows in its name.
pub(super) fn expand_matrix(
    definition: &Value,
    token: &Token,
) -> Result<(Vec<Value>, Vec<Value>), ExpandError> {
    let invalid = |reason: String| ExpandError::from(EvaluationError::invalid(token, reason));
    let Value::Object(definition) = definition else {
        return Err(invalid("`matrix` must be a mapping".to_owned()));
    };
    let list = |name: &str| match definition.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.to_vec()),
        Some(_) => Err(invalid(format!("`{name}` of the matrix must be a sequence"))),
    };
    let (includes, excludes) = (list("include")?, list("exclude")?);
    let mut legs: Vec<Object> = Vec::new();
    let mut vectors = Vec::new();
    for (name, values) in definition.iter() {
        if name.eq_ignore_ascii_case("include") || name.eq_ignore_ascii_case("exclude") {
            continue;
        }
        let Value::Array(values) = values else {
            return Err(invalid(format!("`{name}` of the matrix must be a sequence")));
        };
        if values.is_empty() {
            return Err(invalid(format!("`{name}` of the matrix has no values")));
        }
        // Excludes may bring a large product below the bound, but not an unbounded one.
        let count = legs.len().max(1).saturating_mul(values.len());
        if count > MAX_LEGS * MAX_LEGS {
            return Err(ExpandError::TooMany(count));
        }
        if legs.is_empty() {
            legs.push(Object::new());
        }
        legs = legs
            .iter()
            .flat_map(|leg| {
                values.iter().map(|value| {
                    let mut leg = leg.clone();
                    leg.insert(std::sync::Arc::clone(name), value.clone());
                    leg
                })
            })
            .collect();
        vectors.push(std::sync::Arc::clone(name));
    }
    for exclude in &excludes {
        let Value::Object(exclude) = exclude else {
            return Err(invalid("an item of `exclude` must be a mapping".to_owned()));
        };
        for (name, _) in exclude.iter() {
            if !vectors.iter().any(|vector| vector.eq_ignore_ascii_case(name)) {
                return Err(invalid(format!(
                    "`exclude` names `{name}`, which the matrix does not have"
                )));
            }
        }
        legs.retain(|leg| {
            !exclude.iter().all(|(name, value)| leg.get(name).is_some_and(|it| matches(it, value)))
        });
    }
    let mut shown: Vec<Value> = legs.iter().cloned().map(Value::from).collect();
    let originals = legs.clone();
    for include in &includes {
        let Value::Object(include) = include else {
            return Err(invalid("an item of `include` must be a mapping".to_owned()));
        };
        let mut added = false;
        for (leg, original) in legs.iter_mut().zip(&originals) {
            let fits = include
                .iter()
                .all(|(name, value)| original.get(name).is_none_or(|it| matches(it, value)));
            if fits {
                added = true;
                for (name, value) in include.iter().filter(|(name, _)| !original.contains_key(name))
                {
                    leg.insert(std::sync::Arc::clone(name), value.clone());
                }
            }
        }
        if !added {
            legs.push((**include).clone());
            shown.push(Value::Object(std::sync::Arc::clone(include)));
        }
    }
    if legs.len() > MAX_LEGS {
        return Err(ExpandError::TooMany(legs.len()));
    }
    Ok((legs.into_iter().map(Value::from).collect(), shown))
}

/// As `==` for scalars; collections match when all they hold does.
fn matches(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(left, right)| matches(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && right
                    .iter()
                    .all(|(name, right)| left.get(name).is_some_and(|left| matches(left, right)))
        }
        _ => value.loose_eq(pattern),
    }
}
