//! What pods get and what is refused of them: accounts, priorities, tolerations, runtimes, limits,
//! levels of security.

use loopline_apiserver::Server;
use serde_json::{Value, json};

use crate::support::{Served, ask, make, server};

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
    });
    for (key, value) in spec.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    pod
}

async fn all(server: &Server, objects: Value) {
    for object in objects.as_array().unwrap() {
        make(server, object.clone()).await.ok();
    }
}

#[tokio::test]
async fn pods_act_as_an_account_and_get_its_token() {
    let server = server();
    all(
        &server,
        json!([
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"},
             "imagePullSecrets": [{"name": "registry"}]},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "quiet"},
             "automountServiceAccountToken": false},
        ]),
    )
    .await;
    let made = make(
        &server,
        pod(
            "a",
            json!({"initContainers": [
        {"name": "i", "image": "x"},
        {"name": "own", "image": "x", "volumeMounts": [
            {"name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]},
    ], "volumes": [{"name": "v", "emptyDir": {}}]}),
        ),
    )
    .await
    .ok();
    let spec = &made["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert_eq!(spec["serviceAccount"], "default");
    let volume = spec["volumes"][1]["name"].as_str().unwrap();
    assert!(volume.starts_with("kube-api-access-") && volume.len() == 21, "{volume}");
    for list in ["initContainers", "containers"] {
        assert_eq!(
            spec[list][0]["volumeMounts"],
            json!([{
                "name": volume,
                "readOnly": true,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            }])
        );
    }
    assert_eq!(spec["initContainers"][1]["volumeMounts"][0]["name"], "v");
    assert_eq!(
        spec["volumes"][1]["projected"]["sources"][0]["serviceAccountToken"],
        json!({"expirationSeconds": 3607, "path": "token"})
    );
    let made = make(&server, pod("b", json!({"serviceAccountName": "robot"}))).await.ok();
    assert_eq!(made["spec"]["imagePullSecrets"], json!([{"name": "registry"}]));
    for spec in
        [json!({"serviceAccountName": "quiet"}), json!({"automountServiceAccountToken": false})]
    {
        let name = if spec["serviceAccountName"].is_null() { "c" } else { "d" };
        let made = make(&server, pod(name, spec)).await.ok();
        assert!(made["spec"]["volumes"].is_null(), "{made}");
    }
    assert_eq!(
        make(&server, pod("e", json!({"serviceAccountName": "nobody"}))).await.refused(),
        (
            403,
            "pods \"e\" is forbidden: error looking up service account default/nobody: \
             serviceaccount \"nobody\" not found"
        )
    );
}

#[tokio::test]
async fn pods_get_priorities_tolerations_and_the_cost_of_their_runtime() {
    let server = server();
    all(
        &server,
        json!([
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
             "metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"},
            {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
             "metadata": {"name": "vm"}, "handler": "vm",
             "overhead": {"podFixed": {"cpu": "100m"}},
             "scheduling": {"nodeSelector": {"vm": "yes"},
                            "tolerations": [{"key": "vm", "operator": "Exists"}]}},
        ]),
    )
    .await;
    let made = make(&server, pod("plain", json!({}))).await.ok();
    assert_eq!(made["spec"]["priority"], 0);
    assert_eq!(made["spec"]["preemptionPolicy"], "PreemptLowerPriority");
    assert_eq!(
        made["spec"]["tolerations"],
        json!([
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
             "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
             "tolerationSeconds": 300},
        ])
    );
    let tolerant = json!({"tolerations": [{"operator": "Exists"}], "priorityClassName": "high",
        "runtimeClassName": "vm"});
    let made = make(&server, pod("tolerant", tolerant)).await.ok();
    assert_eq!(made["spec"]["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(made["spec"]["priority"], 1000);
    assert_eq!(made["spec"]["preemptionPolicy"], "Never");
    assert_eq!(made["spec"]["overhead"], json!({"cpu": "100m"}));
    assert_eq!(made["spec"]["nodeSelector"], json!({"vm": "yes"}));
    for (spec, why) in [
        (json!({"priorityClassName": "none"}), "no PriorityClass with name none was found"),
        (
            json!({"priority": 5}),
            "the integer value of priority (5) must not be provided in pod spec; priority \
             admission controller computed 0 from the given PriorityClass name",
        ),
        (json!({"runtimeClassName": "none"}), "pod rejected: RuntimeClass \"none\" not found"),
        (
            json!({"overhead": {"cpu": "1"}}),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            json!({"runtimeClassName": "vm", "nodeSelector": {"vm": "no"}}),
            "pod rejected: conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; \
             pod.spec.nodeSelector[vm] = no",
        ),
    ] {
        let answer = make(&server, pod("bad", spec)).await;
        assert_eq!(answer.refused(), (403, &*format!("pods \"bad\" is forbidden: {why}")));
    }
    let default = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": "usual"}, "value": 7, "globalDefault": true});
    make(&server, default.clone()).await.ok();
    let made = make(&server, pod("usual", json!({}))).await.ok();
    assert_eq!(made["spec"]["priorityClassName"], "usual");
    assert_eq!(made["spec"]["priority"], 7);
    let mut second = default;
    second["metadata"]["name"] = json!("second");
    assert_eq!(make(&server, second).await.code, 403);
}

#[tokio::test]
async fn claims_and_ingresses_get_the_default_class() {
    let server = server();
    let class = |name: &str| {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": name, "annotations":
                {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "example.com/disk"})
    };
    let claim = |name: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"],
                     "resources": {"requests": {"storage": "1Gi"}}}})
    };
    let made = make(&server, claim("before")).await.ok();
    assert!(made["spec"]["storageClassName"].is_null());
    make(&server, class("disk")).await.ok();
    assert_eq!(make(&server, claim("a")).await.ok()["spec"]["storageClassName"], "disk");
    let mut none = claim("b");
    none["spec"]["storageClassName"] = json!("");
    assert_eq!(make(&server, none).await.ok()["spec"]["storageClassName"], "");
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": "edge", "annotations":
            {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "example.com/edge"}});
    make(&server, ingress).await.ok();
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "i"},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    assert_eq!(make(&server, ingress).await.ok()["spec"]["ingressClassName"], "edge");
}

#[tokio::test]
async fn limits_are_filled_in_and_kept() {
    let server = server();
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "r"},
    "spec": {"limits": [
        {"type": "Container",
         "default": {"cpu": "500m", "memory": "256Mi"},
         "defaultRequest": {"cpu": "250m", "memory": "128Mi"},
         "min": {"cpu": "100m"}, "max": {"cpu": "1"},
         "maxLimitRequestRatio": {"memory": "4"}},
        {"type": "Pod", "max": {"memory": "1Gi"}},
        {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}},
    ]}});
    make(&server, range).await.ok();
    let made = make(&server, pod("a", json!({}))).await.ok();
    assert_eq!(
        made["spec"]["containers"][0]["resources"],
        json!({
            "requests": {"cpu": "250m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        })
    );
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for \
         container c"
    );
    assert_eq!(made["status"]["qosClass"], "Burstable");
    for (resources, why) in [
        (
            json!({"requests": {"cpu": "50m"}}),
            "minimum cpu usage per Container is 100m, but request is 50m",
        ),
        (json!({"limits": {"cpu": "2"}}), "maximum cpu usage per Container is 1, but limit is 2"),
        (
            json!({"requests": {"memory": "100Mi"}, "limits": {"memory": "900Mi"}}),
            "memory max limit to request ratio per Container is 4, but provided ratio is 9.000000",
        ),
        (
            json!({"requests": {"memory": "2Gi"}, "limits": {"memory": "3Gi", "cpu": "2"}}),
            "[maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Pod \
             is 1Gi, but limit is 3Gi]",
        ),
    ] {
        let spec = json!({"containers": [{"name": "c", "image": "x", "resources": resources}]});
        let answer = make(&server, pod("bad", spec)).await;
        assert_eq!(answer.refused(), (403, &*format!("pods \"bad\" is forbidden: {why}")));
    }
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "big"},
        "spec": {"accessModes": ["ReadWriteOnce"],
                 "resources": {"requests": {"storage": "6Gi"}}}});
    assert_eq!(
        make(&server, claim).await.refused().1,
        "persistentvolumeclaims \"big\" is forbidden: maximum storage usage per \
         PersistentVolumeClaim is 5Gi, but request is 6Gi"
    );
}

#[tokio::test]
async fn namespaces_ask_for_levels_of_security() {
    let server = server();
    let space = |labels: Value| {
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "safe", "labels": labels}})
    };
    let bad = space(json!({
        "pod-security.kubernetes.io/enforce": "strict",
        "pod-security.kubernetes.io/warn-version": "1.33",
    }));
    assert_eq!(
        make(&server, bad).await.refused(),
        (
            422,
            "Namespace \"safe\" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: \
             Invalid value: \"strict\": must be one of privileged, baseline, restricted, \
             metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"1.33\": \
             must be \"latest\" or \"v1.x\"]"
        )
    );
    let answer =
        make(&server, space(json!({"pod-security.kubernetes.io/audit": "baseline"}))).await;
    assert_eq!(answer.warnings, Vec::<String>::new());
    answer.ok();
    let place = |mut object: Value| {
        object["metadata"]["namespace"] = json!("safe");
        object
    };
    let privileged = json!({"containers": [{"name": "c", "image": "x",
        "securityContext": {"privileged": true}}]});
    make(&server, place(pod("old", privileged.clone()))).await.ok();
    let path = "/api/v1/namespaces/safe";
    let labels = json!({"metadata": {"labels": {
        "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/enforce-version": "v1.30",
        "pod-security.kubernetes.io/warn": "restricted",
    }}});
    let answer = ask(&server, "PATCH", path, labels).await;
    assert_eq!(
        answer.warnings,
        [
            "299 - \"existing pods in namespace \\\"safe\\\" violate the new PodSecurity enforce \
             level \\\"baseline:v1.30\\\"\"",
            "299 - \"old: privileged\"",
        ]
    );
    answer.ok();
    assert_eq!(
        make(&server, place(pod("new", privileged.clone()))).await.refused(),
        (
            403,
            "pods \"new\" is forbidden: violates PodSecurity \"baseline:v1.30\": privileged \
             (container \"c\" must not set securityContext.privileged=true)"
        )
    );
    let warned = make(&server, place(pod("plain", json!({})))).await;
    assert_eq!(warned.code, 201);
    assert!(
        warned.warnings[0].contains(
            "would violate PodSecurity \\\"restricted:latest\\\": allowPrivilegeEscalation != false"
        ),
        "{:?}",
        warned.warnings
    );
    // Templates are only warned about.
    let deployment = place(json!({"apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {"name": "d"},
    "spec": {"selector": {"matchLabels": {"a": "b"}},
             "template": {"metadata": {"labels": {"a": "b"}}, "spec": privileged}}}));
    let answer = make(&server, deployment).await;
    assert!(answer.warnings[0].contains("privileged (container"), "{:?}", answer.warnings);
    answer.ok();
    // The old pod may still be labelled.
    let path = "/api/v1/namespaces/safe/pods/old";
    ask(&server, "PATCH", path, json!({"metadata": {"labels": {"x": "y"}}})).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_shows_refusals_and_warnings() {
    let served = Served::new().await;
    let label = ["label", "namespace", "default", "pod-security.kubernetes.io/enforce=restricted"];
    let Some((ok, text)) = served.kubectl(&label).await else { return };
    assert!(ok, "{text}");
    let (_, text) = served.kubectl(&["run", "web", "--image=nginx:1"]).await.unwrap();
    assert_eq!(
        text,
        "Error from server (Forbidden): pods \"web\" is forbidden: violates PodSecurity \
         \"restricted:latest\": allowPrivilegeEscalation != false (container \"web\" must set \
         securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \
         \"web\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod \
         or container \"web\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or \
         container \"web\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
         \"Localhost\")\n"
    );
}
