//! Admission policies, with a small engine of expressions: what is tested is when they are
//! evaluated, with what, and what follows.

use std::sync::Arc;

use loopline_apiserver::admission::expression::{EvaluationFuture, Expression, Expressions, Scope};
use loopline_apiserver::{Options, Server};
use serde_json::{Value, json};

use crate::support::{ask, make};

/// Knows `a == b`, `a + b`, paths, and JSON.
struct Engine;

struct Text(String);

impl Expressions for Engine {
    fn compile(&self, text: &str, variables: &[&str]) -> Result<Arc<dyn Expression>, String> {
        let root = text.split('.').next().unwrap_or("");
        let word = !root.is_empty() && root.bytes().all(|byte| byte.is_ascii_alphabetic());
        if word && !["true", "false"].contains(&root) && !variables.contains(&root) {
            return Err(format!("undeclared reference to '{root}'"));
        }
        Ok(Arc::new(Text(text.to_owned())))
    }
}

impl Expression for Text {
    fn evaluate<'a>(&'a self, scope: &'a Scope<'a>) -> EvaluationFuture<'a> {
        Box::pin(std::future::ready(value(&self.0, scope)))
    }
}

fn value(text: &str, scope: &Scope<'_>) -> Result<Value, String> {
    if let Some((a, b)) = text.split_once(" == ") {
        return Ok(json!(value(a, scope)? == value(b, scope)?));
    }
    if let Some((a, b)) = text.split_once(" + ") {
        let (a, b) = (value(a, scope)?, value(b, scope)?);
        return Ok(json!(format!("{}{}", a.as_str().unwrap(), b.as_str().unwrap())));
    }
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut parts = text.split('.');
    let mut at = &scope.values[parts.next().unwrap()];
    for part in parts {
        at = at.get(part).ok_or_else(|| format!("no such key: {part}"))?;
    }
    Ok(at.clone())
}

/// Returns a server with the small engine.
pub(crate) fn with_engine() -> Server {
    let mut options = Options::ephemeral().unwrap();
    options.expressions = Some(Box::new(Engine));
    Server::new(options)
}

const RULES: &str = r#"[{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
    "resources": ["configmaps"]}]"#;

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let version = if kind.starts_with("Mutating") { "v1alpha1" } else { "v1" };
    json!({"apiVersion": format!("admissionregistration.k8s.io/{version}"), "kind": kind,
        "metadata": {"name": name}, "spec": spec})
}

fn policy(kind: &str, spec: Value) -> Value {
    let rules: Value = serde_json::from_str(RULES).unwrap();
    let mut policy = object(kind, "p", json!({"matchConstraints": {"resourceRules": rules}}));
    for (key, value) in spec.as_object().unwrap() {
        policy["spec"][key] = value.clone();
    }
    policy
}

fn binding(kind: &str, spec: Value) -> Value {
    let mut binding = object(&format!("{kind}Binding"), "b", json!({"policyName": "p"}));
    for (key, value) in spec.as_object().unwrap() {
        binding["spec"][key] = value.clone();
    }
    binding
}

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

const VALIDATING: &str = "ValidatingAdmissionPolicy";
const MUTATING: &str = "MutatingAdmissionPolicy";
const DENIED: &str = "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' with binding \
                      'b' denied request: ";

#[tokio::test]
async fn what_an_expression_says_is_false_is_refused_or_warned_about() {
    for (spec, bound, data, expected) in [
        (
            json!({"validations": [{"expression": "object.data.a == \"b\""}]}),
            json!({}),
            json!({"a": "c"}),
            Err((422, "failed expression: object.data.a == \"b\"")),
        ),
        (
            json!({"validations": [{"expression": "object.data.a == \"b\""}]}),
            json!({}),
            json!({"a": "b"}),
            Ok(""),
        ),
        (
            json!({"validations": [{"expression": "false", "message": "no", "reason": "Forbidden",
                "messageExpression": "\"not \" + object.data.a"}]}),
            json!({}),
            json!({"a": "here"}),
            Err((403, "not here")),
        ),
        (
            json!({"validations": [{"expression": "false", "message": "no",
                "messageExpression": "object.data.none"}]}),
            json!({}),
            json!({"a": "here"}),
            Err((422, "no")),
        ),
        (
            json!({"validations": [{"expression": "false"}]}),
            json!({"validationActions": ["Warn"]}),
            json!({}),
            Ok("Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed \
                expression: false"),
        ),
        // Conditions.
        (
            json!({"validations": [{"expression": "false"}],
                "matchConditions": [{"name": "c", "expression": "request.operation == \"DELETE\""}]}),
            json!({}),
            json!({}),
            Ok(""),
        ),
        // Variables see those before them.
        (
            json!({"validations": [{"expression": "variables.y == \"ab\"", "message": "unequal"}],
                "variables": [{"name": "x", "expression": "object.data.a"},
                              {"name": "y", "expression": "variables.x + \"b\""}]}),
            json!({}),
            json!({"a": "x"}),
            Err((422, "unequal")),
        ),
        (
            json!({"validations": [{"expression": "variables.x == \"a\""}],
                "variables": [{"name": "x", "expression": "object.data.none"}]}),
            json!({}),
            json!({}),
            Err((
                422,
                "expression 'variables.x == \"a\"' resulted in error: composited variable \"x\" \
                 fails to evaluate: no such key: data",
            )),
        ),
        // Errors.
        (
            json!({"validations": [{"expression": "object.data.none == \"b\""}]}),
            json!({}),
            json!({}),
            Err((
                422,
                "expression 'object.data.none == \"b\"' resulted in error: no such key: data",
            )),
        ),
        (
            json!({"validations": [{"expression": "object.data.none == \"b\""}],
                "failurePolicy": "Ignore"}),
            json!({}),
            json!({}),
            Ok(""),
        ),
        // Parameters.
        (
            json!({"validations": [{"expression": "object.data.a == params.data.a"}],
                "paramKind": {"apiVersion": "v1", "kind": "Secret"}}),
            json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Deny"}}),
            json!({"a": "b"}),
            Err((
                422,
                "failed to configure binding: no params found for policy binding with `Deny` \
                 parameterNotFoundAction",
            )),
        ),
        (
            json!({"validations": [{"expression": "false"}],
                "paramKind": {"apiVersion": "v1", "kind": "Secret"}}),
            json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Allow"}}),
            json!({"a": "b"}),
            Ok(""),
        ),
        (
            json!({"validations": [{"expression": "object.data.a == params.type"}],
                "paramKind": {"apiVersion": "v1", "kind": "Secret"}}),
            json!({"paramRef": {"selector": {"matchLabels": {"for": "p"}},
                "parameterNotFoundAction": "Deny"}}),
            json!({"a": "b"}),
            Err((422, "failed expression: object.data.a == params.type")),
        ),
        (
            json!({"validations": [{"expression":
                "namespaceObject.metadata.name == \"default\""}]}),
            json!({}),
            json!({}),
            Ok(""),
        ),
        // Bindings select, too.
        (
            json!({"validations": [{"expression": "false"}]}),
            json!({"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}),
            json!({}),
            Ok(""),
        ),
        (
            json!({"validations": [{"expression": "false"}]}),
            json!({"matchResources": {"excludeResourceRules": [{"apiGroups": ["*"],
                "apiVersions": ["*"], "operations": ["*"], "resources": ["*"],
                "resourceNames": ["m"]}]}}),
            json!({}),
            Ok(""),
        ),
    ] {
        let server = with_engine();
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "s", "labels": {"for": "p"}}, "type": "Opaque"});
        make(&server, secret).await.ok();
        make(&server, policy(VALIDATING, spec.clone())).await.ok();
        make(&server, map("before", json!({}))).await.ok();
        let mut bound = bound;
        if bound["validationActions"].is_null() {
            bound["validationActions"] = json!(["Deny"]);
        }
        make(&server, binding(VALIDATING, bound)).await.ok();
        let answer = make(&server, map("m", data)).await;
        match expected {
            Err((code, why)) => {
                assert_eq!(answer.refused(), (code, &*format!("{DENIED}{why}")), "{spec}");
            }
            Ok(warning) => {
                assert!(
                    answer.warnings.concat().contains(warning)
                        && answer.warnings.is_empty() == warning.is_empty(),
                    "{spec} {:?}",
                    answer.warnings
                );
                answer.ok();
            }
        }
        // What shapes admission can always be taken away.
        let path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/p";
        ask(&server, "DELETE", path, Value::Null).await.ok();
    }
}

#[tokio::test]
async fn policies_change_what_is_written() {
    let server = with_engine();
    let mutations = json!({"reinvocationPolicy": "Never", "mutations": [
        {"patchType": "JSONPatch", "jsonPatch": {"expression":
            "[{\"op\": \"add\", \"path\": \"/data/patched\", \"value\": \"yes\"}]"}},
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
            "{\"metadata\": {\"labels\": {\"merged\": \"yes\"}}, \"data\": {\"a\": \"c\"}}"}},
    ]});
    make(&server, policy(MUTATING, mutations)).await.ok();
    make(&server, binding(MUTATING, json!({}))).await.ok();
    let made = make(&server, map("m", json!({"a": "b"}))).await.ok();
    assert_eq!(made["data"], json!({"a": "c", "patched": "yes"}));
    assert_eq!(made["metadata"]["labels"], json!({"merged": "yes"}));
    let answer = make(
        &server,
        json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "n"}}),
    )
    .await;
    let (code, message) = answer.refused();
    assert_eq!(code, 403);
    assert!(
        message.starts_with(
            "configmaps \"n\" is forbidden: policy 'p' with binding 'b' denied request: error \
             applying the JSON patch: "
        ),
        "{message}"
    );
}

#[tokio::test]
async fn policies_that_cannot_be_evaluated_are_refused() {
    let wrong = json!({"validations": [{"expression": "thing.name"}]});
    assert_eq!(
        make(&with_engine(), policy(VALIDATING, wrong.clone())).await.refused(),
        (
            422,
            "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"p\" is invalid: \
             spec.validations[0].expression: Invalid value: \"thing.name\": compilation failed: \
             undeclared reference to 'thing'"
        )
    );
    let mut options = Options::ephemeral().unwrap();
    options.expressions = None;
    let answer = make(&Server::new(options), policy(VALIDATING, wrong)).await;
    assert!(answer.refused().1.contains("are not evaluated by this server"), "{answer:?}");
}
