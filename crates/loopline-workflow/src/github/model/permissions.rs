//! What a job's token may do.

use std::collections::BTreeMap;

/// One scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// `actions`.
    Actions,
    /// `artifact-metadata`.
    ArtifactMetadata,
    /// `attestations`.
    Attestations,
    /// `checks`.
    Checks,
    /// `code-quality`.
    CodeQuality,
    /// `contents`.
    Contents,
    /// `copilot-requests`.
    CopilotRequests,
    /// `deployments`.
    Deployments,
    /// `discussions`.
    Discussions,
    /// `drives`.
    Drives,
    /// `issues`.
    Issues,
    /// `packages`.
    Packages,
    /// `pages`.
    Pages,
    /// `pull-requests`.
    PullRequests,
    /// `repository-projects`.
    RepositoryProjects,
    /// `statuses`.
    Statuses,
    /// `security-events`.
    SecurityEvents,
    /// `id-token`.
    IdToken,
    /// `models`.
    Models,
    /// `vulnerability-alerts`.
    VulnerabilityAlerts,
}

impl Permission {
    /// Every scope, in the order GitHub lists violations.
    pub const ALL: [Self; 20] = [
        Self::Actions,
        Self::ArtifactMetadata,
        Self::Attestations,
        Self::Checks,
        Self::CodeQuality,
        Self::Contents,
        Self::CopilotRequests,
        Self::Deployments,
        Self::Discussions,
        Self::Drives,
        Self::Issues,
        Self::Packages,
        Self::Pages,
        Self::PullRequests,
        Self::RepositoryProjects,
        Self::Statuses,
        Self::SecurityEvents,
        Self::IdToken,
        Self::Models,
        Self::VulnerabilityAlerts,
    ];

    /// Returns the scope's name in a workflow.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Actions => "actions",
            Self::ArtifactMetadata => "artifact-metadata",
            Self::Attestations => "attestations",
            Self::Checks => "checks",
            Self::CodeQuality => "code-quality",
            Self::Contents => "contents",
            Self::CopilotRequests => "copilot-requests",
            Self::Deployments => "deployments",
            Self::Discussions => "discussions",
            Self::Drives => "drives",
            Self::Issues => "issues",
            Self::Packages => "packages",
            Self::Pages => "pages",
            Self::PullRequests => "pull-requests",
            Self::RepositoryProjects => "repository-projects",
            Self::Statuses => "statuses",
            Self::SecurityEvents => "security-events",
            Self::IdToken => "id-token",
            Self::Models => "models",
            Self::VulnerabilityAlerts => "vulnerability-alerts",
        }
    }

    /// Returns the scope of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }

    /// Returns whether `read-all`, `write-all` and the default policies speak of this scope when
    /// a caller's and a called workflow's permissions are compared.
    pub const fn is_general(self) -> bool {
        !matches!(
            self,
            Self::ArtifactMetadata
                | Self::Attestations
                | Self::CodeQuality
                | Self::CopilotRequests
                | Self::Drives
                | Self::Models
                | Self::VulnerabilityAlerts
        )
    }
}

/// How much of a scope is granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PermissionLevel {
    /// Nothing.
    #[default]
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

impl PermissionLevel {
    /// Returns the level's name in a workflow.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Returns the level of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Read, Self::Write].into_iter().find(|level| level.name() == name)
    }
}

/// A set of permissions as stated; what is not stated is not granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// `read-all` or `write-all`.
    pub all: Option<PermissionLevel>,
    /// The scopes stated one by one.
    pub scopes: BTreeMap<Permission, PermissionLevel>,
}

impl Permissions {
    /// Returns the level granted for `permission`.
    pub fn level(&self, permission: Permission) -> PermissionLevel {
        if let Some(level) = self.scopes.get(&permission) {
            return *level;
        }
        self.all.filter(|_| permission.is_general()).unwrap_or_default()
    }

    /// Returns the scopes of which this asks more than `allowed` grants, in GitHub's order.
    pub fn beyond<'a>(&'a self, allowed: &'a Self) -> impl Iterator<Item = Permission> + 'a {
        Permission::ALL.into_iter().filter(|permission| {
            // A scope that only `write-all` could grant is not compared with it.
            let granted = match allowed.all {
                Some(level) if !permission.is_general() => level,
                _ => allowed.level(*permission),
            };
            self.level(*permission) > granted
        })
    }
}
