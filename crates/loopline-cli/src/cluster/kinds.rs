//! What the API serves: kinds by their names, and the words that mean them.

use std::sync::Arc;

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::{Ask, Cluster, Failure, encoded};

/// The forms of discovery that bring everything in one document, the best first.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                         application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// One resource of one version.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    singular: String,
    short: Vec<String>,
    categories: Vec<String>,
    verbs: Vec<String>,
    /// Whether its group prefers another version.
    preferred: bool,
}

impl Kind {
    /// Returns `group/version`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Returns `plural.group`.
    pub(crate) fn plural_name(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// Returns `kind.group` in lower case, which names objects in results.
    pub(crate) fn singular_name(&self) -> String {
        qualified(&self.kind.to_lowercase(), &self.group)
    }

    /// Returns the path of a collection.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        match namespace {
            Some(namespace) => format!(
                "/{root}/{}/namespaces/{}/{}",
                self.api_version(),
                encoded(namespace),
                self.plural
            ),
            None => format!("/{root}/{}/{}", self.api_version(), self.plural),
        }
    }

    /// Returns the kind as kube-rs has it.
    pub(crate) fn api_resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(&self.group, &self.version, &self.kind);
        ApiResource::from_gvk_with_plural(&kind, &self.plural)
    }

    fn is_called(&self, word: &str) -> bool {
        let lower = word.to_lowercase();
        self.plural == lower
            || self.singular == lower
            || self.kind.to_lowercase() == lower
            || self.short.contains(&lower)
    }

    fn means(&self, word: &str) -> bool {
        if self.is_called(word) {
            return true;
        }
        let Some((name, rest)) = word.split_once('.') else { return false };
        self.is_called(name)
            && (rest == self.group
                || rest
                    .split_once('.')
                    .is_some_and(|(version, group)| version == self.version && group == self.group))
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

impl Cluster {
    /// Returns a kind by its full name; a kind that is not known is looked for once more.
    pub(crate) async fn kind(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Kind>, Failure> {
        let is = |one: &&Kind| one.group == group && one.version == version && one.kind == kind;
        for fresh in [false, true] {
            if let Some(found) = self.all(fresh).await?.iter().find(is) {
                return Ok(Some(found.clone()));
            }
        }
        Ok(None)
    }

    /// Returns the kinds that a word of the command line means: `pods`, `deploy`, `all`,
    /// `deployments.v1.apps`, or several with commas between them.
    pub(crate) async fn kinds(&self, words: &str) -> Result<Vec<Kind>, Failure> {
        let all = self.all(false).await?;
        let mut found: Vec<Kind> = Vec::new();
        for word in words.split(',') {
            let group: Vec<&Kind> = all
                .iter()
                .filter(|one| {
                    one.preferred
                        && one.categories.iter().any(|category| category == word)
                        && one.verbs.iter().any(|verb| verb == "list")
                })
                .collect();
            if !group.is_empty() {
                found.extend(group.into_iter().cloned());
                continue;
            }
            let named = all.iter().filter(|one| one.means(word));
            // A version that is not the preferred one counts where it is named.
            let best = named.clone().find(|one| one.preferred).or_else(|| named.clone().next());
            let exact = word.split('.').count() > 2;
            let best = if exact {
                named.clone().find(|one| word.split('.').nth(1) == Some(&one.version)).or(best)
            } else {
                best
            };
            found.push(best.cloned().ok_or_else(|| {
                Failure::Wrong(format!("the server doesn't have a resource type {word:?}"))
            })?);
        }
        Ok(found)
    }

    async fn all(&self, fresh: bool) -> Result<Arc<Vec<Kind>>, Failure> {
        let mut kept = self.kinds.lock().await;
        if !fresh && let Some(kinds) = &*kept {
            return Ok(Arc::clone(kinds));
        }
        let mut kinds = Vec::new();
        for root in ["/api", "/apis"] {
            let answer = self.ask(Ask::new("GET", root).accept(DISCOVERY)).await?;
            if answer.body["kind"] != "APIGroupDiscoveryList" {
                return Err(Failure::Lost(
                    "the server is older than Kubernetes 1.27: it has no aggregated discovery"
                        .to_owned(),
                    Some("kubectl can still talk to it".to_owned()),
                ));
            }
            for group in list(&answer.body, "items") {
                let name = text(&group["metadata"], "name");
                for (index, version) in list(group, "versions").iter().enumerate() {
                    for resource in list(version, "resources") {
                        kinds.push(of(&name, &text(version, "version"), resource, index == 0));
                    }
                }
            }
        }
        let kinds = Arc::new(kinds);
        *kept = Some(Arc::clone(&kinds));
        Ok(kinds)
    }
}

fn of(group: &str, version: &str, resource: &Value, preferred: bool) -> Kind {
    let strings = |key: &str| {
        list(resource, key).iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
    };
    Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text(&resource["responseKind"], "kind"),
        plural: text(resource, "resource"),
        namespaced: resource["scope"] == "Namespaced",
        singular: text(resource, "singularResource"),
        short: strings("shortNames"),
        categories: strings("categories"),
        verbs: strings("verbs"),
        preferred,
    }
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// Returns a kind that no server was asked for.
#[cfg(test)]
pub(super) fn tests_kind(group: &str, version: &str, kind: &str, plural: &str) -> Kind {
    let resource = serde_json::json!({
        "responseKind": {"kind": kind}, "resource": plural, "scope": "Cluster",
    });
    of(group, version, &resource, true)
}
