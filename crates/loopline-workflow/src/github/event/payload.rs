//! The event itself: its payload, made from facts or taken from the user, and what the payload
//! says of the ref and the commit.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::facts::{Facts, GitRef, Person};

/// The most a payload of the user's may hold, in bytes of JSON (GitHub's own bound is 25 MiB).
const MAX_PAYLOAD_BYTES: usize = 25 * 1024 * 1024;

/// The commit that stands for "none".
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// Every event a workflow may name, with the activity types it starts on where the workflow
/// gives none; an empty list means all types, or that the event has no types.
pub const NAMES: &[(&str, &[&str])] = &[
    ("branch_protection_rule", &[]),
    ("check_run", &[]),
    ("check_suite", &[]),
    ("create", &[]),
    ("delete", &[]),
    ("deployment", &[]),
    ("deployment_status", &[]),
    ("discussion", &[]),
    ("discussion_comment", &[]),
    ("fork", &[]),
    ("gollum", &[]),
    ("image_version", &[]),
    ("issue_comment", &[]),
    ("issues", &[]),
    ("label", &[]),
    ("merge_group", &[]),
    ("milestone", &[]),
    ("page_build", &[]),
    ("project", &[]),
    ("project_card", &[]),
    ("project_column", &[]),
    ("public", &[]),
    ("pull_request", &["opened", "synchronize", "reopened"]),
    ("pull_request_review", &[]),
    ("pull_request_review_comment", &[]),
    ("pull_request_target", &["opened", "synchronize", "reopened"]),
    ("push", &[]),
    ("registry_package", &[]),
    ("release", &[]),
    ("repository_dispatch", &[]),
    ("schedule", &[]),
    ("status", &[]),
    ("watch", &[]),
    ("workflow_call", &[]),
    ("workflow_dispatch", &[]),
    ("workflow_run", &[]),
];

/// Why there is no such event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// No workflow can listen to it.
    #[error("`{0}` is not an event that GitHub has")]
    Unknown(String),
    /// The payload is not JSON.
    #[error("the event file is not JSON: {0}")]
    NotJson(String),
    /// The payload is JSON, but no object.
    #[error("the event file must hold a JSON object")]
    NotObject,
    /// The payload is too large.
    #[error("the event file is larger than {MAX_PAYLOAD_BYTES} bytes")]
    TooLarge,
}

/// What a run is of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// `push`, `pull_request`, ...
    pub name: String,
    /// The activity type, where the event has types.
    pub action: Option<String>,
    /// `github.event`.
    pub payload: Json,
    /// `github.ref`.
    pub git_ref: String,
    /// `github.sha`.
    pub sha: String,
    /// `github.base_ref`; empty except for pull requests.
    pub base_ref: String,
    /// `github.head_ref`; empty except for pull requests.
    pub head_ref: String,
    /// The paths that changed, where known.
    pub changed_files: Option<Vec<String>>,
}

impl Event {
    /// Makes the event `name` from facts. `inputs` are those of a dispatch.
    ///
    /// # Errors
    /// [`EventError::Unknown`].
    pub fn synthesize(
        name: &str,
        facts: &Facts,
        inputs: &BTreeMap<String, Json>,
        cron: Option<&str>,
    ) -> Result<Self, EventError> {
        let Some((name, default_types)) = NAMES.iter().find(|(known, _)| *known == name) else {
            return Err(EventError::Unknown(name.to_owned()));
        };
        let mut payload = Map::new();
        let mut action = default_types.first().map(|it| (*it).to_owned());
        match *name {
            "push" => push(&mut payload, facts),
            "create" | "delete" => {
                payload.insert("ref".into(), facts.git_ref.name().into());
                let kind = if matches!(facts.git_ref, GitRef::Tag(_)) { "tag" } else { "branch" };
                payload.insert("ref_type".into(), kind.into());
                payload.insert("master_branch".into(), facts.default_branch.as_str().into());
            }
            "pull_request"
            | "pull_request_target"
            | "pull_request_review"
            | "pull_request_review_comment" => {
                // A branch that stands beside another is, on every run but its first, an update.
                if default_types.len() > 1 {
                    action = Some("synchronize".to_owned());
                } else {
                    action = Some(
                        if *name == "pull_request_review" { "submitted" } else { "created" }
                            .to_owned(),
                    );
                }
                pull_request(&mut payload, facts);
            }
            "workflow_dispatch" | "workflow_call" => {
                let inputs: Map<_, _> =
                    inputs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                payload.insert(
                    "inputs".into(),
                    if inputs.is_empty() { Json::Null } else { Json::Object(inputs) },
                );
                payload.insert("ref".into(), facts.git_ref.full().into());
            }
            "repository_dispatch" => {
                action = Some("dispatch".to_owned());
                payload.insert("branch".into(), facts.default_branch.as_str().into());
                payload.insert("client_payload".into(), json!({}));
            }
            "schedule" => {
                payload.insert("schedule".into(), cron.map_or(Json::Null, Json::from));
            }
            "release" => {
                action = Some("published".to_owned());
                release(&mut payload, facts);
            }
            "workflow_run" => {
                action = Some("completed".to_owned());
                workflow_run(&mut payload, facts);
            }
            "merge_group" => {
                action = Some("checks_requested".to_owned());
                payload.insert(
                    "merge_group".into(),
                    json!({
                        "head_sha": facts.sha,
                        "head_ref": facts.git_ref.full(),
                        "base_sha": facts.before.as_deref().unwrap_or(NO_COMMIT),
                        "base_ref": format!("refs/heads/{}", facts.default_branch),
                        "head_commit": commit(facts),
                    }),
                );
            }
            "issues" | "issue_comment" => {
                action = Some(if *name == "issues" { "opened" } else { "created" }.to_owned());
                payload.insert(
                    "issue".into(),
                    json!({"number": 1, "title": "", "body": "", "state": "open", "labels": [],
                           "user": user(&facts.actor)}),
                );
                if *name == "issue_comment" {
                    payload.insert(
                        "comment".into(),
                        json!({"id": 1, "body": "", "user": user(&facts.actor)}),
                    );
                }
            }
            "watch" => action = Some("started".to_owned()),
            _ => {}
        }
        if let Some(action) = &action {
            payload.insert("action".into(), action.as_str().into());
        }
        payload.insert("repository".into(), repository(facts));
        payload.insert("sender".into(), user(&facts.actor));
        Ok(Self::with_payload(name, Json::Object(payload), facts))
    }

    /// Takes the payload from the text of a file of the user's; what it does not say of the
    /// repository and the sender is filled in from facts.
    ///
    /// # Errors
    /// [`EventError`], each variant as it says.
    pub fn from_text(name: &str, text: &str, facts: &Facts) -> Result<Self, EventError> {
        if text.len() > MAX_PAYLOAD_BYTES {
            return Err(EventError::TooLarge);
        }
        if !NAMES.iter().any(|(known, _)| *known == name) {
            return Err(EventError::Unknown(name.to_owned()));
        }
        let payload: Json =
            serde_json::from_str(text).map_err(|error| EventError::NotJson(error.to_string()))?;
        let Json::Object(mut payload) = payload else { return Err(EventError::NotObject) };
        payload.entry("repository").or_insert_with(|| repository(facts));
        payload.entry("sender").or_insert_with(|| user(&facts.actor));
        Ok(Self::with_payload(name, Json::Object(payload), facts))
    }

    fn with_payload(name: &str, payload: Json, facts: &Facts) -> Self {
        let text = |pointer: &str| payload.pointer(pointer).and_then(Json::as_str);
        let default_ref = format!("refs/heads/{}", facts.default_branch);
        let mut event = Self {
            name: name.to_owned(),
            action: text("/action").map(str::to_owned),
            git_ref: default_ref,
            sha: facts.sha.clone(),
            base_ref: String::new(),
            head_ref: String::new(),
            changed_files: facts.changed_files.clone(),
            payload: Json::Null,
        };
        match name {
            "push" => {
                event.git_ref = text("/ref").map_or_else(|| facts.git_ref.full(), full_ref);
                if let Some(after) = text("/after").filter(|after| *after != NO_COMMIT) {
                    event.sha = after.to_owned();
                }
                if let Some(changed) = changed_files(&payload) {
                    event.changed_files = Some(changed);
                }
            }
            "create" | "workflow_dispatch" | "workflow_call" => {
                event.git_ref = match (text("/ref"), text("/ref_type")) {
                    (Some(name), Some("tag")) => format!("refs/tags/{name}"),
                    (Some(name), _) => full_ref(name),
                    (None, _) => facts.git_ref.full(),
                };
            }
            "pull_request"
            | "pull_request_target"
            | "pull_request_review"
            | "pull_request_review_comment" => {
                let known = facts.pull_request();
                let number = payload
                    .pointer("/number")
                    .or_else(|| payload.pointer("/pull_request/number"))
                    .and_then(Json::as_u64)
                    .unwrap_or(known.number);
                let base = text("/pull_request/base/ref").unwrap_or(&known.base);
                event.base_ref = base.to_owned();
                event.head_ref = text("/pull_request/head/ref").unwrap_or(&known.head).to_owned();
                event.git_ref = if name == "pull_request_target" {
                    format!("refs/heads/{base}")
                } else {
                    format!("refs/pull/{number}/merge")
                };
                // GitHub checks out a merge commit; here what is on disk is what runs.
            }
            "release" => {
                if let Some(tag) = text("/release/tag_name") {
                    event.git_ref = format!("refs/tags/{tag}");
                }
            }
            "merge_group" => {
                if let Some(head) = text("/merge_group/head_ref") {
                    event.git_ref = full_ref(head);
                }
            }
            _ => {}
        }
        event.payload = payload;
        event
    }

    /// Returns the branch or tag that filters look at: the base of a pull request, else the ref.
    pub fn filtered_ref(&self) -> GitRef {
        if self.base_ref.is_empty() {
            GitRef::parse(&self.git_ref)
        } else {
            GitRef::Branch(self.base_ref.clone())
        }
    }
}

fn full_ref(text: &str) -> String {
    if text.starts_with("refs/") { text.to_owned() } else { format!("refs/heads/{text}") }
}

/// Returns the paths the commits of a push name, where they name any.
fn changed_files(payload: &Json) -> Option<Vec<String>> {
    let commits = payload.get("commits")?.as_array()?;
    let mut paths: Vec<String> = commits
        .iter()
        .flat_map(|commit| ["added", "modified", "removed"].map(|key| commit.get(key)))
        .flatten()
        .filter_map(Json::as_array)
        .flatten()
        .filter_map(Json::as_str)
        .map(str::to_owned)
        .collect();
    if paths.is_empty() {
        return None;
    }
    paths.sort_unstable();
    paths.dedup();
    Some(paths)
}

fn push(payload: &mut Map<String, Json>, facts: &Facts) {
    let before = facts.before.as_deref().unwrap_or(NO_COMMIT);
    payload.insert("ref".into(), facts.git_ref.full().into());
    payload.insert("before".into(), before.into());
    payload.insert("after".into(), facts.sha.as_str().into());
    payload.insert("created".into(), facts.before.is_none().into());
    payload.insert("deleted".into(), false.into());
    payload.insert("forced".into(), false.into());
    payload.insert("base_ref".into(), Json::Null);
    payload.insert(
        "compare".into(),
        format!("{}/{}/compare/{before}...{}", facts.server_url, facts.repository, facts.sha)
            .into(),
    );
    let head = commit(facts);
    payload.insert("commits".into(), json!([head]));
    payload.insert("head_commit".into(), head);
    payload.insert("pusher".into(), json!({"name": facts.actor, "email": facts.committer.email}));
}

fn pull_request(payload: &mut Map<String, Json>, facts: &Facts) {
    let request = facts.pull_request();
    let side = |name: &str, sha: Option<&str>| {
        json!({
            "label": format!("{}:{name}", facts.owner()),
            "ref": name,
            "sha": sha,
            "repo": repository(facts),
            "user": user(facts.owner()),
        })
    };
    payload.insert("number".into(), request.number.into());
    payload.insert("before".into(), facts.before.clone().into());
    payload.insert("after".into(), facts.sha.as_str().into());
    let address = format!("{}/{}/pull/{}", facts.server_url, facts.repository, request.number);
    payload.insert(
        "pull_request".into(),
        json!({
            "number": request.number,
            "id": request.number,
            "html_url": address,
            "state": "open",
            "draft": false,
            "merged": false,
            "mergeable": Json::Null,
            "title": request.title,
            "body": Json::Null,
            "labels": [],
            "user": user(&facts.actor),
            "head": side(&request.head, Some(&facts.sha)),
            "base": side(&request.base, request.base_sha.as_deref()),
            "merge_commit_sha": Json::Null,
            "author_association": "OWNER",
            "changed_files": facts.changed_files.as_ref().map(Vec::len),
        }),
    );
}

fn release(payload: &mut Map<String, Json>, facts: &Facts) {
    let tag = match &facts.git_ref {
        GitRef::Tag(tag) => tag.clone(),
        GitRef::Branch(_) => format!("v0.0.0-{}", facts.sha.get(..7).unwrap_or(&facts.sha)),
    };
    payload.insert(
        "release".into(),
        json!({
            "id": 1,
            "tag_name": tag,
            "name": tag,
            "body": "",
            "draft": false,
            "prerelease": false,
            "target_commitish": facts.default_branch,
            "html_url": format!("{}/{}/releases/tag/{tag}", facts.server_url, facts.repository),
            "author": user(&facts.actor),
            "created_at": facts.committed_at,
            "published_at": facts.committed_at,
            "assets": [],
        }),
    );
}

fn workflow_run(payload: &mut Map<String, Json>, facts: &Facts) {
    payload.insert(
        "workflow_run".into(),
        json!({
            "id": 1,
            "name": Json::Null,
            "run_number": 1,
            "run_attempt": 1,
            "event": "push",
            "status": "completed",
            "conclusion": "success",
            "head_branch": facts.git_ref.name(),
            "head_sha": facts.sha,
            "head_commit": commit(facts),
            "head_repository": repository(facts),
            "actor": user(&facts.actor),
            "pull_requests": [],
        }),
    );
}

fn commit(facts: &Facts) -> Json {
    let person = |person: &Person| json!({"name": person.name, "email": person.email, "username": facts.actor});
    json!({
        "id": facts.sha,
        "distinct": true,
        "message": facts.message,
        "timestamp": facts.committed_at,
        "url": format!("{}/{}/commit/{}", facts.server_url, facts.repository, facts.sha),
        "author": person(&facts.author),
        "committer": person(&facts.committer),
    })
}

fn repository(facts: &Facts) -> Json {
    let address = format!("{}/{}", facts.server_url, facts.repository);
    json!({
        "id": Facts::id_of(&facts.repository),
        "name": facts.name(),
        "full_name": facts.repository,
        "private": false,
        "fork": false,
        "owner": user(facts.owner()),
        "html_url": address,
        "clone_url": format!("{address}.git"),
        "default_branch": facts.default_branch,
        "master_branch": facts.default_branch,
    })
}

fn user(login: &str) -> Json {
    json!({"login": login, "name": login, "id": Facts::id_of(login), "type": "User"})
}
