//! The guide's documents against the definitions of well-known controllers.

use std::path::{Path, PathBuf};

use loopline_schema::{foreign, manifest};
use loopline_source::SourceFile;
use serde_json::{Value, json};

use crate::support::{ask, make, server};

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
