//! Applying one object, as `kubectl apply` does it: from the client, with the annotation of what
//! was applied last, or by the server.

use std::time::Duration;

use loopline_merge::{merge_patch, strategic};
use loopline_schema::builtin;
use serde_json::{Map, Value, json};

use super::{Ask, Cluster, Failure, JSON, Target};

/// Where what was applied last is kept.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Who applies from the client, as for kubectl: both go on with each other's objects.
const CLIENT_MANAGER: &str = "kubectl-client-side-apply";

/// Who applies by the server.
const SERVER_MANAGER: &str = "kubectl";

/// How often a patch is made again because another writer came in between.
const MAX_CONFLICTS: usize = 5;

/// How long another writer is given, times the number of tries.
const AFTER_CONFLICT: Duration = Duration::from_millis(50);

/// What is not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DryRun {
    /// Everything is written
    #[default]
    None,
    /// Nothing is sent
    Client,
    /// The server answers as if it wrote
    Server,
}

impl DryRun {
    /// Returns what is added to a line of results.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }

    /// Returns the server's option.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::Server => "All",
            _ => "",
        }
    }
}

/// What happens to fields that the server does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Validation {
    /// The object is refused
    #[default]
    Strict,
    /// The server warns
    Warn,
    /// They are dropped
    Ignore,
}

impl Validation {
    const fn option(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Warn => "Warn",
            Self::Ignore => "Ignore",
        }
    }
}

/// How objects are applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Applying {
    pub(crate) server_side: bool,
    pub(crate) force_conflicts: bool,
    pub(crate) field_manager: Option<String>,
    pub(crate) dry_run: DryRun,
    pub(crate) validation: Validation,
    /// Leave what was applied last as it is, for a look at what else would change.
    pub(crate) unannotated: bool,
}

/// What applying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Created,
    Configured,
    Unchanged,
    ServerSideApplied,
}

impl Operation {
    /// Returns the word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::ServerSideApplied => "serverside-applied",
        }
    }
}

/// What applying led to.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) operation: Operation,
    /// The object before; nothing where there was none, or where the server knows alone.
    pub(crate) before: Option<Value>,
    pub(crate) object: Value,
    pub(crate) warnings: Vec<String>,
}

impl Cluster {
    /// Applies an object.
    pub(crate) async fn apply(
        &self,
        target: &Target,
        object: &Value,
        how: &Applying,
    ) -> Result<Applied, Failure> {
        let mut object = object.clone();
        if let (Some(namespace), Some(metadata)) =
            (&target.namespace, object.get_mut("metadata").and_then(Value::as_object_mut))
        {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        if how.server_side {
            self.apply_by_server(target, &object, how).await
        } else {
            self.apply_from_client(target, object, how).await
        }
    }

    /// Returns the object as it is, if it is there.
    pub(crate) async fn live(&self, target: &Target) -> Result<Option<Value>, Failure> {
        match self.ask(Ask::new("GET", target.path())).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn apply_by_server(
        &self,
        target: &Target,
        object: &Value,
        how: &Applying,
    ) -> Result<Applied, Failure> {
        let manager = how.field_manager.as_deref().unwrap_or(SERVER_MANAGER);
        let ask = Ask::new("PATCH", target.path())
            .option("fieldManager", manager)
            .option("force", if how.force_conflicts { "true" } else { "false" })
            .option("fieldValidation", how.validation.option())
            .option("dryRun", how.dry_run.option())
            .body("application/apply-patch+yaml", object);
        let answer = self.ask(ask).await?;
        Ok(Applied {
            operation: Operation::ServerSideApplied,
            before: None,
            object: answer.body,
            warnings: answer.warnings,
        })
    }

    async fn apply_from_client(
        &self,
        target: &Target,
        object: Value,
        how: &Applying,
    ) -> Result<Applied, Failure> {
        let manager = how.field_manager.as_deref().unwrap_or(CLIENT_MANAGER);
        let plain = how.unannotated.then(|| object.clone());
        let modified = annotated(object, !how.unannotated)?;
        let mut tries = 0;
        loop {
            let Some(live) = self.live(target).await? else {
                if how.dry_run == DryRun::Client {
                    return Ok(Applied {
                        operation: Operation::Created,
                        before: None,
                        object: modified,
                        warnings: Vec::new(),
                    });
                }
                let ask = Ask::new("POST", target.collection())
                    .option("fieldManager", manager)
                    .option("fieldValidation", how.validation.option())
                    .option("dryRun", how.dry_run.option())
                    .body(JSON, plain.as_ref().unwrap_or(&modified));
                let answer = self.ask(ask).await?;
                return Ok(Applied {
                    operation: Operation::Created,
                    before: None,
                    object: answer.body,
                    warnings: answer.warnings,
                });
            };
            let mut warnings = Vec::new();
            let original = match last_applied(&live) {
                Some(text) => Some(serde_json::from_str(text).map_err(|error| {
                    Failure::Wrong(format!("the annotation {LAST_APPLIED} is no JSON: {error}"))
                })?),
                None if how.unannotated => None,
                None => {
                    warnings.push(format!(
                        "resource {}/{} is missing the {LAST_APPLIED} annotation which is \
                         required by client-side apply; it is added now",
                        target.kind.plural, target.name
                    ));
                    None
                }
            };
            let (kind, patch) = patch(target, original.as_ref(), &modified, &live)?;
            let nothing = patch.as_object().is_none_or(Map::is_empty);
            if nothing || how.dry_run == DryRun::Client {
                let operation = if nothing { Operation::Unchanged } else { Operation::Configured };
                let object = if nothing { live.clone() } else { modified };
                return Ok(Applied { operation, before: Some(live), object, warnings });
            }
            let ask = Ask::new("PATCH", target.path())
                .option("fieldManager", manager)
                .option("fieldValidation", how.validation.option())
                .option("dryRun", how.dry_run.option())
                .body(kind, &patch);
            match self.ask(ask).await {
                Ok(answer) => {
                    warnings.extend(answer.warnings);
                    return Ok(Applied {
                        operation: Operation::Configured,
                        before: Some(live),
                        object: answer.body,
                        warnings,
                    });
                }
                Err(failure) if failure.is_conflict() && tries < MAX_CONFLICTS => {
                    tries += 1;
                    let tries = u32::try_from(tries).unwrap_or(u32::MAX);
                    tokio::time::sleep(AFTER_CONFLICT.saturating_mul(tries)).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// Returns the annotation of what was applied last.
pub(crate) fn last_applied(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][LAST_APPLIED].as_str().filter(|text| !text.is_empty())
}

/// Returns the patch and its content type.
fn patch(
    target: &Target,
    original: Option<&Value>,
    modified: &Value,
    live: &Value,
) -> Result<(&'static str, Value), Failure> {
    let kind = &target.kind;
    if let Some(ty) = builtin(&kind.group, &kind.version, &kind.kind) {
        let patch = strategic::three_way(original, modified, live, ty)
            .map_err(|error| Failure::Wrong(format!("cannot make a patch: {error}")))?;
        return Ok(("application/strategic-merge-patch+json", patch));
    }
    let between = |old: &Value| {
        merge_patch::between(old, modified)
            .map_err(|error| Failure::Wrong(format!("cannot make a patch: {error}")))
    };
    // What others added to the live object stays; what was applied and is gone is removed.
    let mut patch = filtered(between(live)?, false);
    if let Some(original) = original {
        unite(&mut patch, filtered(between(original)?, true));
    }
    Ok(("application/merge-patch+json", patch))
}

/// Keeps what a merge patch removes, or what it does besides.
fn filtered(patch: Value, removals: bool) -> Value {
    let Value::Object(map) = patch else { return patch };
    let mut kept = Map::new();
    for (key, value) in map {
        match value {
            Value::Null if removals => {
                kept.insert(key, Value::Null);
            }
            Value::Object(inner) => {
                let empty = inner.is_empty();
                let inner = filtered(Value::Object(inner), removals);
                if inner.as_object().is_some_and(|inner| !inner.is_empty()) || (empty && !removals)
                {
                    kept.insert(key, inner);
                }
            }
            Value::Null => {}
            other if !removals => {
                kept.insert(key, other);
            }
            _ => {}
        }
    }
    Value::Object(kept)
}

/// Adds the removals to the rest.
fn unite(patch: &mut Value, removals: Value) {
    let (Value::Object(patch), Value::Object(removals)) = (patch, removals) else { return };
    for (key, value) in removals {
        match patch.get_mut(&key) {
            Some(inner @ Value::Object(_)) => unite(inner, value),
            Some(_) => {}
            None => {
                patch.insert(key, value);
            }
        }
    }
}

/// Returns an object with the annotation that says what is applied, or without any.
fn annotated(mut object: Value, annotate: bool) -> Result<Value, Failure> {
    let wrong = || Failure::Wrong("metadata is not an object".to_owned());
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut).ok_or_else(wrong)?;
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    let annotations = annotations
        .as_object_mut()
        .ok_or_else(|| Failure::Wrong("metadata.annotations is not an object".to_owned()))?;
    annotations.shift_remove(LAST_APPLIED);
    if !annotate {
        return Ok(object);
    }
    let text = go_json(&object);
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut).ok_or_else(wrong)?;
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.insert(LAST_APPLIED.to_owned(), Value::String(text));
    }
    Ok(object)
}

/// Returns a value as Go's encoder writes it, so that kubectl finds its own annotation: keys in
/// their order, `<`, `>` and `&` escaped, a line feed at the end.
fn go_json(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    let text = sorted
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029");
    format!("{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_keeps_what_others_added() {
        let target = Target {
            kind: super::super::kinds::tests_kind("example.com", "v1", "Thing", "things"),
            namespace: None,
            name: "x".to_owned(),
        };
        let original = json!({"spec": {"a": 1, "gone": 2, "deep": {"x": 1, "y": 1}}});
        let modified = json!({"spec": {"a": 3, "deep": {"x": 1}, "new": {}}});
        let live =
            json!({"spec": {"a": 1, "gone": 2, "others": 5, "deep": {"x": 1, "y": 1, "z": 1}}});
        let (kind, made) = patch(&target, Some(&original), &modified, &live).unwrap();
        assert_eq!(kind, "application/merge-patch+json");
        let wanted = json!({"spec": {"a": 3, "new": {}, "gone": null, "deep": {"y": null}}});
        assert_eq!(made, wanted);
        let after = merge_patch::apply(live, &made).unwrap();
        let (_, again) = patch(&target, Some(&modified), &modified, &after).unwrap();
        assert_eq!(again, json!({}));
    }

    #[test]
    fn annotations_are_written_as_kubectl_writes_them() {
        let object =
            json!({"kind": "X", "metadata": {"name": "a", "annotations": null}, "b": "<&>"});
        let done = annotated(object, true).unwrap();
        assert_eq!(
            last_applied(&done).unwrap(),
            "{\"b\":\"\\u003c\\u0026\\u003e\",\"kind\":\"X\",\"metadata\":{\"annotations\":{},\
             \"name\":\"a\"}}\n"
        );
    }
}
