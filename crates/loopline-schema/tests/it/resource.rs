//! The table of built-in resources, and objects that are served in several versions.

use loopline_schema::resource::{Resource, compare_versions, groups, resource, resources};
use loopline_schema::{builtin, convert::convert};
use serde_json::{Value, json};

#[test]
fn every_resource_has_a_type_and_every_selectable_field_is_in_it() {
    assert!(resources().len() >= 60);
    for resource in resources() {
        let Resource { group, version, kind, list_kind, .. } = resource;
        let at = builtin(group, version, kind).unwrap_or_else(|| panic!("{kind} has no type"));
        assert_eq!(resource.has_status(), resource.has_status() && at.get("status").is_some());
        if resource.verbs.iter().any(|verb| verb == "list") {
            assert!(builtin(group, version, list_kind).is_some(), "{list_kind} has no type");
        }
        for field in &resource.selectable_fields {
            if matches!(&**field, "name" | "source" | "status.successful") {
                continue;
            }
            let found = field.split('.').try_fold(at, |at, step| at.get(step));
            assert!(found.is_some(), "{kind} has no {field}");
        }
        let mut verbs = resource.verbs.clone();
        verbs.sort();
        assert_eq!(verbs, resource.verbs, "{kind}");
        for subresource in &resource.subresources {
            let connects = subresource.kind.ends_with("Options");
            let body = builtin(&subresource.group, &subresource.version, &subresource.kind);
            assert!(connects || body.is_some(), "{kind}/{} has no type", subresource.name);
        }
    }
}

#[test]
fn kubectl_get_all_means_what_it_means() {
    let all: Vec<_> = resources()
        .iter()
        .filter(|resource| resource.categories.iter().any(|category| category == "all"))
        .map(|resource| &*resource.plural)
        .collect();
    assert_eq!(
        all,
        [
            "pods",
            "replicationcontrollers",
            "services",
            "daemonsets",
            "deployments",
            "replicasets",
            "statefulsets",
            "horizontalpodautoscalers",
            "horizontalpodautoscalers",
            "cronjobs",
            "jobs",
        ],
    );
}

#[test]
fn groups_and_versions_come_by_preference() {
    let groups = groups(resources().iter());
    assert_eq!(groups[0], ("".into(), vec!["v1".into()]));
    let of = |name: &str| &groups.iter().find(|(group, _)| group == name).unwrap().1;
    assert_eq!(of("autoscaling"), &["v2", "v1"]);
    assert_eq!(of("admissionregistration.k8s.io"), &["v1", "v1alpha1"]);
    let mut versions = [
        "foo10",
        "v1",
        "v10beta3",
        "v11alpha2",
        "v3beta1",
        "v12alpha1",
        "v11beta2",
        "v2",
        "foo1",
        "v10",
    ];
    versions.sort_by(|a, b| compare_versions(a, b));
    assert_eq!(
        versions,
        [
            "v10",
            "v2",
            "v1",
            "v11beta2",
            "v10beta3",
            "v3beta1",
            "v12alpha1",
            "v11alpha2",
            "foo1",
            "foo10"
        ],
    );
}

#[test]
fn field_selectors_read_what_they_name() {
    let pods = resource("", "v1", "pods").unwrap();
    let pod = json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {"nodeName": "x"}});
    for (label, expected) in [
        ("metadata.name", Some("a")),
        ("metadata.namespace", Some("n")),
        ("spec.nodeName", Some("x")),
        ("status.phase", Some("")),
        ("spec.hostNetwork", Some("false")),
        ("spec.containers", None),
    ] {
        assert_eq!(pods.selected(label, &pod).as_deref(), expected, "{label}");
    }
    let events = resource("", "v1", "events").unwrap();
    let event = json!({"source": {}, "reportingComponent": "kubelet"});
    assert_eq!(events.selected("source", &event).as_deref(), Some("kubelet"));
    let nodes = resource("", "v1", "nodes").unwrap();
    assert_eq!(nodes.selected("metadata.namespace", &json!({})), None);
}

fn there_and_back(object: &Value, to: &str) -> Value {
    let from = object["apiVersion"].as_str().unwrap();
    let mut changed = object.clone();
    convert(&mut changed, to).unwrap();
    let there = changed.clone();
    convert(&mut changed, from).unwrap();
    assert_eq!(&changed, object);
    there
}

#[test]
fn autoscalers_are_the_same_object_in_two_versions() {
    let object = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
            "metrics": [
                {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                {"type": "Pods", "pods": {"metric": {"name": "qps", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "AverageValue", "averageValue": "10"}}},
                {"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": {"kind": "Ingress", "name": "i"}, "target": {"type": "Value", "value": "100"}}},
                {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "30"}}},
                {"type": "ContainerResource", "containerResource": {"name": "memory", "container": "c", "target": {"type": "Utilization", "averageUtilization": 70}}},
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
            ],
        },
        "status": {
            "currentReplicas": 1, "desiredReplicas": 2,
            "conditions": [{"type": "AbleToScale", "status": "True"}],
            "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 12, "averageValue": "12m"}}}],
        },
    });
    let older = there_and_back(&object, "autoscaling/v1");
    assert_eq!(older["spec"]["targetCPUUtilizationPercentage"], 80);
    assert_eq!(older["status"]["currentCPUUtilizationPercentage"], 12);
    assert_eq!(
        older["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"],
        r#"{"ScaleDown":{"Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":60}]}}"#,
    );
    let at = builtin("autoscaling", "v1", "HorizontalPodAutoscaler").unwrap();
    assert_eq!(loopline_schema::unknown_fields(at, &older), Vec::<String>::new());
}

#[test]
fn events_are_the_same_object_in_two_groups() {
    let object = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p"}, "message": "m", "reason": "r", "type": "Normal",
        "source": {"component": "c"}, "count": 2, "firstTimestamp": null, "lastTimestamp": "2024-01-01T00:00:00Z",
        "reportingComponent": "c", "reportingInstance": "i", "action": "a", "eventTime": null,
    });
    let there = there_and_back(&object, "events.k8s.io/v1");
    assert_eq!(there["note"], "m");
    assert_eq!(there["regarding"]["name"], "p");
    let at = builtin("events.k8s.io", "v1", "Event").unwrap();
    assert_eq!(loopline_schema::unknown_fields(at, &there), Vec::<String>::new());
    assert!(convert(&mut object.clone(), "v2").is_err());
}
