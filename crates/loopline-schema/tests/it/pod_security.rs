//! The Pod Security Standards: Kubernetes' own examples, and the wording.

use std::path::PathBuf;

use loopline_schema::manifest;
use loopline_schema::pod_security::{Level, Policy, describe, violations};
use loopline_source::SourceFile;
use serde_json::{Value, json};

/// How many examples there are at least.
const EXAMPLES: usize = 2293;

#[test]
#[expect(clippy::disallowed_methods, reason = "tests are told where their data is")]
fn examples_of_kubernetes_pass_and_fail_as_they_do_there() {
    let Some(root) = std::env::var_os("LOOPLINE_CONFORMANCE") else {
        println!("skipped: LOOPLINE_CONFORMANCE is not set");
        return;
    };
    let root = PathBuf::from(root).join("pod-security");
    let (mut count, mut wrong) = (0, Vec::new());
    for level in [Level::Baseline, Level::Restricted] {
        for version in fs_err::read_dir(root.join(level.name())).unwrap() {
            let version = version.unwrap();
            let name = version.file_name().into_string().unwrap();
            let minor = Policy::parse_version(&name).unwrap().unwrap();
            for verdict in ["pass", "fail"] {
                for file in fs_err::read_dir(version.path().join(verdict)).unwrap() {
                    let path = file.unwrap().path();
                    let pod = read(&path);
                    let found = violations(level, minor, &pod["metadata"], &pod["spec"]);
                    count += 1;
                    if found.is_empty() != (verdict == "pass") {
                        wrong.push(format!("{}: {}", path.display(), describe(&found)));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= EXAMPLES, "{count}");
}

fn read(path: &std::path::Path) -> Value {
    let text = fs_err::read_to_string(path).unwrap();
    let file = SourceFile::new(path.to_string_lossy().into_owned(), text);
    let mut documents = manifest::from_yaml(&file).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0).value
}

#[test]
fn violations_read_as_those_of_kubernetes() {
    let plain = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    for (level, minor, metadata, spec, expected) in [
        (
            Level::Restricted,
            33,
            json!({}),
            plain.clone(),
            "allowPrivilegeEscalation != false (containers \"a\", \"b\" must set \
             securityContext.allowPrivilegeEscalation=false), unrestricted capabilities \
             (containers \"a\", \"b\" must set securityContext.capabilities.drop=[\"ALL\"]), \
             runAsNonRoot != true (pod or containers \"a\", \"b\" must set \
             securityContext.runAsNonRoot=true), seccompProfile (pod or containers \"a\", \"b\" \
             must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
        ),
        (
            Level::Baseline,
            33,
            json!({}),
            json!({
                "hostNetwork": true,
                "hostPID": true,
                "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
                "containers": [{
                    "name": "a",
                    "ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 81}],
                    "securityContext": {
                        "privileged": true,
                        "capabilities": {"add": ["SYS_ADMIN", "CHOWN", "BPF"]},
                        "procMount": "Unmasked",
                        "seLinuxOptions": {"type": "x", "user": "u", "role": "r"},
                        "seccompProfile": {"type": "Unconfined"},
                    },
                }],
                "securityContext": {
                    "sysctls": [{"name": "kernel.msgmax", "value": "1"}],
                    "windowsOptions": {"hostProcess": true},
                    "appArmorProfile": {"type": "Unconfined"},
                },
            }),
            "forbidden AppArmor profile (pod must not set AppArmor profile type to \
             \"Unconfined\"), non-default capabilities (container \"a\" must not include \"BPF\", \
             \"SYS_ADMIN\" in securityContext.capabilities.add), host namespaces \
             (hostNetwork=true, hostPID=true), hostPath volumes (volume \"v\"), hostPort \
             (container \"a\" uses hostPorts 80, 81), privileged (container \"a\" must not set \
             securityContext.privileged=true), procMount (container \"a\" must not set \
             securityContext.procMount to \"Unmasked\"), seLinuxOptions (container \"a\" set \
             forbidden securityContext.seLinuxOptions: type \"x\"; user may not be set; role may \
             not be set), seccompProfile (container \"a\" must not set \
             securityContext.seccompProfile.type to \"Unconfined\"), forbidden sysctls \
             (kernel.msgmax), hostProcess (pod must not set \
             securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            Level::Restricted,
            0,
            json!({}),
            json!({
                "securityContext": {"runAsNonRoot": true},
                "volumes": [{"name": "v", "hostPath": {"path": "/"}}, {"name": "n", "nfs": {}}],
                "containers": [{"name": "a"}],
            }),
            "restricted volume types (volumes \"v\", \"n\" use restricted volume types \
             \"hostPath\", \"nfs\")",
        ),
        (Level::Privileged, 33, json!({}), plain, ""),
    ] {
        assert_eq!(describe(&violations(level, minor, &metadata, &spec)), expected);
    }
}

#[test]
fn versions_are_read_as_labels_write_them() {
    for (text, expected) in [
        ("latest", Some(None)),
        ("v1.0", Some(Some(0))),
        ("v1.33", Some(Some(33))),
        ("v1.033", None),
        ("1.33", None),
        ("v2.0", None),
        ("v1.", None),
        ("", None),
    ] {
        assert_eq!(Policy::parse_version(text).ok(), expected, "{text}");
    }
}
