//! Policy rules: what they allow, and whether some rules cover others.
//!
//! Source of the behaviour: the RBAC authorizer and `k8s.io/component-helpers/auth/rbac`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Action;

/// What a rule says for everything.
const ALL: &str = "*";

/// One rule of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The verbs.
    pub verbs: Vec<String>,
    /// The API groups; empty for rules about paths.
    pub api_groups: Vec<String>,
    /// The resources, `resource/subresource` included.
    pub resources: Vec<String>,
    /// The objects it is limited to; none means all.
    pub resource_names: Vec<String>,
    /// The paths.
    pub non_resource_urls: Vec<String>,
}

impl Rule {
    /// Reads the rules of a role.
    pub fn parse_all(rules: &Value) -> Vec<Self> {
        rules.as_array().into_iter().flatten().map(Self::parse).collect()
    }

    fn parse(rule: &Value) -> Self {
        let texts = |key: &str| {
            let list = rule[key].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            verbs: texts("verbs"),
            api_groups: texts("apiGroups"),
            resources: texts("resources"),
            resource_names: texts("resourceNames"),
            non_resource_urls: texts("nonResourceURLs"),
        }
    }

    /// Returns a rule about resources.
    pub fn resources(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Self {
        Self {
            verbs: owned(verbs),
            api_groups: owned(groups),
            resources: owned(resources),
            ..Self::default()
        }
    }

    /// Narrows the rule to objects of these names.
    #[must_use]
    pub fn named(mut self, names: &[&str]) -> Self {
        self.resource_names = owned(names);
        self
    }

    /// Returns a rule about paths.
    pub fn paths(paths: &[&str], verbs: &[&str]) -> Self {
        Self { verbs: owned(verbs), non_resource_urls: owned(paths), ..Self::default() }
    }

    /// Returns the rule as roles carry it.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (key, list) in self.parts() {
            if !list.is_empty() {
                map.insert(key.to_owned(), json!(list));
            }
        }
        Value::Object(map)
    }

    fn parts(&self) -> [(&'static str, &Vec<String>); 5] {
        [
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("nonResourceURLs", &self.non_resource_urls),
            ("resourceNames", &self.resource_names),
            ("verbs", &self.verbs),
        ]
    }

    /// Returns whether the rule allows something.
    pub fn allows(&self, action: &Action) -> bool {
        if !self.verbs.iter().any(|verb| verb == ALL || *verb == action.verb) {
            return false;
        }
        if action.resource.is_empty() {
            return self.non_resource_urls.iter().any(|url| path_matches(url, &action.path));
        }
        self.api_groups.iter().any(|group| group == ALL || *group == action.group)
            && self.resources.iter().any(|one| names_resource(one, action))
            && (self.resource_names.is_empty() || self.resource_names.contains(&action.name))
    }

    /// Takes the rule apart into rules with one verb, one group, one resource and at most one
    /// name each.
    pub fn break_down(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let one = Self::resources(&[group], &[resource], &[verb]);
                    if self.resource_names.is_empty() {
                        parts.push(one);
                    } else {
                        parts.extend(self.resource_names.iter().map(|name| Self {
                            resource_names: vec![name.clone()],
                            ..one.clone()
                        }));
                    }
                }
            }
        }
        for url in &self.non_resource_urls {
            parts.extend(self.verbs.iter().map(|verb| Self::paths(&[url], &[verb])));
        }
        parts
    }

    /// Returns whether this rule allows all that a part of another one (see
    /// [`Rule::break_down`]) allows.
    fn covers(&self, part: &Self) -> bool {
        let all = |owner: &[String], wanted: &[String]| {
            owner.iter().any(|one| one == ALL) || wanted.iter().all(|one| owner.contains(one))
        };
        all(&self.verbs, &part.verbs)
            && all(&self.api_groups, &part.api_groups)
            && (self.resources.iter().any(|one| one == ALL)
                || part.resources.iter().all(|one| self.covers_resource(one)))
            && part
                .non_resource_urls
                .iter()
                .all(|path| self.non_resource_urls.iter().any(|url| path_matches(url, path)))
            && (self.resource_names.is_empty()
                || (!part.resource_names.is_empty()
                    && part.resource_names.iter().all(|name| self.resource_names.contains(name))))
    }

    fn covers_resource(&self, resource: &String) -> bool {
        if self.resources.contains(resource) {
            return true;
        }
        let Some((_, subresource)) = resource.split_once('/') else { return false };
        self.resources.iter().any(|one| one.strip_prefix("*/") == Some(subresource))
    }

    /// Returns the resource of a rule about one resource and at most one of its objects.
    fn simple(&self) -> Option<(String, String, Option<String>)> {
        match (&*self.api_groups, &*self.resources, &*self.resource_names) {
            ([group], [resource], names)
                if names.len() <= 1 && self.non_resource_urls.is_empty() =>
            {
                Some((group.clone(), resource.clone(), names.first().cloned()))
            }
            _ => None,
        }
    }

    /// Returns the rule in one line, as refusals name it.
    pub fn describe(&self) -> String {
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| format!("{name}:{}", quoted(list)))
            .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// Returns the parts of `wanted` that `owned` does not cover, put together again by resource.
pub fn missing(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let parts = wanted.iter().flat_map(Rule::break_down);
    compact(parts.filter(|part| !owned.iter().any(|rule| rule.covers(part))).collect())
}

/// Joins rules about the same resource into one with all their verbs.
pub fn compact(rules: Vec<Rule>) -> Vec<Rule> {
    let mut joined: Vec<Rule> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for rule in rules {
        let Some(key) = rule.simple() else {
            joined.push(rule);
            continue;
        };
        if let Some(at) = places.get(&key) {
            let into: &mut Rule = &mut joined[*at];
            for verb in rule.verbs {
                if !into.verbs.contains(&verb) {
                    into.verbs.push(verb);
                }
            }
        } else {
            places.insert(key, joined.len());
            joined.push(rule);
        }
    }
    joined
}

/// Returns rules line by line, in the order of their texts.
pub fn describe_all(rules: &[Rule]) -> String {
    let lines: BTreeSet<String> = rules.iter().map(Rule::describe).collect();
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// Returns `["a" "b"]`.
pub fn quoted(list: &[String]) -> String {
    let list: Vec<String> = list.iter().map(|one| format!("{one:?}")).collect();
    format!("[{}]", list.join(" "))
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

/// Returns whether a rule's path stands for a path: itself, or all that begin like it.
fn path_matches(rule: &str, path: &str) -> bool {
    rule == path || rule.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}

fn names_resource(rule: &str, action: &Action) -> bool {
    if rule == ALL {
        return true;
    }
    if action.subresource.is_empty() {
        return rule == action.resource;
    }
    let Some((resource, subresource)) = rule.split_once('/') else { return false };
    subresource == action.subresource && (resource == ALL || resource == action.resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(verb: &str, resource: &str, name: &str) -> Action {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Action {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            ..Action::default()
        }
    }

    #[test]
    fn rules_allow_what_they_name() {
        let rule = |resources: &[&str], names: &[&str]| Rule {
            resource_names: owned(names),
            ..Rule::resources(&[""], resources, &["get", "update"])
        };
        for (resources, names, verb, resource, name, allowed) in [
            (&["pods"][..], &[][..], "get", "pods", "a", true),
            (&["pods"], &[], "list", "pods", "", false),
            (&["pods"], &[], "get", "pods/log", "a", false),
            (&["pods/log"], &[], "get", "pods/log", "a", true),
            (&["pods/log"], &[], "get", "pods", "a", false),
            (&["*/scale"], &[], "update", "deployments/scale", "a", true),
            (&["*/scale"], &[], "update", "deployments/status", "a", false),
            (&["*"], &[], "get", "pods/exec", "a", true),
            (&["pods"], &["a"], "get", "pods", "a", true),
            (&["pods"], &["a"], "get", "pods", "b", false),
            (&["pods"], &["a"], "get", "pods", "", false),
        ] {
            let rule = rule(resources, names);
            assert_eq!(
                rule.allows(&action(verb, resource, name)),
                allowed,
                "{rule:?} {verb} {resource} {name}"
            );
        }
        let paths = Rule::paths(&["/healthz", "/apis/*"], &["get"]);
        for (path, allowed) in
            [("/healthz", true), ("/healthz/x", false), ("/apis/apps", true), ("/apis", false)]
        {
            let action =
                Action { verb: "get".to_owned(), path: path.to_owned(), ..Action::default() };
            assert_eq!(paths.allows(&action), allowed, "{path}");
        }
    }

    #[test]
    fn what_is_missing_is_named_by_resource() {
        let owned = [Rule::resources(&[""], &["pods", "*/status"], &["get", "list"])];
        let wanted = [
            Rule::resources(&["", "apps"], &["pods"], &["get", "watch", "delete"]),
            Rule::resources(&[""], &["nodes/status"], &["get"]),
            Rule::paths(&["/logs"], &["get"]),
        ];
        assert_eq!(
            describe_all(&missing(&owned, &wanted)),
            "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"watch\" \"delete\"]}\n\
             {APIGroups:[\"apps\"], Resources:[\"pods\"], Verbs:[\"get\" \"watch\" \"delete\"]}\n\
             {NonResourceURLs:[\"/logs\"], Verbs:[\"get\"]}"
        );
    }

    #[test]
    fn a_name_is_not_all_names() {
        let all = Rule::resources(&[""], &["secrets"], &["get"]);
        let one = Rule { resource_names: owned(&["a"]), ..all.clone() };
        assert!(missing(std::slice::from_ref(&all), std::slice::from_ref(&one)).is_empty());
        assert_eq!(missing(&[one], std::slice::from_ref(&all)), [all]);
    }
}
