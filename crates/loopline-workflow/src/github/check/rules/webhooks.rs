//! The events that start workflows and their activity types.
//!
//! Source: GitHub's reference "Events that trigger workflows".

const ISSUE: &[&str] = &[
    "assigned",
    "closed",
    "deleted",
    "demilestoned",
    "edited",
    "field_added",
    "field_removed",
    "labeled",
    "locked",
    "milestoned",
    "opened",
    "pinned",
    "reopened",
    "transferred",
    "typed",
    "unassigned",
    "unlabeled",
    "unlocked",
    "unpinned",
    "untyped",
];
const PULL_REQUEST: &[&str] = &[
    "assigned",
    "auto_merge_disabled",
    "auto_merge_enabled",
    "closed",
    "converted_to_draft",
    "demilestoned",
    "dequeued",
    "edited",
    "enqueued",
    "labeled",
    "locked",
    "milestoned",
    "opened",
    "ready_for_review",
    "reopened",
    "review_request_removed",
    "review_requested",
    "stacked",
    "synchronize",
    "unassigned",
    "unlabeled",
    "unlocked",
];
const DISCUSSION: &[&str] = &[
    "answered",
    "category_changed",
    "created",
    "deleted",
    "edited",
    "labeled",
    "locked",
    "pinned",
    "transferred",
    "unanswered",
    "unlabeled",
    "unlocked",
    "unpinned",
];
const CREATED_DELETED_EDITED: &[&str] = &["created", "deleted", "edited"];
const RELEASE: &[&str] =
    &["created", "deleted", "edited", "prereleased", "published", "released", "unpublished"];

/// Events with the activity types each knows.
pub(super) const WEBHOOKS: &[(&str, &[&str])] = &[
    ("branch_protection_rule", CREATED_DELETED_EDITED),
    ("check_run", &["completed", "created", "requested_action", "rerequested"]),
    ("check_suite", &["completed"]),
    ("create", &[]),
    ("delete", &[]),
    ("deployment", &[]),
    ("deployment_status", &[]),
    ("discussion", DISCUSSION),
    ("discussion_comment", CREATED_DELETED_EDITED),
    ("fork", &[]),
    ("gollum", &[]),
    ("issue_comment", CREATED_DELETED_EDITED),
    ("issues", ISSUE),
    ("label", CREATED_DELETED_EDITED),
    ("merge_group", &["checks_requested", "destroyed"]),
    ("milestone", &["closed", "created", "deleted", "edited", "opened"]),
    ("page_build", &[]),
    ("public", &[]),
    ("pull_request", PULL_REQUEST),
    ("pull_request_review", &["dismissed", "edited", "submitted"]),
    ("pull_request_review_comment", CREATED_DELETED_EDITED),
    ("pull_request_target", PULL_REQUEST),
    ("push", &[]),
    ("registry_package", &["published", "updated"]),
    ("release", RELEASE),
    ("status", &[]),
    ("watch", &["started"]),
    ("workflow_run", &["completed", "in_progress", "requested"]),
];

const PULLS: &[&str] = &["push", "pull_request", "pull_request_target"];
const BRANCHES: &[&str] =
    &["merge_group", "push", "pull_request", "pull_request_target", "workflow_run"];

/// Filters with the events that take them.
pub(super) const FILTERS: &[(&str, &[&str])] = &[
    ("branches", BRANCHES),
    ("branches-ignore", BRANCHES),
    ("paths", PULLS),
    ("paths-ignore", PULLS),
    ("tags", &["push"]),
    ("tags-ignore", &["push"]),
];
