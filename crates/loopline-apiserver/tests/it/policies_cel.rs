//! Admission policies in CEL, as a cluster's users write them.

use loopline_apiserver::auth::User;
use serde_json::json;

use crate::support::{ask, ask_as, grant, make, server, with_roles};

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
            "validations": [{"expression": "authority.group('').resource('pods')"}],
        },
    });
    let answer = make(&server, broken).await;
    let (code, message) = answer.refused();
    assert_eq!(code, 422, "{message}");
    assert!(message.contains("undeclared reference to 'authority'"), "{message}");
}

#[tokio::test]
async fn policies_ask_who_may_do_what() {
    let server = with_roles();
    let maps =
        |verbs: &[&str]| json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs});
    for (name, rules) in [
        ("writer", json!([maps(&["create"])])),
        (
            "keeper",
            json!([
                maps(&["create", "protect"]), {"nonResourceURLs": ["/keys"], "verbs": ["get"]},
            ]),
        ),
    ] {
        grant(&server, name, rules).await;
    }
    let policy = |expression: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "asks"},
            "spec": {
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                    "resources": ["configmaps"],
                }]},
                "validations": [{"expression": expression}],
            },
        })
    };
    make(&server, policy("true")).await.ok();
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "everywhere"},
        "spec": {"policyName": "asks", "validationActions": ["Deny"]},
    });
    make(&server, binding).await.ok();
    let user = |name: &str| User { name: name.to_owned(), ..User::default() };
    let path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/asks";
    let maps = "/api/v1/namespaces/default/configmaps";
    let own = "authorizer.requestResource";
    let (some, all, none) = ((422, 201), (201, 201), (422, 422));
    for (index, (expression, (writer, keeper))) in [
        (format!("{own}.check('protect').allowed()"), some),
        (
            "authorizer.group('').resource('configmaps').namespace('default').name('x')\
             .check('protect').allowed()"
                .to_owned(),
            some,
        ),
        ("authorizer.path('/keys').check('get').allowed()".to_owned(), some),
        ("authorizer.path('/keys').check('put').allowed()".to_owned(), none),
        (
            "authorizer.serviceAccount('default', 'keeper').path('/keys').check('get').allowed()"
                .to_owned(),
            all,
        ),
        (
            "authorizer.serviceAccount('default', 'writer').path('/keys').check('get').allowed()"
                .to_owned(),
            none,
        ),
        (
            "!authorizer.group('apps').resource('deployments').subresource('scale').check('get')\
             .errored()"
                .to_owned(),
            all,
        ),
        (format!("{own}.check('create').reason().startsWith('RBAC: allowed by')"), all),
        (format!("['protect', 'create'].all(v, {own}.check(v).allowed())"), some),
        (format!("{own}.check('protect').allowed() || {own}.check('create').allowed()"), all),
        // More questions than may be asked: no answer, which refuses.
        (
            format!(
                "'abcdefghi'.split('').all(a, 'abcdefghi'.split('').all(b, \
                 !{own}.check(a + b).allowed()))"
            ),
            none,
        ),
        // What the authorizer gives out is nothing that one can make, or ask without.
        ("authorizer.check('get').allowed()".to_owned(), none),
        ("object.metadata.check('get').allowed()".to_owned(), none),
    ]
    .into_iter()
    .enumerate()
    {
        ask(&server, "PATCH", path, policy(&expression)).await.ok();
        for (name, expected) in [("writer", writer), ("keeper", keeper)] {
            let map = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("{name}-{index}")},
            });
            let answer = ask_as(&server, user(name), "POST", maps, map).await;
            assert_eq!(answer.code, expected, "{expression} of {name}: {}", answer.body);
        }
    }
}
