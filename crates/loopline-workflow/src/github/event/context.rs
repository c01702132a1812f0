//! The `github` context of a run, as far as the run decides it; what a job or a step adds (`job`,
//! `workspace`, `action`, the files of workflow commands, `token`) is the runner's.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::facts::{Facts, GitRef};
use super::payload::Event;

/// What is known of the run itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// `github.run_id`; digits.
    pub id: String,
    /// `github.run_number`.
    pub number: u64,
    /// `github.run_attempt`, from 1.
    pub attempt: u64,
    /// The workflow's path in the repository (`.github/workflows/ci.yml`).
    pub workflow_path: String,
    /// How long artifacts and logs are kept, in days.
    pub retention_days: u32,
}

impl Default for RunFacts {
    fn default() -> Self {
        Self {
            id: "1".to_owned(),
            number: 1,
            attempt: 1,
            workflow_path: ".github/workflows/workflow.yml".to_owned(),
            retention_days: 90,
        }
    }
}

/// Returns the `github` context. `workflow_name` is the workflow's `name`; its path where it has
/// none. Numbers that GitHub hands over as strings are strings.
pub fn github_context(
    event: &Event,
    facts: &Facts,
    run: &RunFacts,
    workflow_name: Option<&str>,
) -> Json {
    let reference = GitRef::parse(&event.git_ref);
    let is_pull = event.git_ref.starts_with("refs/pull/");
    let ref_name = if is_pull {
        event.git_ref.trim_start_matches("refs/pull/").to_owned()
    } else {
        reference.name().to_owned()
    };
    let ref_type = if matches!(reference, GitRef::Tag(_)) { "tag" } else { "branch" };
    let api_url = if facts.server_url == "https://github.com" {
        "https://api.github.com".to_owned()
    } else {
        format!("{}/api/v3", facts.server_url)
    };
    let graphql_url = if facts.server_url == "https://github.com" {
        "https://api.github.com/graphql".to_owned()
    } else {
        format!("{}/api/graphql", facts.server_url)
    };
    let host_path = facts.server_url.trim_start_matches("https://").trim_start_matches("http://");
    let text = |value: &str| Json::from(value);
    let pairs: [(&str, Json); 33] = [
        ("ref", text(&event.git_ref)),
        ("sha", text(&event.sha)),
        ("repository", text(&facts.repository)),
        ("repository_owner", text(facts.owner())),
        ("repository_owner_id", Facts::id_of(facts.owner()).to_string().into()),
        ("repositoryUrl", format!("git://{host_path}/{}.git", facts.repository).into()),
        ("run_id", text(&run.id)),
        ("run_number", run.number.to_string().into()),
        ("retention_days", run.retention_days.to_string().into()),
        ("run_attempt", run.attempt.to_string().into()),
        ("artifact_cache_size_limit", text("10")),
        ("repository_visibility", text("public")),
        ("repo-self-hosted-runners-disabled", Json::Bool(false)),
        ("enterprise-managed-business-id", text("")),
        ("repository_id", Facts::id_of(&facts.repository).to_string().into()),
        ("actor_id", Facts::id_of(&facts.actor).to_string().into()),
        ("actor", text(&facts.actor)),
        ("triggering_actor", text(&facts.actor)),
        ("workflow", text(workflow_name.unwrap_or(&run.workflow_path))),
        ("head_ref", text(&event.head_ref)),
        ("base_ref", text(&event.base_ref)),
        ("event_name", text(&event.name)),
        ("event", event.payload.clone()),
        ("server_url", text(&facts.server_url)),
        ("api_url", api_url.into()),
        ("graphql_url", graphql_url.into()),
        ("ref_name", ref_name.into()),
        ("ref_protected", Json::Bool(false)),
        ("ref_type", text(ref_type)),
        ("secret_source", text("Actions")),
        (
            "workflow_ref",
            format!("{}/{}@{}", facts.repository, run.workflow_path, event.git_ref).into(),
        ),
        ("workflow_sha", text(&event.sha)),
        ("job", Json::Null),
    ];
    let mut context = Map::with_capacity(pairs.len());
    for (key, value) in pairs {
        context.insert(key.to_owned(), value);
    }
    Json::Object(context)
}
