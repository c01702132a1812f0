//! The checks of the level `restricted` beyond those of `baseline`, in the order of their names.

use std::collections::BTreeSet;

use serde_json::Value;

use super::baseline::{adding, bad_seccomp, must_not_add, must_not_set_seccomp, proc_mount};
use super::{
    Applied, Check, Violation, containers, has_own_users, is_windows, name, named, plural, quoted,
    setters, violation,
};
use crate::tree::{fields, list, text};

/// Returns the checks that apply to a version.
pub(super) fn checks(minor: u32) -> Vec<Applied> {
    let all: [(&'static str, Option<&'static str>, u32, Check); 7] = [
        (
            "allowPrivilegeEscalation",
            None,
            8,
            if minor < 25 { escalation } else { escalation_1_25 },
        ),
        (
            "capabilities_restricted",
            Some("capabilities_baseline"),
            22,
            if minor < 25 { capabilities } else { capabilities_1_25 },
        ),
        ("procMount_restricted", Some("procMount_baseline"), 35, proc_mount),
        ("restrictedVolumes", Some("hostPathVolumes"), 0, volumes),
        ("runAsNonRoot", None, 0, if minor < 35 { non_root } else { non_root_1_35 }),
        ("runAsUser", None, 23, if minor < 35 { root_user } else { root_user_1_35 }),
        (
            "seccompProfile_restricted",
            Some("seccompProfile_baseline"),
            19,
            if minor < 25 { seccomp } else { seccomp_1_25 },
        ),
    ];
    all.into_iter()
        .filter(|(_, _, since, _)| *since <= minor)
        .map(|(id, overrides, _, run)| Applied { id, overrides, run })
        .collect()
}

fn escalation(_: &Value, spec: &Value) -> Option<Violation> {
    let bad: Vec<String> = containers(spec)
        .filter(|one| one["securityContext"]["allowPrivilegeEscalation"].as_bool() != Some(false))
        .map(name)
        .collect();
    if bad.is_empty() {
        return None;
    }
    violation(
        "allowPrivilegeEscalation != false",
        format!("{} must set securityContext.allowPrivilegeEscalation=false", named(&bad)),
    )
}

fn escalation_1_25(metadata: &Value, spec: &Value) -> Option<Violation> {
    if is_windows(spec) { None } else { escalation(metadata, spec) }
}

fn capabilities(_: &Value, spec: &Value) -> Option<Violation> {
    let keeping: Vec<String> = containers(spec)
        .filter(|one| {
            !list(&one["securityContext"]["capabilities"], "drop").iter().any(|one| one == "ALL")
        })
        .map(name)
        .collect();
    let (adders, added) = adding(spec, &["NET_BIND_SERVICE"]);
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!(
            "{} must set securityContext.capabilities.drop=[\"ALL\"]",
            named(&keeping)
        ));
    }
    if !adders.is_empty() {
        details.push(must_not_add(&adders, &added));
    }
    if details.is_empty() {
        return None;
    }
    violation("unrestricted capabilities", details.join("; "))
}

fn capabilities_1_25(metadata: &Value, spec: &Value) -> Option<Violation> {
    if is_windows(spec) { None } else { capabilities(metadata, spec) }
}

/// Volumes that a restricted pod may have.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Those it may not, in the order in which they are looked for.
const RESTRICTED_VOLUMES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

fn volumes(_: &Value, spec: &Value) -> Option<Violation> {
    let mut bad = Vec::new();
    let mut types = BTreeSet::new();
    for volume in list(spec, "volumes") {
        // A volume without a source is an empty folder.
        let sourced = fields(volume).any(|(key, value)| key != "name" && !value.is_null());
        if !sourced || VOLUMES.iter().any(|kind| !volume[*kind].is_null()) {
            continue;
        }
        let kind = RESTRICTED_VOLUMES.iter().find(|kind| !volume[**kind].is_null());
        bad.push(text(volume, "name"));
        types.insert(kind.copied().unwrap_or("unknown"));
    }
    if bad.is_empty() {
        return None;
    }
    violation(
        "restricted volume types",
        format!(
            "{} {} {} {} {}",
            plural("volume", "volumes", bad.len()),
            quoted(&bad),
            plural("uses", "use", bad.len()),
            plural("restricted volume type", "restricted volume types", types.len()),
            quoted(&types)
        ),
    )
}

fn non_root(_: &Value, spec: &Value) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let set = |owner: &Value| owner["securityContext"]["runAsNonRoot"].as_bool();
    let pod = set(spec);
    let bad: Vec<String> =
        containers(spec).filter(|one| set(one) == Some(false)).map(name).collect();
    if let Some(who) = setters(pod == Some(false), &bad) {
        return violation(REASON, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    let silent: Vec<String> = containers(spec).filter(|one| set(one).is_none()).map(name).collect();
    if pod == Some(true) || silent.is_empty() {
        return None;
    }
    violation(
        REASON,
        format!("pod or {} must set securityContext.runAsNonRoot=true", named(&silent)),
    )
}

fn non_root_1_35(metadata: &Value, spec: &Value) -> Option<Violation> {
    if has_own_users(spec) { None } else { non_root(metadata, spec) }
}

fn root_user(_: &Value, spec: &Value) -> Option<Violation> {
    let is_root = |owner: &Value| owner["securityContext"]["runAsUser"].as_i64() == Some(0);
    let bad: Vec<String> = containers(spec).filter(|one| is_root(one)).map(name).collect();
    let who = setters(is_root(spec), &bad)?;
    violation("runAsUser=0", format!("{who} must not set runAsUser=0"))
}

fn root_user_1_35(metadata: &Value, spec: &Value) -> Option<Violation> {
    if has_own_users(spec) { None } else { root_user(metadata, spec) }
}

fn seccomp(_: &Value, spec: &Value) -> Option<Violation> {
    let mut values = BTreeSet::new();
    let mut is_bad = |owner: &Value| bad_seccomp(owner, &mut values);
    let pod = is_bad(spec);
    let bad: Vec<String> = containers(spec).filter(|one| is_bad(one)).map(name).collect();
    if let Some(who) = setters(pod, &bad) {
        return violation("seccompProfile", must_not_set_seccomp(&who, &values));
    }
    let profile = |owner: &Value| !owner["securityContext"]["seccompProfile"].is_null();
    let silent: Vec<String> = containers(spec).filter(|one| !profile(one)).map(name).collect();
    if profile(spec) || silent.is_empty() {
        return None;
    }
    violation(
        "seccompProfile",
        format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
             \"Localhost\"",
            named(&silent)
        ),
    )
}

fn seccomp_1_25(metadata: &Value, spec: &Value) -> Option<Violation> {
    if is_windows(spec) { None } else { seccomp(metadata, spec) }
}
