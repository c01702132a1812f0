//! Rules of security contexts and of what pods share with their node.

use super::check::{At, Checker};
use super::names;
use super::pod::Pod;

/// Checks the security context of a container.
pub(super) fn container(c: &mut Checker, at: &At<'_>, pod: &Pod<'_>) {
    if !at.is_set() {
        return;
    }
    for key in ["runAsUser", "runAsGroup"] {
        id(c, &at.get(key));
    }
    let mount = at.get("procMount");
    c.one_of(&mount, &["Default", "Unmasked"]);
    if mount.text() == "Unmasked" && *pod.spec.get("hostUsers").value != false {
        c.invalid(&mount, "`hostUsers` must be false to use `Unmasked`");
    }
    seccomp(c, &at.get("seccompProfile"));
    if *at.get("allowPrivilegeEscalation").value == false {
        if at.get("privileged").is_true() {
            c.invalid(
                at,
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            );
        }
        if at.get("capabilities.add").items().any(|one| one.text() == "CAP_SYS_ADMIN") {
            c.invalid(at, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
        }
    }
    windows(c, &at.get("windowsOptions"));
    armor(c, &at.get("appArmorProfile"));
}

fn id(c: &mut Checker, at: &At<'_>) {
    if at.is_set() {
        c.problems(at, names::user(at.number()));
    }
}

/// Checks the security context of a pod.
pub(super) fn pod(c: &mut Checker, spec: &At<'_>) {
    let at = spec.get("securityContext");
    if !at.is_set() {
        return;
    }
    for key in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(c, &at.get(key));
    }
    at.get("supplementalGroups").items().for_each(|group| id(c, &group));
    let shared = spec.get("shareProcessNamespace");
    if shared.is_true() && spec.get("hostPID").is_true() {
        // Kubernetes keeps the field inside the security context and reports it there.
        let shown = shared.shown_at(format!("{}.shareProcessNamespace", at.path));
        c.invalid(&shown, "ShareProcessNamespace and HostPID cannot both be enabled");
    }
    let mut seen: Vec<&str> = Vec::new();
    for setting in at.get("sysctls").items() {
        sysctl(c, &setting.get("name"), spec, &mut seen);
    }
    c.one_of(&at.get("fsGroupChangePolicy"), &["Always", "OnRootMismatch"]);
    seccomp(c, &at.get("seccompProfile"));
    windows(c, &at.get("windowsOptions"));
    armor(c, &at.get("appArmorProfile"));
    c.one_of(&at.get("supplementalGroupsPolicy"), &["Merge", "Strict"]);
    c.one_of(&at.get("seLinuxChangePolicy"), &["MountOption", "Recursive"]);
}

fn sysctl<'a>(c: &mut Checker, name: &At<'a>, spec: &At<'_>, seen: &mut Vec<&'a str>) {
    const MOST: usize = 253;
    let text = name.text();
    let word = |part: &str| {
        let bytes = part.as_bytes();
        let edge = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        edge(bytes.first())
            && edge(bytes.last())
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(b))
    };
    if text.is_empty() {
        c.required(name, "");
    } else if text.len() > MOST || !text.split(['.', '/']).all(word) {
        c.invalid(name, format!("must have at most {MOST} characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"));
    } else if seen.contains(&text) {
        c.duplicate(name);
    }
    seen.push(text);
    let dotted = text.replace('/', ".");
    let ipc = ["kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue."];
    if dotted.starts_with("net.") && spec.get("hostNetwork").is_true() {
        c.invalid(name, "may not be specified when 'hostNetwork' is true");
    } else if ipc.iter().any(|one| dotted.starts_with(one)) && spec.get("hostIPC").is_true() {
        c.invalid(name, "may not be specified when 'hostIPC' is true");
    }
}

fn seccomp(c: &mut Checker, at: &At<'_>) {
    if !at.is_set() {
        return;
    }
    let (kind, profile) = (at.get("type"), at.get("localhostProfile"));
    if kind.text().is_empty() {
        c.required(&kind, "type is required when seccompProfile is set");
    } else {
        c.one_of(&kind, &["Localhost", "RuntimeDefault", "Unconfined"]);
    }
    if kind.text() != "Localhost" {
        if profile.is_set() {
            let detail = "can only be set when seccomp type is Localhost";
            c.invalid_as(&profile, at.value.clone(), detail);
        }
    } else if profile.is_set() {
        c.problems(&profile, names::descending_path(profile.text()));
    } else {
        c.required(&profile, "must be set when seccomp type is Localhost");
    }
}

fn armor(c: &mut Checker, at: &At<'_>) {
    const MOST: usize = 4095;
    const MISSING: &str = "must be set when AppArmor type is Localhost";
    if !at.is_set() {
        return;
    }
    let (kind, profile) = (at.get("type"), at.get("localhostProfile"));
    match kind.text() {
        "Localhost" => {
            let text = profile.text();
            if text.trim() != text {
                c.invalid(&profile, "must not be padded with whitespace");
            } else if text.is_empty() {
                c.required(&profile, MISSING);
            }
            if text.len() > MOST {
                c.too_long(&profile, MOST);
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if profile.is_set() {
                c.invalid(&profile, "can only be set when AppArmor type is Localhost");
            }
        }
        "" => c.required(&kind, "type is required when appArmorProfile is set"),
        _ => c.unsupported(&kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}

fn windows(c: &mut Checker, at: &At<'_>) {
    const SPEC_KIB: usize = 64;
    let name = at.get("gmsaCredentialSpecName");
    if name.is_set() {
        c.problems(&name, names::subdomain(name.text(), false));
    }
    let spec = at.get("gmsaCredentialSpec");
    if spec.is_set() {
        if spec.text().is_empty() {
            c.invalid(&spec, "gmsaCredentialSpec cannot be an empty string");
        } else if spec.text().len() > SPEC_KIB * 1024 {
            c.invalid(&spec, format!("gmsaCredentialSpec size must be under {SPEC_KIB} KiB"));
        }
    }
    let user = at.get("runAsUserName");
    if user.is_set() && user.text().is_empty() {
        c.invalid(&user, "runAsUserName cannot be an empty string");
    } else if user.text().chars().any(char::is_control) {
        c.invalid(&user, "runAsUserName cannot contain control characters");
    } else if user.text().matches('\\').count() > 1 {
        c.invalid(&user, "runAsUserName cannot contain more than one backslash");
    }
}

/// Checks that a pod with users of its own shares no other namespace with its node, and that
/// its ports fit a shared network.
pub(super) fn host(c: &mut Checker, spec: &At<'_>) {
    const OWN: &str = "when `pod.Spec.HostUsers` is false";
    if *spec.get("hostUsers").value != false {
        return;
    }
    for (key, shown) in
        [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")]
    {
        if spec.get(key).is_true() {
            c.forbidden(&spec.get(shown), OWN);
        }
    }
}

/// Checks that what a pod asks for exists on its operating system.
pub(super) fn system(c: &mut Checker, spec: &At<'_>) {
    let name = spec.get("os.name");
    if !spec.get("os").is_set() {
        return;
    }
    let kinds = ["initContainers", "containers", "ephemeralContainers"];
    match name.text() {
        "" => c.required(&name, "cannot be empty"),
        "linux" => {
            const DETAIL: &str = "windows options cannot be set for a linux pod";
            let own = spec.get("securityContext.windowsOptions");
            if own.is_set() {
                c.forbidden(&own, DETAIL);
            }
            for container in
                kinds.iter().flat_map(|kind| spec.get(kind).items().collect::<Vec<_>>())
            {
                let options = container.get("securityContext.windowsOptions");
                if options.is_set() {
                    c.forbidden(&options, DETAIL);
                }
            }
        }
        "windows" => {
            const DETAIL: &str = "cannot be set for a windows pod";
            for key in [
                "securityContext.appArmorProfile",
                "securityContext.seLinuxOptions",
                "hostUsers",
                "hostPID",
                "hostIPC",
                "securityContext.seccompProfile",
                "securityContext.fsGroup",
                "securityContext.fsGroupChangePolicy",
                "securityContext.sysctls",
                "shareProcessNamespace",
                "securityContext.runAsUser",
                "securityContext.runAsGroup",
                "securityContext.supplementalGroups",
                "securityContext.supplementalGroupsPolicy",
                "securityContext.seLinuxChangePolicy",
            ] {
                let field = spec.get(key);
                if field.is_set() && *field.value != false {
                    c.forbidden(&field, DETAIL);
                }
            }
            for container in
                kinds.iter().flat_map(|kind| spec.get(kind).items().collect::<Vec<_>>())
            {
                for key in [
                    "appArmorProfile",
                    "seLinuxOptions",
                    "seccompProfile",
                    "capabilities",
                    "readOnlyRootFilesystem",
                    "privileged",
                    "allowPrivilegeEscalation",
                    "procMount",
                    "runAsUser",
                    "runAsGroup",
                ] {
                    let field = container.get("securityContext").get(key);
                    if field.is_set() {
                        c.forbidden(&field, DETAIL);
                    }
                }
            }
        }
        _ => c.unsupported(&name.shown_at(spec.get("os").path), &["linux", "windows"]),
    }
}
