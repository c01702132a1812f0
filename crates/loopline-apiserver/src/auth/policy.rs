//! The roles and bindings that every cluster has, and writing them at start.
//!
//! Source of the behaviour: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy` of Kubernetes. Only
//! what is missing is added; what an administrator took away from a role by setting the annotation
//! `rbac.authorization.kubernetes.io/autoupdate: "false"` stays away.

use serde_json::{Value, json};

use super::roles::roles;
use super::rules::Rule;
use super::{AUTHENTICATED, MASTERS, UNAUTHENTICATED};
use crate::Server;
use crate::object;
use crate::registry::Entry;
use crate::status::{Result, Status};
use crate::verbs::create::seconds;
use loopline_store::object::Precondition;

/// The group of roles and bindings.
const GROUP: &str = "rbac.authorization.k8s.io";

/// The annotation that keeps a built-in role as it is.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// The label of what is built in.
const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");

/// How often a write that raced is tried again.
const MAX_TRIES: usize = 5;

impl Server {
    /// Writes the built-in roles and bindings that are missing, and adds rules and subjects that
    /// they lack.
    ///
    /// # Errors
    /// Where the store fails.
    pub(crate) async fn bootstrap_roles(&self) -> Result<()> {
        // They are written together: one after the other each would wait for the disk.
        let mut all = Vec::new();
        for role in roles() {
            let mut wanted = json!({
                "metadata": metadata(role.name, role.labels),
                "rules": role.rules.iter().map(Rule::to_value).collect::<Vec<_>>(),
            });
            if !role.made_of.is_empty() {
                let selectors: Vec<Value> = role
                    .made_of
                    .iter()
                    .map(|label| json!({"matchLabels": {*label: "true"}}))
                    .collect();
                wanted["aggregationRule"] = json!({"clusterRoleSelectors": selectors});
            }
            all.push(("clusterroles", role.name, wanted));
        }
        for (name, role, kind, subject) in bindings() {
            let mut subject_value = json!({"kind": kind, "name": subject});
            if kind == "ServiceAccount" {
                subject_value["namespace"] = json!("kube-system");
            } else {
                subject_value["apiGroup"] = json!(GROUP);
            }
            let wanted = json!({
                "metadata": metadata(name, &[]),
                "subjects": [subject_value],
                "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
            });
            all.push(("clusterrolebindings", name, wanted));
        }
        let writes = all.iter().map(|(plural, name, wanted)| self.ensure(plural, name, wanted));
        futures_util::future::try_join_all(writes).await?;
        Ok(())
    }

    async fn ensure(&self, plural: &str, name: &str, wanted: &Value) -> Result<()> {
        let entry = self.registry().get(GROUP, "v1", plural).ok_or_else(Status::no_such_path)?;
        for _ in 0..MAX_TRIES {
            let (object, precondition) = match self.find(&entry, "", name).await? {
                None => (self.fresh(&entry, wanted), Precondition::Absent),
                Some(stored) => match completed(&stored.object, wanted) {
                    None => return Ok(()),
                    Some(object) => (object, Precondition::Revision(stored.revision)),
                },
            };
            match self.write(&entry, "", name, &object, precondition).await {
                Ok(_) => return Ok(()),
                Err(crate::storage::WriteError::Raced) => {}
                Err(crate::storage::WriteError::Refused(status)) => return Err(status),
            }
        }
        Err(Status::conflict(&entry.resource, name, "others keep writing it"))
    }

    fn fresh(&self, entry: &Entry, wanted: &Value) -> Value {
        let mut object = wanted.clone();
        object::set_type(&mut object, &entry.api_version(), &entry.resource.kind);
        object::set_meta(&mut object, "uid", json!(self.clock().uuid()));
        object::set_meta(&mut object, "creationTimestamp", json!(seconds(self.clock().now())));
        object
    }
}

fn metadata(name: &str, labels: &[&str]) -> Value {
    let mut all = serde_json::Map::new();
    all.insert(BOOTSTRAPPING.0.to_owned(), json!(BOOTSTRAPPING.1));
    for label in labels {
        all.insert((*label).to_owned(), json!("true"));
    }
    json!({"name": name, "labels": all, "annotations": {AUTO_UPDATE: "true"}})
}

/// Returns the stored object with what it lacks; nothing where it lacks nothing, or is to stay.
fn completed(stored: &Value, wanted: &Value) -> Option<Value> {
    if stored["metadata"]["annotations"][AUTO_UPDATE] == "false" {
        return None;
    }
    let mut object = stored.clone();
    let mut changed = false;
    if wanted["aggregationRule"].is_null() && wanted["rules"].is_array() {
        let held = Rule::parse_all(&stored["rules"]);
        let lacking = super::rules::missing(&held, &Rule::parse_all(&wanted["rules"]));
        if !lacking.is_empty() {
            if !object["rules"].is_array() {
                object["rules"] = json!([]);
            }
            if let Some(rules) = object["rules"].as_array_mut() {
                rules.extend(lacking.iter().map(Rule::to_value));
            }
            changed = true;
        }
    }
    for (key, value) in wanted["metadata"]["labels"].as_object().into_iter().flatten() {
        if object["metadata"]["labels"][key] != *value {
            let labels = object::metadata_mut(&mut object);
            if !labels.get("labels").is_some_and(Value::is_object) {
                labels.insert("labels".to_owned(), json!({}));
            }
            labels["labels"][key] = value.clone();
            changed = true;
        }
    }
    for subject in wanted["subjects"].as_array().into_iter().flatten() {
        let known = stored["subjects"].as_array().is_some_and(|list| list.contains(subject));
        if !known {
            if !object["subjects"].is_array() {
                object["subjects"] = json!([]);
            }
            if let Some(subjects) = object["subjects"].as_array_mut() {
                subjects.push(subject.clone());
            }
            changed = true;
        }
    }
    changed.then_some(object)
}

/// Returns the built-in bindings: name, cluster role, kind of the subject, subject.
fn bindings() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    let mut bindings = vec![
        ("cluster-admin", "cluster-admin", "Group", MASTERS),
        ("system:discovery", "system:discovery", "Group", AUTHENTICATED),
        ("system:basic-user", "system:basic-user", "Group", AUTHENTICATED),
        ("system:public-info-viewer", "system:public-info-viewer", "Group", AUTHENTICATED),
        ("system:public-info-viewer", "system:public-info-viewer", "Group", UNAUTHENTICATED),
        (
            "system:service-account-issuer-discovery",
            "system:service-account-issuer-discovery",
            "Group",
            "system:serviceaccounts",
        ),
        ("system:monitoring", "system:monitoring", "Group", "system:monitoring"),
        ("system:node-proxier", "system:node-proxier", "User", "system:kube-proxy"),
        (
            "system:kube-controller-manager",
            "system:kube-controller-manager",
            "User",
            "system:kube-controller-manager",
        ),
        ("system:kube-scheduler", "system:kube-scheduler", "User", "system:kube-scheduler"),
    ];
    bindings.extend(super::controllers::roles().filter_map(|(name, _)| {
        super::controllers::account(name).map(|account| (name, name, "ServiceAccount", account))
    }));
    bindings
}
