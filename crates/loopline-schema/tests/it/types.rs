//! Types, wrong types and unknown fields of built-in kinds.

use loopline_merge::{Shape, Type};
use loopline_schema::{Scalar, TypeRef, builtin, check_types, definition, unknown_fields};
use serde_json::{Value, json};

fn at(group: &str, version: &str, kind: &str, path: &str) -> TypeRef<'static> {
    let start = builtin(group, version, kind).expect("the kind is built in");
    path.split('.').filter(|step| !step.is_empty()).fold(start, |at, step| match step {
        "[]" => at.items().expect("a list"),
        name => at.get(name).unwrap_or_else(|| panic!("{kind} has {path}")),
    })
}

fn pod(path: &str) -> TypeRef<'static> {
    at("", "v1", "Pod", path)
}

#[test]
fn every_kind_reads_and_every_place_has_a_shape() {
    let mut places = 0;
    for (group, version, kind) in builtin::kinds() {
        let root = builtin(group, version, kind).expect("kinds are built in");
        let mut open = vec![(root, 0)];
        while let Some((at, depth)) = open.pop() {
            places += 1;
            if let Shape::ListMap(keys) = at.shape() {
                let element = at.items().expect("a list has elements");
                for key in keys {
                    // StorageVersionMigrationList's own schema names a key that it does not have.
                    let known = element.get(key).is_some() || kind.starts_with("StorageVersion");
                    assert!(known, "{kind}: elements have no {key}");
                }
            }
            if depth < 8 {
                open.extend(at.fields().map(|(_, inner)| (inner, depth + 1)));
                open.extend(at.items().into_iter().map(|inner| (inner, depth + 1)));
            }
        }
    }
    assert!(places > 10_000, "{places} places");
}

#[test]
fn shapes_are_those_of_structured_merge() {
    let keys = |at: TypeRef<'_>| match at.shape() {
        Shape::ListMap(keys) => keys.join(","),
        other => format!("{other:?}"),
    };
    assert_eq!(keys(pod("spec.containers")), "name");
    assert_eq!(keys(pod("spec.containers.[].ports")), "containerPort,protocol");
    assert_eq!(keys(at("", "v1", "Service", "spec.ports")), "port,protocol");
    assert_eq!(keys(pod("spec.topologySpreadConstraints")), "topologyKey,whenUnsatisfiable");
    assert_eq!(keys(pod("metadata.ownerReferences")), "uid");
    assert_eq!(pod("spec.tolerations").shape(), Shape::AtomicList);
    assert_eq!(pod("spec.containers.[].args").shape(), Shape::AtomicList);
    assert_eq!(pod("metadata.finalizers").shape(), Shape::Set);
    assert_eq!(pod("metadata.labels").shape(), Shape::Map);
    assert_eq!(pod("spec.nodeSelector").shape(), Shape::AtomicMap);
    assert_eq!(at("apps", "v1", "Deployment", "spec.selector").shape(), Shape::AtomicMap);
    // The claim reference is granular although object references are atomic elsewhere.
    assert_eq!(at("", "v1", "PersistentVolume", "spec.claimRef").shape(), Shape::Map);
    assert_eq!(pod("spec.containers.[].resources.limits.cpu").shape(), Shape::Scalar);
    assert_eq!(at("apps", "v1", "ControllerRevision", "data").shape(), Shape::Deduced);
    assert_eq!(pod("spec.containers.[].ports.[].protocol").default(), Some(&json!("TCP")),);
    assert_eq!(pod("spec.containers.[].ports.[].hostPort").default(), None);
}

#[test]
fn patch_strategies_are_those_of_the_definitions() {
    let merge = |at: TypeRef<'_>| {
        let strategy = at.patch_strategy();
        (strategy.merge, strategy.merge_key.unwrap_or_default().to_owned(), strategy.retain_keys)
    };
    assert_eq!(merge(pod("spec.containers.[].ports")), (true, "containerPort".into(), false));
    assert_eq!(merge(at("", "v1", "Service", "spec.ports")), (true, "port".into(), false));
    assert_eq!(merge(pod("spec.volumes")), (true, "name".into(), true));
    assert_eq!(merge(pod("metadata.finalizers")), (true, "".into(), false));
    assert_eq!(merge(at("apps", "v1", "Deployment", "spec.strategy")), (false, "".into(), true));
    let selector = at("policy", "v1", "PodDisruptionBudget", "spec.selector");
    assert!(selector.patch_strategy().replace);
    assert_eq!(merge(pod("spec.tolerations")), (false, "".into(), false));
}

#[test]
fn types_tell_what_they_are() {
    assert_eq!(pod("spec.containers.[].ports.[].containerPort").scalar(), Some(Scalar::Integer32));
    assert_eq!(at("", "v1", "Secret", "data.x").scalar(), Some(Scalar::Bytes));
    assert_eq!(pod("metadata.creationTimestamp").scalar(), Some(Scalar::Time));
    assert_eq!(
        at("", "v1", "Service", "spec.ports.[].targetPort").scalar(),
        Some(Scalar::IntOrString)
    );
    assert_eq!(pod("").definition().as_deref(), Some("io.k8s.api.core.v1.Pod"));
    assert!(at("apps", "v1", "Deployment", "spec").is_required("selector"));
    assert!(!at("apps", "v1", "Deployment", "spec").is_required("replicas"));
    assert!(definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").is_some());
    assert!(builtin("apps", "v1", "Deploymint").is_none());
    assert!(
        at("metrics.k8s.io", "v1beta1", "PodMetrics", "containers.[].usage.cpu").scalar().is_some()
    );
}

fn deployment(container: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
    }})
}

#[test]
fn unknown_fields_are_named_by_their_path() {
    let of = |value: Value| {
        let (group, version) =
            value["apiVersion"].as_str().and_then(|v| v.split_once('/')).unwrap_or(("", "v1"));
        unknown_fields(builtin(group, version, value["kind"].as_str().unwrap()).unwrap(), &value)
    };
    assert_eq!(of(deployment(json!({"name": "c", "image": "i"}))), Vec::<String>::new());
    assert_eq!(
        of(deployment(
            json!({"name": "c", "imagine": "i", "ports": [{"containerPort": 1, "Protocol": "TCP"}]})
        )),
        [
            "spec.template.spec.containers[0].imagine",
            "spec.template.spec.containers[0].ports[0].Protocol"
        ],
    );
    // A custom resource definition's schema is looked at too, with its three kinds of lists.
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object",
            "properties": {"spec": {"type": "array", "items": {"typ": "x"}, "default": {"any": 1}}},
            "additionalProperties": {"type": "string", "nope": 1},
        }}}]},
    });
    let schema = "spec.versions[0].schema.openAPIV3Schema";
    assert_eq!(
        of(crd),
        [
            format!("{schema}.properties.spec.items.typ"),
            format!("{schema}.additionalProperties.nope")
        ],
    );
    let many = json!({"apiVersion": "v1", "kind": "Pod", "spec":
        (0..300).map(|n| (format!("x{n}"), json!(1))).collect::<serde_json::Map<_, _>>()});
    assert_eq!(of(many).len(), 100);
}

#[test]
fn wrong_types_are_told_as_the_decoder_of_the_api_tells_them() {
    let field = "json: cannot unmarshal";
    for (value, expected) in [
        (json!({"spec": {"replicas": "x"}}), format!("{field} string into Go struct field DeploymentSpec.spec.replicas of type int32")),
        (json!({"spec": {"replicas": 1.5}}), format!("{field} number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32")),
        (json!({"spec": {"replicas": 3_000_000_000_i64}}), format!("{field} number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32")),
        (json!({"spec": []}), format!("{field} array into Go struct field Deployment.spec of type v1.DeploymentSpec")),
        (json!({"spec": {"template": {"spec": {"containers": {}}}}}), format!("{field} object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container")),
        (deployment(json!({"env": [{"name": "A", "value": 1}]})), format!("{field} number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string")),
        (deployment(json!({"command": [1]})), format!("{field} number into Go struct field Container.spec.template.spec.containers.command of type string")),
        (json!({"metadata": {"labels": {"a": true}}}), format!("{field} bool into Go struct field ObjectMeta.metadata.labels of type string")),
        (json!({"metadata": {"labels": "a"}}), format!("{field} string into Go struct field ObjectMeta.metadata.labels of type map[string]string")),
        (deployment(json!({"resources": {"limits": {"cpu": "1KM"}}})), "unable to parse quantity's suffix".to_owned()),
        (json!({"metadata": {"creationTimestamp": "yesterday"}}), "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"".to_owned()),
        (json!({"metadata": {"creationTimestamp": "2024-02-30T00:00:00Z"}}), "parsing time \"2024-02-30T00:00:00Z\": day out of range".to_owned()),
    ] {
        let found = check_types(builtin("apps", "v1", "Deployment").unwrap(), &value);
        assert_eq!(found.first().map(ToString::to_string), Some(expected), "{value}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
    for fine in [
        json!({"spec": null, "metadata": {"creationTimestamp": null, "labels": null}}),
        deployment(json!({"ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": 1}}})),
        json!({"metadata": {"creationTimestamp": "2024-02-29T23:59:59.5+02:00"}}),
    ] {
        assert_eq!(check_types(builtin("apps", "v1", "Deployment").unwrap(), &fine), []);
    }
    let secret = builtin("", "v1", "Secret").unwrap();
    for (data, at) in [
        ("aGk=", None),
        ("aGk", Some(0)),
        ("a!==", Some(1)),
        ("aGk=aGk=", Some(4)),
        ("", None),
        ("aGVs\nbG8=", None),
    ] {
        let found = check_types(secret, &json!({"data": {"k": data}}));
        let expected = at.map(|at| format!("illegal base64 data at input byte {at}"));
        assert_eq!(found.first().map(ToString::to_string), expected, "{data:?}");
    }
}

#[test]
fn values_that_are_too_deep_are_refused() {
    let mut value = json!({});
    for _ in 0..1000 {
        value = json!({"not": value});
    }
    let at = at(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "spec.versions.[].schema.openAPIV3Schema",
    );
    assert_eq!(
        check_types(at, &value).first().map(ToString::to_string).as_deref(),
        Some("exceeded max depth")
    );
    assert_eq!(unknown_fields(at, &value), Vec::<String>::new());
}
