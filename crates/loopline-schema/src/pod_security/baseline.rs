//! The checks of the level `baseline`, in the order of their names.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Applied, Check, Violation, containers, has_own_users, name, named, plural, quoted, setters,
    violation,
};
use crate::error::quote;
use crate::tree::{fields, list, text};

/// Returns the checks that apply to a version.
pub(super) fn checks(minor: u32) -> Vec<Applied> {
    let seccomp: Check = if minor < 19 { seccomp_annotations } else { seccomp };
    let selinux: Check = if minor < 31 { selinux } else { selinux_1_31 };
    let proc_mount: Check = if minor < 35 { proc_mount } else { proc_mount_1_35 };
    let sysctls: Check = match minor {
        0..27 => sysctls,
        27..29 => sysctls_1_27,
        29..32 => sysctls_1_29,
        32..37 => sysctls_1_32,
        _ => sysctls_1_37,
    };
    let all: [(&'static str, u32, Check); 12] = [
        ("appArmorProfile", 0, app_armor),
        ("capabilities_baseline", 0, capabilities),
        ("hostNamespaces", 0, host_namespaces),
        ("hostPathVolumes", 0, host_paths),
        ("hostPorts", 0, host_ports),
        ("hostProbesAndHostLifecycle", 34, probe_hosts),
        ("privileged", 0, privileged),
        ("procMount_baseline", 0, proc_mount),
        ("seLinuxOptions", 0, selinux),
        ("seccompProfile_baseline", 0, seccomp),
        ("sysctls", 0, sysctls),
        ("windowsHostProcess", 0, host_process),
    ];
    all.into_iter()
        .filter(|(_, since, _)| *since <= minor)
        .map(|(id, _, run)| Applied { id, overrides: None, run })
        .collect()
}

/// What an annotation about a container's AppArmor profile begins with.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

fn app_armor(metadata: &Value, spec: &Value) -> Option<Violation> {
    let mut values = BTreeSet::new();
    let mut is_bad = |owner: &Value| {
        let kind = text(&owner["securityContext"]["appArmorProfile"], "type");
        let bad = !matches!(kind, "" | "RuntimeDefault" | "Localhost");
        if bad {
            values.insert(kind.to_owned());
        }
        bad
    };
    let pod = is_bad(spec);
    let bad: Vec<String> = containers(spec).filter(|one| is_bad(one)).map(name).collect();
    let mut annotations: Vec<String> = fields(&metadata["annotations"])
        .filter(|(key, _)| key.starts_with(APP_ARMOR))
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(_, value)| {
            !matches!(*value, "" | "runtime/default") && !value.starts_with("localhost/")
        })
        .map(|(key, value)| {
            let mut shown = format!("{key}=");
            quote(value, &mut shown);
            shown
        })
        .collect();
    annotations.sort();
    let mut who: Vec<String> = setters(pod, &bad).into_iter().collect();
    if !annotations.is_empty() {
        who.push(plural("annotation", "annotations", annotations.len()).to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let values: Vec<String> = values.into_iter().chain(annotations).collect();
    violation(
        plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len()),
        format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(&values)),
    )
}

/// Capabilities that containers have anyway.
const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn capabilities(_: &Value, spec: &Value) -> Option<Violation> {
    let (bad, added) = adding(spec, DEFAULT_CAPABILITIES);
    if bad.is_empty() {
        return None;
    }
    violation("non-default capabilities", must_not_add(&bad, &added))
}

/// Returns which containers add capabilities beyond those allowed, and which.
pub(super) fn adding(spec: &Value, allowed: &[&str]) -> (Vec<String>, BTreeSet<String>) {
    let mut added = BTreeSet::new();
    let mut bad = Vec::new();
    for container in containers(spec) {
        let before = bad.len();
        let capabilities = &container["securityContext"]["capabilities"];
        for capability in list(capabilities, "add").iter().filter_map(Value::as_str) {
            if !allowed.contains(&capability) {
                added.insert(capability.to_owned());
                if bad.len() == before {
                    bad.push(name(container));
                }
            }
        }
    }
    (bad, added)
}

pub(super) fn must_not_add(bad: &[String], added: &BTreeSet<String>) -> String {
    format!("{} must not include {} in securityContext.capabilities.add", named(bad), quoted(added))
}

fn host_namespaces(_: &Value, spec: &Value) -> Option<Violation> {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| spec[field].as_bool() == Some(true))
        .map(|field| format!("{field}=true"))
        .collect();
    if shared.is_empty() {
        return None;
    }
    violation("host namespaces", shared.join(", "))
}

fn host_paths(_: &Value, spec: &Value) -> Option<Violation> {
    let bad: Vec<&str> = list(spec, "volumes")
        .iter()
        .filter(|volume| !volume["hostPath"].is_null())
        .map(|volume| text(volume, "name"))
        .collect();
    if bad.is_empty() {
        return None;
    }
    let detail = format!("{} {}", plural("volume", "volumes", bad.len()), quoted(&bad));
    violation("hostPath volumes", detail)
}

fn host_ports(_: &Value, spec: &Value) -> Option<Violation> {
    let mut found = BTreeSet::new();
    let mut bad = Vec::new();
    for container in containers(spec) {
        let ports = list(container, "ports").iter();
        let ports = ports.filter_map(|port| port["hostPort"].as_i64()).filter(|port| *port != 0);
        let ports: Vec<String> = ports.map(|port| port.to_string()).collect();
        if !ports.is_empty() {
            bad.push(name(container));
        }
        found.extend(ports);
    }
    if bad.is_empty() {
        return None;
    }
    let ports: Vec<String> = found.into_iter().collect();
    let detail = format!(
        "{} {} {} {}",
        named(&bad),
        plural("uses", "use", bad.len()),
        plural("hostPort", "hostPorts", ports.len()),
        ports.join(", ")
    );
    violation("hostPort", detail)
}

fn probe_hosts(_: &Value, spec: &Value) -> Option<Violation> {
    let mut hosts = BTreeSet::new();
    let mut bad = BTreeSet::new();
    for container in containers(spec) {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|key| &container[key]);
        let handlers = ["postStart", "preStop"].map(|key| &container["lifecycle"][key]);
        for handler in probes.into_iter().chain(handlers) {
            for action in ["httpGet", "tcpSocket"] {
                let host = text(&handler[action], "host");
                if !host.is_empty() {
                    hosts.insert(host.to_owned());
                    bad.insert(name(container));
                }
            }
        }
    }
    if bad.is_empty() {
        return None;
    }
    let bad: Vec<String> = bad.into_iter().collect();
    let what = plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len());
    let verb = plural("uses", "use", bad.len());
    violation(
        "probe or lifecycle host",
        format!("{} {verb} {what} {}", named(&bad), quoted(&hosts)),
    )
}

fn privileged(_: &Value, spec: &Value) -> Option<Violation> {
    let bad: Vec<String> = containers(spec)
        .filter(|one| one["securityContext"]["privileged"].as_bool() == Some(true))
        .map(name)
        .collect();
    if bad.is_empty() {
        return None;
    }
    let detail = format!("{} must not set securityContext.privileged=true", named(&bad));
    violation("privileged", detail)
}

pub(super) fn proc_mount(_: &Value, spec: &Value) -> Option<Violation> {
    let mut found = BTreeSet::new();
    let mut bad = Vec::new();
    for container in containers(spec) {
        let Some(kind) = container["securityContext"]["procMount"].as_str() else { continue };
        if kind != "Default" {
            found.insert(kind.to_owned());
            bad.push(name(container));
        }
    }
    if bad.is_empty() {
        return None;
    }
    let detail =
        format!("{} must not set securityContext.procMount to {}", named(&bad), quoted(&found));
    violation("procMount", detail)
}

fn proc_mount_1_35(metadata: &Value, spec: &Value) -> Option<Violation> {
    if has_own_users(spec) { None } else { proc_mount(metadata, spec) }
}

/// Types of SELinux that containers may have.
const SELINUX_TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t"];

/// One more, for engines in containers.
const SELINUX_ENGINE: &str = "container_engine_t";

fn selinux(_: &Value, spec: &Value) -> Option<Violation> {
    selinux_types(spec, |kind| SELINUX_TYPES.contains(&kind))
}

fn selinux_1_31(_: &Value, spec: &Value) -> Option<Violation> {
    selinux_types(spec, |kind| SELINUX_TYPES.contains(&kind) || kind == SELINUX_ENGINE)
}

fn selinux_types(spec: &Value, allowed: impl Fn(&str) -> bool) -> Option<Violation> {
    let mut types = BTreeSet::new();
    let (mut user, mut role) = (false, false);
    let mut is_bad = |owner: &Value| {
        let options = &owner["securityContext"]["seLinuxOptions"];
        let kind = text(options, "type");
        let known = allowed(kind);
        if !known {
            types.insert(kind.to_owned());
        }
        let named = !text(options, "user").is_empty();
        let cast = !text(options, "role").is_empty();
        user |= named;
        role |= cast;
        !known || named || cast
    };
    let pod = is_bad(spec);
    let bad: Vec<String> = containers(spec).filter(|one| is_bad(one)).map(name).collect();
    let who = setters(pod, &bad)?;
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!("{} {}", plural("type", "types", types.len()), quoted(&types)));
    }
    if user {
        what.push("user may not be set".to_owned());
    }
    if role {
        what.push("role may not be set".to_owned());
    }
    let what = what.join("; ");
    violation(
        "seLinuxOptions",
        format!("{who} set forbidden securityContext.seLinuxOptions: {what}"),
    )
}

/// The annotation about a whole pod, before there was a field.
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";

/// What the annotation about one container begins with.
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

fn seccomp_annotations(metadata: &Value, spec: &Value) -> Option<Violation> {
    let keys = containers(spec).map(|one| format!("{SECCOMP_CONTAINER}{}", name(one)));
    let bad: BTreeSet<String> = std::iter::once(SECCOMP_POD.to_owned())
        .chain(keys)
        .filter_map(|key| {
            let value = metadata["annotations"][&key].as_str()?;
            let fine = matches!(value, "runtime/default" | "docker/default")
                || value.starts_with("localhost/");
            if fine {
                return None;
            }
            let mut shown = format!("{key}=");
            quote(value, &mut shown);
            Some(shown)
        })
        .collect();
    if bad.is_empty() {
        return None;
    }
    let what = plural("annotation", "annotations", bad.len());
    let list: Vec<String> = bad.into_iter().collect();
    violation("seccompProfile", format!("forbidden {what} {}", list.join(", ")))
}

fn seccomp(_: &Value, spec: &Value) -> Option<Violation> {
    let mut values = BTreeSet::new();
    let mut is_bad = |owner: &Value| bad_seccomp(owner, &mut values);
    let pod = is_bad(spec);
    let bad: Vec<String> = containers(spec).filter(|one| is_bad(one)).map(name).collect();
    let who = setters(pod, &bad)?;
    violation("seccompProfile", must_not_set_seccomp(&who, &values))
}

/// Returns whether a pod or container has a profile that is not allowed, which is noted.
pub(super) fn bad_seccomp(owner: &Value, values: &mut BTreeSet<String>) -> bool {
    let profile = &owner["securityContext"]["seccompProfile"];
    let kind = text(profile, "type");
    let bad = !profile.is_null() && !matches!(kind, "RuntimeDefault" | "Localhost");
    if bad {
        values.insert(kind.to_owned());
    }
    bad
}

pub(super) fn must_not_set_seccomp(who: &str, values: &BTreeSet<String>) -> String {
    format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(values))
}

/// Kernel parameters that concern only the pod.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_syncookies",
];
const SYSCTLS_1_27: &[&str] = &["net.ipv4.ip_local_reserved_ports"];
const SYSCTLS_1_29: &[&str] = &[
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
];
const SYSCTLS_1_32: &[&str] = &["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"];
const SYSCTLS_1_37: &[&str] = &["net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_slow_start_after_idle"];

fn sysctls(_: &Value, spec: &Value) -> Option<Violation> {
    sysctls_in(spec, &[SYSCTLS])
}

fn sysctls_1_27(_: &Value, spec: &Value) -> Option<Violation> {
    sysctls_in(spec, &[SYSCTLS, SYSCTLS_1_27])
}

fn sysctls_1_29(_: &Value, spec: &Value) -> Option<Violation> {
    sysctls_in(spec, &[SYSCTLS, SYSCTLS_1_27, SYSCTLS_1_29])
}

fn sysctls_1_32(_: &Value, spec: &Value) -> Option<Violation> {
    sysctls_in(spec, &[SYSCTLS, SYSCTLS_1_27, SYSCTLS_1_29, SYSCTLS_1_32])
}

fn sysctls_1_37(_: &Value, spec: &Value) -> Option<Violation> {
    sysctls_in(spec, &[SYSCTLS, SYSCTLS_1_27, SYSCTLS_1_29, SYSCTLS_1_32, SYSCTLS_1_37])
}

fn sysctls_in(spec: &Value, allowed: &[&[&str]]) -> Option<Violation> {
    let bad: Vec<&str> = list(&spec["securityContext"], "sysctls")
        .iter()
        .map(|sysctl| text(sysctl, "name"))
        .filter(|name| !allowed.iter().any(|names| names.contains(name)))
        .collect();
    if bad.is_empty() {
        return None;
    }
    violation("forbidden sysctls", bad.join(", "))
}

fn host_process(_: &Value, spec: &Value) -> Option<Violation> {
    let is_bad = |owner: &Value| {
        owner["securityContext"]["windowsOptions"]["hostProcess"].as_bool() == Some(true)
    };
    let bad: Vec<String> = containers(spec).filter(|one| is_bad(one)).map(name).collect();
    let who = setters(is_bad(spec), &bad)?;
    violation(
        "hostProcess",
        format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
    )
}
