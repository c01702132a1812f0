//! Ids of jobs and steps: checking those written, making up those left out.

use std::collections::HashSet;

use super::problem::Problem;

/// An id must be shorter than this; one made up is cut to it.
const MAX_LENGTH: usize = 100;
/// How many made-up ids may share a stem.
const MAX_ATTEMPTS: usize = 1000;

/// The ids of one scope, without regard to case.
#[derive(Debug, Default)]
pub(super) struct Identifiers {
    known: HashSet<String>,
    /// The next suffix to try for a stem, so that many equal stems stay cheap.
    next: std::collections::HashMap<String, usize>,
}

impl Identifiers {
    /// Adds an id that the file states.
    pub(super) fn add(&mut self, id: &str) -> Result<(), Problem> {
        if !is_valid(id) || id.len() >= MAX_LENGTH {
            return Err(Problem::InvalidId(id.to_owned()));
        }
        if id.starts_with("__") {
            return Err(Problem::ReservedId(id.to_owned()));
        }
        if !self.known.insert(id.to_ascii_lowercase()) {
            return Err(Problem::RepeatedId(id.to_owned()));
        }
        Ok(())
    }

    /// Returns whether the file stated this id before.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.known.contains(&id.to_ascii_lowercase())
    }

    /// Makes up an id from `stem`, `_2`, `_3`, ... behind it where it is taken.
    pub(super) fn make(&mut self, stem: &str) -> Result<String, Problem> {
        let stem: String = stem
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
            .collect();
        let first = self.next.get(&stem).copied().unwrap_or(1);
        for attempt in first..MAX_ATTEMPTS {
            let suffix = if attempt == 1 { String::new() } else { format!("_{attempt}") };
            let kept = stem.len().min(MAX_LENGTH - suffix.len());
            let candidate = format!("{}{suffix}", &stem[..kept]);
            if self.known.insert(candidate.to_ascii_lowercase()) {
                self.next.insert(stem, attempt + 1);
                return Ok(candidate);
            }
        }
        Err(Problem::NoUniqueId)
    }
}

fn is_valid(id: &str) -> bool {
    let mut characters = id.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}
