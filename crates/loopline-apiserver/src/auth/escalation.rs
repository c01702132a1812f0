//! Nobody gives out more than they have: what is checked when roles and bindings are written.
//!
//! Source of the behaviour: `pkg/registry/rbac/*/policybased` of Kubernetes.

use serde_json::Value;

use super::rules::{self, Rule, missing, quoted};
use super::{Action, Decision, MASTERS, User, rbac};
use crate::Server;
use crate::admission::{Admission, AdmissionFuture, Attributes, Operation};
use crate::registry::Entry;
use crate::status::{Result, Status};

/// The group of roles and bindings.
const GROUP: &str = "rbac.authorization.k8s.io";

/// Refuses roles and bindings that give more than their writer has.
#[derive(Clone, Copy, Debug)]
pub struct Escalation;

impl Admission for Escalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    fn validate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        Box::pin(async move {
            if attributes.entry.resource.group != GROUP
                || !matches!(attributes.operation, Operation::Create | Operation::Update)
                || attributes.user.is_in(MASTERS)
            {
                return Ok(());
            }
            match &*attributes.entry.resource.plural {
                "roles" | "clusterroles" => check_role(server, attributes).await,
                "rolebindings" | "clusterrolebindings" => check_binding(server, attributes).await,
                _ => Ok(()),
            }
        })
    }
}

async fn check_role(server: &Server, attributes: &Attributes) -> Result<()> {
    let Attributes { entry, namespace, name, object, old, user, .. } = attributes;
    let same = |key: &str| old[key] == object[key];
    if attributes.operation == Operation::Update && same("rules") && same("aggregationRule") {
        return Ok(());
    }
    if may(server, user, "escalate", &entry.resource.plural, namespace, name).await? {
        return Ok(());
    }
    let mut wanted = Rule::parse_all(&object["rules"]);
    // Who says which roles are put together can take up any rule that is ever written.
    if !object["aggregationRule"].is_null() || !old["aggregationRule"].is_null() {
        wanted.extend(rbac::full_authority());
    }
    refuse_more(server, user, entry, namespace, name, &wanted).await
}

async fn check_binding(server: &Server, attributes: &Attributes) -> Result<()> {
    let Attributes { entry, namespace, name, object, old, user, .. } = attributes;
    let same = |key: &str| old[key] == object[key];
    if attributes.operation == Operation::Update && same("roleRef") && same("subjects") {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let kind = text(&object["roleRef"]["kind"]);
    let role = text(&object["roleRef"]["name"]);
    let plural = if kind == "ClusterRole" { "clusterroles" } else { "roles" };
    if may(server, user, "bind", plural, namespace, &role).await? {
        return Ok(());
    }
    let of = if kind == "ClusterRole" { "" } else { &**namespace };
    let Some(wanted) = server.authorizer().role_rules(&kind, of, &role).await? else {
        let resource = loopline_schema::Resource {
            group: GROUP.into(),
            plural: plural.into(),
            ..loopline_schema::Resource::default()
        };
        return Err(Status::not_found(&resource, &role));
    };
    refuse_more(server, user, entry, namespace, name, &wanted).await
}

/// Refuses what gives more than the user has.
async fn refuse_more(
    server: &Server,
    user: &User,
    entry: &Entry,
    namespace: &str,
    name: &str,
    wanted: &[Rule],
) -> Result<()> {
    let held = server.authorizer().rules(user, namespace).await?;
    let missing = missing(&held.rules, wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let mut why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        rules::describe_all(&missing)
    );
    if !held.errors.is_empty() {
        why.push_str(&format!("; resolution errors: [{}]", held.errors.join(", ")));
    }
    Err(Status::forbidden(&entry.resource, name, why))
}

async fn may(
    server: &Server,
    user: &User,
    verb: &str,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<bool> {
    let action = Action {
        verb: verb.to_owned(),
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        resource: plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Action::default()
    };
    Ok(matches!(server.authorizer().authorize(user, &action).await?, Decision::Allow(_)))
}
