//! `permissions`, the policies that stand in for them, and what a called workflow may ask.

use std::sync::Arc;

use super::PermissionsPolicy;
use super::problem::Problem;
use crate::github::model::{Permission, PermissionLevel, Permissions};
use crate::github::template::Token;

/// Reads `permissions`; what the schema refused is left out.
pub(super) fn convert(token: &Token) -> Permissions {
    let mut permissions = Permissions::default();
    match token.as_str() {
        Some("read-all") => permissions.all = Some(PermissionLevel::Read),
        Some("write-all") => permissions.all = Some(PermissionLevel::Write),
        _ => {}
    }
    for pair in token.as_mapping().unwrap_or_default() {
        let permission = pair.key.as_str().and_then(Permission::from_name);
        let level = pair.value.as_str().and_then(PermissionLevel::from_name);
        if let (Some(permission), Some(level)) = (permission, level) {
            permissions.scopes.insert(permission, level);
        }
    }
    permissions
}

/// Returns what stands where nobody states permissions.
pub(super) fn of_policy(policy: PermissionsPolicy, trusted: bool) -> Permissions {
    let mut permissions = Permissions::default();
    match policy {
        PermissionsPolicy::LimitedRead => {
            for permission in [Permission::Contents, Permission::Packages] {
                permissions.scopes.insert(permission, PermissionLevel::Read);
            }
        }
        PermissionsPolicy::Write => {
            permissions.all = Some(PermissionLevel::Write);
            if !trusted {
                permissions.scopes.insert(Permission::IdToken, PermissionLevel::None);
            }
        }
    }
    permissions
}

/// Checks that `requested` stays within `allowed`; `asker` says who asks.
pub(super) fn check_within(
    requested: &Permissions,
    allowed: &Permissions,
    workflow: &Arc<str>,
    asker: impl FnOnce() -> String,
) -> Result<(), Problem> {
    let beyond: Vec<Permission> = requested.beyond(allowed).collect();
    if beyond.is_empty() {
        return Ok(());
    }
    let list = |permissions: &Permissions| {
        let items = beyond.iter().map(|permission| {
            format!("{}: {}", permission.name(), permissions.level(*permission).name())
        });
        items.collect::<Vec<_>>().join(", ")
    };
    Err(Problem::PermissionsExceeded {
        workflow: workflow.to_string(),
        asker: asker(),
        requested: list(requested),
        allowed: list(allowed),
    })
}
