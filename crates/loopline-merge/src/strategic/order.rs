//! The order of merged lists: what the patch orders, with the server's other items in between.

use std::collections::HashMap;

use serde_json::Value;

use super::directive::{Error, merge_key};

/// What tells items apart in a list: their merge key, or themselves.
pub(super) struct Identity<'a> {
    /// The merge key; nothing for scalars.
    pub(super) key: Option<&'a str>,
}

impl Identity<'_> {
    /// Returns a text that two items share only if they are the same item.
    pub(super) fn of(&self, item: &Value) -> Result<String, Error> {
        Ok(match self.key {
            Some(key) => merge_key(item, key)?.to_string(),
            None => item.to_string(),
        })
    }

    /// Returns the positions of a list's items; of equal items that of the first.
    pub(super) fn positions(&self, list: &[Value]) -> Result<HashMap<String, usize>, Error> {
        let mut positions = HashMap::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            positions.entry(self.of(item)?).or_insert(index);
        }
        Ok(positions)
    }
}

/// Orders a merged list. The items that `wanted` has come in its order; all others come in the
/// server's order, before the next of the wanted items that they stood before on the server.
pub(super) fn arrange(
    merged: Vec<Value>,
    wanted: &[Value],
    server: &[Value],
    identity: &Identity<'_>,
) -> Result<Vec<Value>, Error> {
    let wanted = identity.positions(wanted)?;
    let server = identity.positions(server)?;
    let mut ordered: Vec<(usize, Option<usize>, Value)> = Vec::with_capacity(wanted.len());
    let mut others: Vec<(Option<usize>, Value)> = Vec::new();
    for item in merged {
        let name = identity.of(&item)?;
        let on_server = server.get(&name).copied();
        match wanted.get(&name) {
            Some(position) => ordered.push((*position, on_server, item)),
            None => others.push((on_server, item)),
        }
    }
    ordered.sort_by_key(|(position, ..)| *position);
    others.sort_by_key(|(position, _)| position.unwrap_or(usize::MAX));
    let mut result = Vec::with_capacity(ordered.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, on_server, item) in ordered {
        while let Some((Some(other), _)) = others.peek() {
            if on_server.is_none_or(|position| *other > position) {
                break;
            }
            result.extend(others.next().map(|(_, item)| item));
        }
        result.push(item);
    }
    result.extend(others.map(|(_, item)| item));
    Ok(result)
}
