//! Resources: what the API serves under which path, and what discovery says of it.
//!
//! Built-in resources are read from `data/resources.txt`; custom resources make the same
//! [`Resource`] at run time.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::Value;

/// A text that is borrowed from the binary, or owned by a custom resource.
pub type Text = Cow<'static, str>;

/// One resource of one group and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// The group; empty for core.
    pub group: Text,
    /// The version.
    pub version: Text,
    /// The kind of its objects.
    pub kind: Text,
    /// The kind of a list of its objects.
    pub list_kind: Text,
    /// The name in paths.
    pub plural: Text,
    /// The singular name.
    pub singular: Text,
    /// Abbreviations.
    pub short_names: Vec<Text>,
    /// Names of groups of resources, such as `all`.
    pub categories: Vec<Text>,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// The verbs in the order of their names.
    pub verbs: Vec<Text>,
    /// The subresources in the order of their names.
    pub subresources: Vec<Subresource>,
    /// The group and version under which the same objects are stored.
    pub stored: (Text, Text),
    /// What field selectors may name, besides `metadata.name` and `metadata.namespace`.
    pub selectable_fields: Vec<Text>,
    /// Whether `metadata.generation` counts changes of the specification.
    pub has_generation: bool,
}

/// A subresource: `deployments/scale`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Its name, without the resource's.
    pub name: Text,
    /// The group of its body.
    pub group: Text,
    /// The version of its body.
    pub version: Text,
    /// The kind of its body.
    pub kind: Text,
    /// The verbs in the order of their names.
    pub verbs: Vec<Text>,
}

const ALL_VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// What is written to part of an object.
const PART_VERBS: [&str; 3] = ["get", "patch", "update"];

impl Resource {
    /// Returns `GROUP/VERSION`, or only the version of core.
    pub fn group_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// Returns the subresource of a name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// Returns whether status is written apart from the rest.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// Returns whether its objects are kept at all: reviews and bindings are only answered.
    pub fn is_stored(&self) -> bool {
        self.verbs.iter().any(|verb| verb == "watch")
    }

    /// Returns `PLURAL.GROUP`, or only the plural of core: how errors name a resource.
    pub fn qualified_plural(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Returns what a field selector compares: the text of a field of an object, empty where the
    /// object has none. Nothing is returned for a field that selectors may not name.
    pub fn selected(&self, label: &str, object: &Value) -> Option<String> {
        let at = |path: &str| path.split('.').try_fold(object, |at, step| at.get(step));
        let text = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        if label == "metadata.name" || (label == "metadata.namespace" && self.namespaced) {
            return Some(text(at(label)));
        }
        if !self.selectable_fields.iter().any(|field| field == label) {
            return None;
        }
        let found = match label {
            "name" => text(at("metadata.name")),
            "status.podIPs" => text(at("status.podIP")),
            "status.successful" => text(at("status.succeeded")),
            "source" => {
                let component = text(at("source.component"));
                if component.is_empty() { text(at("reportingComponent")) } else { component }
            }
            _ => text(at(label)),
        };
        // What the API's own types cannot leave out has a value where the object has none.
        Some(match label {
            "spec.unschedulable" | "spec.hostNetwork" if found.is_empty() => "false".to_owned(),
            "status.replicas" | "status.successful"
                if found.is_empty() && matches!(&*self.group, "" | "apps" | "batch") =>
            {
                "0".to_owned()
            }
            _ => found,
        })
    }
}

/// Returns `GROUP/VERSION`, or only the version of core.
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

static RESOURCES: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    include_str!("../data/resources.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(read)
        .collect()
});

/// Returns the built-in resources, by preference of their groups, then of their versions.
pub fn resources() -> &'static [Resource] {
    &RESOURCES
}

/// Returns a built-in resource by its place in paths.
pub fn resource(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    resources().iter().find(|r| r.group == group && r.version == version && r.plural == plural)
}

/// Returns a built-in resource by the kind of its objects.
pub fn resource_of_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    resources().iter().find(|r| r.group == group && r.version == version && r.kind == kind)
}

/// Returns the groups of some resources in the order in which they come, each with its versions:
/// the first is preferred.
pub fn groups<'a>(resources: impl Iterator<Item = &'a Resource>) -> Vec<(Text, Vec<Text>)> {
    let mut groups: Vec<(Text, Vec<Text>)> = Vec::new();
    for resource in resources {
        let index = groups.iter().position(|(group, _)| *group == resource.group);
        let versions = match index {
            Some(index) => &mut groups[index].1,
            None => {
                groups.push((resource.group.clone(), Vec::new()));
                let last = groups.len() - 1;
                &mut groups[last].1
            }
        };
        if !versions.contains(&resource.version) {
            versions.push(resource.version.clone());
        }
    }
    for (_, versions) in &mut groups {
        versions.sort_by(|a, b| compare_versions(a, b));
    }
    groups
}

/// Orders versions as discovery does: stable before beta before alpha, newer before older, and
/// what is no version of that form last, by name.
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    /// Stable is 2, beta 1, alpha 0; then the major and minor numbers.
    fn parts(version: &str) -> Option<(u8, u64, u64)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, rest) = rest.split_at(digits);
        let major = major.parse().ok()?;
        if rest.is_empty() {
            return Some((2, major, 0));
        }
        let (stage, minor) = match rest.strip_prefix("beta") {
            Some(minor) => (1, minor),
            None => (0, rest.strip_prefix("alpha")?),
        };
        Some((stage, major, minor.parse().ok()?))
    }
    match (parts(a), parts(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Reads a line of the table, which is part of the binary: what does not fit is a fault of ours.
fn read(line: &'static str) -> Resource {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (group, version) = word().split_once('/').unwrap_or_default();
    let (kind, plural, scope) = (word(), word(), word());
    let mut resource = Resource {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        plural: plural.into(),
        singular: kind.to_lowercase().into(),
        namespaced: scope == "namespaced",
        verbs: ALL_VERBS.into_iter().map(Text::Borrowed).collect(),
        stored: (group.into(), version.into()),
        ..Resource::default()
    };
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let texts = || value.split(',').map(Text::Borrowed).collect::<Vec<_>>();
        match key {
            "verbs" => resource.verbs = texts(),
            "short" => resource.short_names = texts(),
            "categories" => resource.categories = texts(),
            "fields" => resource.selectable_fields = texts(),
            "generation" => resource.has_generation = true,
            "stored" => {
                let (group, version) = value.split_once('/').unwrap_or_default();
                resource.stored = (group.into(), version.into());
            }
            "subresources" => {
                resource.subresources =
                    value.split(',').map(|name| subresource(&resource, name)).collect();
            }
            other => unreachable!("the word `{other}` of {plural}"),
        }
    }
    // Metrics are named as what they are of.
    if resource.group == "metrics.k8s.io" {
        resource.singular = "".into();
    }
    resource
}

fn subresource(parent: &Resource, name: &'static str) -> Subresource {
    const CONNECT: [&str; 2] = ["create", "get"];
    const PROXY: [&str; 5] = ["create", "delete", "get", "patch", "update"];
    let (group, version, kind, verbs): (&str, &str, Text, &[&'static str]) = match name {
        "scale" => ("autoscaling", "v1", "Scale".into(), &PART_VERBS),
        "eviction" => ("policy", "v1", "Eviction".into(), &["create"]),
        "token" => ("authentication.k8s.io", "v1", "TokenRequest".into(), &["create"]),
        "binding" => ("", "v1", "Binding".into(), &["create"]),
        "attach" => ("", "v1", "PodAttachOptions".into(), &CONNECT),
        "exec" => ("", "v1", "PodExecOptions".into(), &CONNECT),
        "portforward" => ("", "v1", "PodPortForwardOptions".into(), &CONNECT),
        "proxy" => ("", "v1", format!("{}ProxyOptions", parent.kind).into(), &PROXY),
        "log" => ("", "v1", "Pod".into(), &["get"]),
        "finalize" => ("", "v1", "Namespace".into(), &["update"]),
        "status" | "ephemeralcontainers" | "resize" | "approval" => {
            return Subresource {
                name: name.into(),
                group: parent.group.clone(),
                version: parent.version.clone(),
                kind: parent.kind.clone(),
                verbs: PART_VERBS.into_iter().map(Text::Borrowed).collect(),
            };
        }
        other => unreachable!("the subresource `{other}`"),
    };
    Subresource {
        name: name.into(),
        group: group.to_owned().into(),
        version: version.to_owned().into(),
        kind,
        verbs: verbs.iter().copied().map(Text::Borrowed).collect(),
    }
}
