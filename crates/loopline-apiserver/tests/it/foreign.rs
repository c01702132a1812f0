//! The guide's documents against the definitions of well-known controllers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use loopline_schema::{foreign, manifest};
use loopline_source::SourceFile;
use serde_json::{Value, json};

use crate::support::{Served, ask, make, server};

fn manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            manifests(&path, found);
        } else if path.extension().is_some_and(|found| found == "yaml" || found == "yml") {
            found.push(path);
        }
    }
}

#[tokio::test]
async fn every_definition_is_accepted() {
    let server = server();
    let definitions = foreign::definitions(None).unwrap();
    for definition in &definitions {
        make(&server, (*definition).clone()).await.ok();
    }
    assert!(definitions.len() >= 30, "{}", definitions.len());
    assert_eq!(foreign::definitions(Some("flagger.app")).unwrap().len(), 2);
}

/// How many documents of the guide apply.
const APPLIED: usize = 80;

/// Templates of Helm charts are no documents, and are not counted.
#[tokio::test]
async fn every_document_of_the_guide_applies_or_is_refused_for_a_mistake() {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their data is")]
    let Some(root) = std::env::var_os("LOOPLINE_GUIDE").map(PathBuf::from) else { return };
    let server = server();
    for definition in foreign::definitions(None).unwrap() {
        make(&server, definition.clone()).await.ok();
    }
    let mut files = Vec::new();
    manifests(&root, &mut files);
    files.sort();
    let (mut applied, mut refused) = (0, Vec::new());
    for file in files {
        let text = fs_err::read_to_string(&file).unwrap();
        let short = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        if text.contains("{{-") || text.contains("{{ .Values") {
            continue;
        }
        let Ok(documents) = manifest::from_yaml(&SourceFile::new(&*short, &*text)) else {
            continue;
        };
        for document in documents {
            let object = document.value;
            let (Some(version), Some(kind)) =
                (object["apiVersion"].as_str(), object["kind"].as_str())
            else {
                continue;
            };
            let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
            let label = format!("{short} {kind}");
            let Some(entry) = server.registry().of_kind(group, version, kind) else {
                refused.push(format!(
                    "{label}: no matches for kind {kind:?} in version \"{group}/{version}\""
                ));
                continue;
            };
            let namespace =
                object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
            let place = if entry.resource.namespaced {
                let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
                // It may be there already.
                make(&server, own).await;
                format!("namespaces/{namespace}/")
            } else {
                String::new()
            };
            let base = if group.is_empty() {
                "/api/v1".to_owned()
            } else {
                format!("/apis/{group}/{version}")
            };
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let path = format!("{base}/{place}{}", entry.resource.plural);
            let there =
                ask(&server, "GET", &format!("{path}/{name}"), Value::Null).await.code == 200;
            // A document that comes again is checked all the same, and stored once.
            let dry = if there { "&dryRun=All" } else { "" };
            let answer = ask(
                &server,
                "POST",
                &format!("{path}?fieldValidation=Strict{dry}"),
                object.clone(),
            )
            .await;
            match answer.code {
                201 => applied += 1,
                409 if there => applied += 1,
                _ => refused.push(format!("{label}: {}", answer.refused().1)),
            }
        }
    }
    let unknown = |field: &str| format!("unknown field {field:?}");
    assert_eq!(
        refused,
        [
            format!(
                "cloud-native/istio.yaml DestinationRule: strict decoding error: {}",
                unknown("spec.trafficPolicy.circuitBreaker")
            ),
            format!(
                "compliance/gatekeeper/security-policies.yaml ConstraintTemplate: strict decoding \
                 error: {}, {}",
                unknown("spec.crd.spec.validation.type"),
                unknown("spec.crd.spec.validation.properties")
            ),
            "compliance/gatekeeper/security-policies.yaml K8sRequiredSecurityContext: no matches \
             for kind \"K8sRequiredSecurityContext\" in version \"config.gatekeeper.sh/v1alpha1\""
                .to_owned(),
            format!(
                "gitops/argocd-install.yaml ArgoCD: strict decoding error: {}",
                unknown("spec.server.ingress.hosts")
            ),
        ]
    );
    assert_eq!(applied, APPLIED);
}

/// The documents of one file of the guide that kubectl is given.
struct Page {
    file: String,
    text: String,
    objects: Vec<Value>,
}

fn pages(root: &Path) -> Vec<Page> {
    let mut files = Vec::new();
    manifests(root, &mut files);
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let text = fs_err::read_to_string(&path).unwrap();
        if text.contains("{{-") || text.contains("{{ .Values") {
            continue;
        }
        let short = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let file = SourceFile::new(&*short, &*text);
        let Ok(documents) = manifest::from_yaml(&file) else { continue };
        let mut page = Page { file: short, text: String::new(), objects: Vec::new() };
        for document in documents {
            let object = document.value;
            if object["apiVersion"].is_string() && object["kind"].is_string() {
                page.text.push_str(&format!("---\n{}\n", file.slice(document.span)));
                page.objects.push(object);
            }
        }
        if !page.objects.is_empty() {
            found.push(page);
        }
    }
    found
}

/// Each document goes through the real kubectl: client-side apply with the server's strict
/// validation, in a server that has the definitions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_applies_every_document_of_the_guide_or_is_told_the_mistake() {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their data is")]
    let Some(root) = std::env::var_os("LOOPLINE_GUIDE").map(PathBuf::from) else { return };
    let mut names = BTreeSet::new();
    let mut served: Option<Served> = None;
    let (mut applied, mut refused) = (0, Vec::new());
    for page in pages(&root) {
        let own: Vec<String> = page
            .objects
            .iter()
            .map(|object| {
                let metadata = &object["metadata"];
                format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"])
            })
            .collect();
        // Files use the same names for other things: such a file gets a server of its own.
        if own.iter().any(|name| names.contains(name)) {
            names.clear();
            served = None;
        }
        names.extend(own);
        let served = match &mut served {
            Some(served) => served,
            none => {
                let fresh = none.insert(Served::new().await);
                for definition in foreign::definitions(None).unwrap() {
                    make(&fresh.server, definition.clone()).await.ok();
                }
                fresh
            }
        };
        for object in &page.objects {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
            let own =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            // It may be there already.
            make(&served.server, own).await;
        }
        let scratch = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(scratch.path(), &page.text).unwrap();
        let arguments = ["apply", "--validate=strict", "-f", scratch.path().to_str().unwrap()];
        let Some((_, said)) = served.kubectl(&arguments).await else { return };
        let ends = [" created", " configured", " unchanged"];
        let done = said.lines().filter(|line| ends.iter().any(|end| line.ends_with(end))).count();
        applied += done;
        if done < page.objects.len() {
            refused.push((page.file, page.objects.len() - done, said));
        }
    }
    // The file, how many of its documents are refused, and for which mistakes.
    let mistakes: &[(&str, usize, &[&str])] = &[
        ("cloud-native/istio.yaml", 1, &["unknown field \"spec.trafficPolicy.circuitBreaker\""]),
        (
            "compliance/gatekeeper/security-policies.yaml",
            2,
            &[
                "unknown field \"spec.crd.spec.validation.properties\"",
                "unknown field \"spec.crd.spec.validation.type\"",
                "no matches for kind \"K8sRequiredSecurityContext\" in version \
                 \"config.gatekeeper.sh/v1alpha1\"",
            ],
        ),
        ("gitops/argocd-install.yaml", 1, &["unknown field \"spec.server.ingress.hosts\""]),
    ];
    assert_eq!(refused.len(), mistakes.len(), "{refused:#?}");
    for ((file, count, said), (wanted, number, reasons)) in refused.iter().zip(mistakes) {
        assert_eq!((file.as_str(), count), (*wanted, number), "{said}");
        for reason in *reasons {
            assert!(said.contains(reason), "{file}: {said}");
        }
    }
    assert_eq!(applied, APPLIED);
}

/// A definition is worth its name if it catches a misspelt field.
#[tokio::test]
async fn certificates_and_flux_kinds_catch_a_misspelt_field() {
    let server = server();
    for definition in foreign::definitions(None).unwrap() {
        make(&server, definition.clone()).await.ok();
    }
    for (version, plural, kind, good, bad) in [
        (
            "cert-manager.io/v1",
            "certificates",
            "Certificate",
            json!({
                "secretName": "tls",
                "issuerRef": {"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"},
                "dnsNames": ["a.example.com"],
                "usages": ["digital signature", "server auth"],
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            }),
            json!({"secretName": "tls", "issuerRef": {"name": "ca"}, "dnsName": ["a"]}),
        ),
        (
            "cert-manager.io/v1",
            "issuers",
            "Issuer",
            json!({"acme": {
                "server": "https://acme.example.com/directory",
                "privateKeySecretRef": {"name": "account"},
                "solvers": [{"http01": {"ingress": {"ingressClassName": "nginx"}}}],
            }}),
            json!({"acme": {"server": "x", "privateKeySecret": {"name": "account"}}}),
        ),
        (
            "cert-manager.io/v1",
            "certificaterequests",
            "CertificateRequest",
            json!({"request": "YQ==", "issuerRef": {"name": "ca"}}),
            json!({"request": "YQ==", "issuerRef": {"name": "ca"}, "usage": []}),
        ),
        (
            "source.toolkit.fluxcd.io/v1",
            "ocirepositories",
            "OCIRepository",
            json!({"url": "oci://r/x", "interval": "5m", "ref": {"semver": ">=1"}}),
            json!({"url": "oci://r/x", "interval": "5m", "ref": {"version": "1"}}),
        ),
        (
            "image.toolkit.fluxcd.io/v1beta2",
            "imagepolicies",
            "ImagePolicy",
            json!({"imageRepositoryRef": {"name": "a"}, "policy": {"semver": {"range": "1.x"}}}),
            json!({"imageRepositoryRef": {"name": "a"}, "policy": {"semver": {"ranges": "1.x"}}}),
        ),
        (
            "notification.toolkit.fluxcd.io/v1beta3",
            "alerts",
            "Alert",
            json!({"providerRef": {"name": "a"}, "eventSources": [{"kind": "Bucket", "name": "*"}]}),
            json!({"providerRef": {"name": "a"}, "eventSource": []}),
        ),
        (
            "litmuschaos.io/v1alpha1",
            "chaosexperiments",
            "ChaosExperiment",
            json!({"definition": {"scope": "Namespaced", "image": "x", "args": ["-c"]}}),
            json!({"definition": {"scope": "Namespaced", "imagePolicy": "Always"}}),
        ),
    ] {
        let path = format!("/apis/{version}/namespaces/default/{plural}?fieldValidation=Strict");
        let object = |spec: Value| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        ask(&server, "POST", &path, object(good)).await.ok();
        let mut wrong = object(bad);
        wrong["metadata"]["name"] = json!("b");
        let answer = ask(&server, "POST", &path, wrong).await;
        assert!((400..=422).contains(&answer.code), "{kind}: {}", answer.body);
    }
}
