//! `PodSecurity`: pods keep to the level that their namespace's labels ask for.

use loopline_schema::pod_security::{LATEST_MINOR, Level, Policy, describe, violations};
use loopline_schema::{Cause, FieldError};
use serde_json::{Value, json};

use super::{Attributes, Operation};
use crate::Server;
use crate::auth::audit;
use crate::object;
use crate::selector::Filter;
use crate::status::{Result, Status};

/// What the labels begin with.
const LABEL: &str = "pod-security.kubernetes.io/";

/// The minor version that `latest` means: that of the API that is spoken.
const SERVED_MINOR: u32 = 33;

/// The most pods that are looked at when the level of a namespace changes.
const MAX_PODS: usize = 3000;

/// Subresources that change nothing of what is checked.
const IGNORED: &[&str] =
    &["attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"];

/// Where kinds keep templates of pods.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("", "PodTemplate", "/template"),
    ("", "ReplicationController", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "Deployment", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    ("batch", "Job", "/spec/template"),
];

/// Checks pods, templates of pods, and the labels of namespaces.
pub(crate) async fn check(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if !matches!(attributes.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    if attributes.is_kind("", "Namespace") {
        return namespace(server, attributes).await;
    }
    if attributes.is_kind("", "Pod") {
        return pod(server, attributes).await;
    }
    let template = TEMPLATES.iter().find(|(group, kind, _)| attributes.is_kind(group, kind));
    let Some((_, _, place)) = template.filter(|_| attributes.subresource.is_empty()) else {
        return Ok(());
    };
    let Some(template) = attributes.object.pointer(place).cloned() else { return Ok(()) };
    let namespace = server.namespace(&attributes.namespace).await?;
    warn(attributes, &namespace, &template);
    Ok(())
}

async fn pod(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if IGNORED.contains(&&*attributes.subresource)
        || attributes.operation == Operation::Update
            && !is_significant(&attributes.object, &attributes.old)
    {
        return Ok(());
    }
    let namespace = server.namespace(&attributes.namespace).await?;
    let enforced = policy(&namespace, "enforce");
    audit::annotate(&format!("{LABEL}enforce-policy"), &enforced.to_string());
    let found = found(enforced, &attributes.object);
    if !found.is_empty() {
        note(&namespace, &attributes.object);
        return Err(
            attributes.forbidden(format_args!("violates PodSecurity \"{enforced}\": {found}"))
        );
    }
    let pod = attributes.object.clone();
    warn(attributes, &namespace, &pod);
    Ok(())
}

/// Warns of what the level of the warnings would not allow, and notes in the audit event what the
/// level of audits would not.
fn warn(attributes: &mut Attributes, namespace: &Value, pod: &Value) {
    let asked = policy(namespace, "warn");
    let found = found(asked, pod);
    if !found.is_empty() {
        attributes.warnings.push(format!("would violate PodSecurity \"{asked}\": {found}"));
    }
    note(namespace, pod);
}

fn note(namespace: &Value, pod: &Value) {
    let audited = policy(namespace, "audit");
    let found = found(audited, pod);
    if !found.is_empty() {
        let text = format!("would violate PodSecurity \"{audited}\": {found}");
        audit::annotate(&format!("{LABEL}audit-violations"), &text);
    }
}

/// Returns whether a change of a pod can change the verdict.
fn is_significant(new: &Value, old: &Value) -> bool {
    fn rest(pod: &Value) -> (Value, Vec<(String, Value)>) {
        let mut spec = pod["spec"].clone();
        if let Some(spec) = spec.as_object_mut() {
            for field in ["activeDeadlineSeconds", "tolerations", "nodeName"] {
                spec.shift_remove(field);
            }
            for list in ["initContainers", "containers"] {
                let containers = spec.get_mut(list).and_then(Value::as_array_mut);
                for container in containers.into_iter().flatten() {
                    if let Some(container) = container.as_object_mut() {
                        container.shift_remove("image");
                    }
                }
            }
        }
        let annotations = pod["metadata"]["annotations"].as_object().into_iter().flatten();
        let annotations = annotations
            .filter(|(key, _)| {
                key.contains("apparmor.security") || key.contains("seccomp.security")
            })
            .map(|(key, value)| (key.clone(), value.clone()));
        (spec, annotations.collect())
    }
    rest(new) != rest(old)
}

/// Returns the policy of a namespace; what cannot be read is taken for the strictest.
fn policy(namespace: &Value, mode: &str) -> Policy {
    let label = |suffix: &str| object::label(namespace, &format!("{LABEL}{mode}{suffix}"));
    let Some(level) = label("") else { return Policy::default() };
    Policy {
        level: Level::parse(level).unwrap_or(Level::Restricted),
        minor: label("-version").and_then(|text| Policy::parse_version(text).ok()).flatten(),
    }
}

fn found(policy: Policy, pod: &Value) -> String {
    let minor = policy.minor.map_or(SERVED_MINOR, |minor| minor.min(LATEST_MINOR));
    describe(&violations(policy.level, minor, &pod["metadata"], &pod["spec"]))
}

/// Checks the labels of a namespace, and warns of pods that the new level would not allow.
async fn namespace(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if !attributes.subresource.is_empty() {
        return Ok(());
    }
    let mut errors = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        for suffix in ["", "-version"] {
            let key = format!("{LABEL}{mode}{suffix}");
            let Some(text) = object::label(&attributes.object, &key) else { continue };
            if object::label(&attributes.old, &key) == Some(text) {
                continue;
            }
            let wrong = if suffix.is_empty() {
                Level::parse(text).err()
            } else {
                Policy::parse_version(text).err()
            };
            if let Some(error) = wrong {
                let field = format!("metadata.labels[{key}]");
                errors.push(FieldError::new(Cause::Invalid, field, json!(text), error.to_string()));
            }
        }
    }
    if !errors.is_empty() {
        return Err(Status::invalid(&attributes.entry.resource, &attributes.name, &errors));
    }
    let (new, old) = (policy(&attributes.object, "enforce"), policy(&attributes.old, "enforce"));
    let weaker = new.level < old.level || new == old || new.level == Level::Privileged;
    if attributes.operation == Operation::Create || weaker {
        return Ok(());
    }
    let pods = server.built_in_entry("", "v1", "pods")?;
    let pods = server.list_all(&pods, &attributes.name, &Filter::default()).await?.objects;
    // Pods that are wrong in the same way share a line.
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for pod in pods.iter().take(MAX_PODS) {
        let mut found = violations_of(new, pod);
        if found.is_empty() {
            continue;
        }
        found.dedup();
        let reasons = found.join(", ");
        let name = object::name(pod).to_owned();
        match groups.iter_mut().find(|(other, _)| *other == reasons) {
            Some((_, names)) => names.push(name),
            None => groups.push((reasons, vec![name])),
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    attributes.warnings.push(format!(
        "existing pods in namespace {:?} violate the new PodSecurity enforce level \"{new}\"",
        attributes.name
    ));
    for (reasons, names) in groups {
        let first = &names[0];
        attributes.warnings.push(match names.len() {
            1 => format!("{first}: {reasons}"),
            2 => format!("{first} (and 1 other pod): {reasons}"),
            many => format!("{first} (and {} other pods): {reasons}", many - 1),
        });
    }
    Ok(())
}

fn violations_of(policy: Policy, pod: &Value) -> Vec<String> {
    let minor = policy.minor.map_or(SERVED_MINOR, |minor| minor.min(LATEST_MINOR));
    violations(policy.level, minor, &pod["metadata"], &pod["spec"])
        .into_iter()
        .map(|violation| violation.reason)
        .collect()
}
