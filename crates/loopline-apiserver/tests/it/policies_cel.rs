//! Admission policies in CEL, as a cluster's users write them.

use serde_json::json;

use crate::support::{make, server};

#[tokio::test]
async fn a_policy_in_cel_judges_writes() {
    let server = server();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "few-replicas"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["apps"], "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["deployments"],
            }]},
            "variables": [{"name": "most", "expression": "5"}],
            "validations": [{
                "expression": "object.spec.replicas <= variables.most && \
                    object.spec.template.spec.containers.all(c, !c.image.endsWith(':latest'))",
                "messageExpression": "'at most ' + string(variables.most) + ' replicas, no latest'",
            }],
        },
    });
    make(&server, policy).await.ok();
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "everywhere"},
        "spec": {"policyName": "few-replicas", "validationActions": ["Deny"]},
    });
    make(&server, binding).await.ok();
    let deployment = |name: &str, replicas: i64, image: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"name": "c", "image": image}]},
                },
            },
        })
    };
    for (name, replicas, image, expected) in
        [("good", 3, "web:1", 201), ("many", 6, "web:1", 422), ("latest", 1, "web:latest", 422)]
    {
        let answer = make(&server, deployment(name, replicas, image)).await;
        assert_eq!(answer.code, expected, "{}", answer.body);
        if expected == 422 {
            let message = answer.body["message"].as_str().unwrap();
            assert!(
                message.ends_with("denied request: at most 5 replicas, no latest"),
                "{message}"
            );
        }
    }
    let broken = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "broken"},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["configmaps"],
            }]},
            "validations": [{"expression": "authorizer.group('').resource('pods')"}],
        },
    });
    let answer = make(&server, broken).await;
    let (code, message) = answer.refused();
    assert_eq!(code, 422, "{message}");
    assert!(message.contains("undeclared reference to 'authorizer'"), "{message}");
}
