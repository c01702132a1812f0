//! Conflicts as clients are told of them.

use std::collections::BTreeMap;
use std::fmt;

use super::entry::{ManagerId, Operation};
use crate::structured::Conflict;

/// Fields that other managers own and that applying would change. In order, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Conflicts(pub Vec<Conflict<ManagerId>>);

/// One cause as a status lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Always `FieldManagerConflict`.
    pub reason: &'static str,
    /// `conflict with "x" using v1`.
    pub message: String,
    /// The field: `.spec.replicas`.
    pub field: String,
}

impl Conflicts {
    /// Returns the causes for the status' details.
    #[must_use]
    pub fn causes(&self) -> Vec<Cause> {
        self.0
            .iter()
            .map(|conflict| Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {}", Owner(&conflict.manager)),
                field: conflict.path.to_string(),
            })
            .collect()
    }
}

impl fmt::Display for Conflicts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [conflict] = self.0.as_slice() {
            let owner = Owner(&conflict.manager);
            return write!(
                formatter,
                "Apply failed with 1 conflict: conflict with {owner}: {}",
                conflict.path
            );
        }
        write!(formatter, "Apply failed with {} conflicts: ", self.0.len())?;
        let mut by_manager: BTreeMap<&ManagerId, Vec<&Conflict<ManagerId>>> = BTreeMap::new();
        for conflict in &self.0 {
            by_manager.entry(&conflict.manager).or_default().push(conflict);
        }
        for (index, (manager, conflicts)) in by_manager.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}conflicts with {}:", Owner(manager))?;
            for conflict in conflicts {
                write!(formatter, "\n- {}", conflict.path)?;
            }
        }
        Ok(())
    }
}

/// A manager as messages name it.
struct Owner<'a>(&'a ManagerId);

impl fmt::Display for Owner<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        write!(formatter, "{:?}", &*id.manager)?;
        if !id.subresource.is_empty() {
            write!(formatter, " with subresource {:?}", &*id.subresource)?;
        }
        match id.operation {
            Operation::Update => write!(formatter, " using {}", id.api_version),
            Operation::Apply => Ok(()),
        }
    }
}
