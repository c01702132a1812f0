#!/usr/bin/env python3
"""Writes crates/loopline-schema/data/vX.YY.txt and vX.YY-descriptions.txt.gz: the types of the
Kubernetes API in the compact form that loopline_schema::builtin reads.

usage: pip download --no-deps kubernetes-validate==1.37.0
       cargo fetch  (for the sources of the crate k8s-pb)
       python3 scripts/kubernetes-schema.py WHEEL_OR_FOLDER K8S_PB_FOLDER [VERSION]

The definitions come from the PyPI package kubernetes-validate, the numbers of protobuf fields
from the crate k8s-pb; both repeat the Kubernetes API, (c) The Kubernetes Authors, Apache-2.0.

One line a definition (`= NAME FORM ANNOTATIONS`), then one line a field (`NAME[!] TYPE
ANNOTATIONS`; `!` marks a required field). Types: s string, b boolean, i integer, i32, i64,
f number, f64, bytes, o object, any, [T] list, {T} map, @NAME definition. A line that begins with
`+` is a message whose fields stand in its parent in JSON but not in protobuf. `#N` is the number
of the field in protobuf; `pointer` marks a scalar whose zero is a value. Definition names leave out `io.k8s.`.
"""

import gzip
import json
import re
import sys
import zipfile
from pathlib import Path

PREFIX = "io.k8s."
# Definitions that are not of the form "object with fields".
FORMS = {
    "apimachinery.pkg.api.resource.Quantity": "quantity",
    "apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "apimachinery.pkg.apis.meta.v1.Time": "time",
    "apimachinery.pkg.apis.meta.v1.MicroTime": "micro-time",
    "apimachinery.pkg.apis.meta.v1.FieldsV1": "fields",
    "apimachinery.pkg.apis.meta.v1.Patch": "raw",
    "apimachinery.pkg.runtime.RawExtension": "raw",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "json",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "schema-or-array",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "schema-or-bool",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray":
        "schema-or-strings",
}
# Key fields of list maps that the API defaults although the definitions do not say so.
DEFAULTS = {
    ("api.core.v1.ContainerPort", "protocol"): '"TCP"',
    ("api.core.v1.ServicePort", "protocol"): '"TCP"',
    ("api.core.v1.LocalObjectReference", "name"): '""',
}
# Scalars that are pointers in Go: 0, false and "" are values of theirs. Everywhere else they mean
# that the field is not set, and the API leaves them out.
POINTERS = """
admissionregistration.MatchResources matchPolicy
admissionregistration.MutatingWebhook failurePolicy matchPolicy reinvocationPolicy timeoutSeconds
admissionregistration.NamedRuleWithOperations scope
admissionregistration.ParamRef parameterNotFoundAction
admissionregistration.Rule scope
admissionregistration.RuleWithOperations scope
admissionregistration.ServiceReference path port
admissionregistration.ValidatingAdmissionPolicySpec failurePolicy
admissionregistration.MutatingAdmissionPolicySpec failurePolicy
admissionregistration.ValidatingWebhook failurePolicy matchPolicy timeoutSeconds
admissionregistration.Validation reason
admissionregistration.WebhookClientConfig url
apps.DaemonSetSpec revisionHistoryLimit
apps.DaemonSetStatus collisionCount
apps.DeploymentSpec progressDeadlineSeconds replicas revisionHistoryLimit
apps.DeploymentStatus collisionCount terminatingReplicas
apps.ReplicaSetSpec replicas
apps.ReplicaSetStatus terminatingReplicas
apps.RollingUpdateStatefulSetStrategy partition
apps.StatefulSetSpec replicas revisionHistoryLimit
apps.StatefulSetStatus collisionCount
authentication.TokenRequestSpec expirationSeconds
autoscaling.HorizontalPodAutoscalerSpec minReplicas targetCPUUtilizationPercentage
autoscaling.HorizontalPodAutoscalerStatus currentCPUUtilizationPercentage observedGeneration
autoscaling.HPAScalingRules selectPolicy stabilizationWindowSeconds
autoscaling.MetricTarget averageUtilization
autoscaling.MetricValueStatus averageUtilization
batch.CronJobSpec failedJobsHistoryLimit startingDeadlineSeconds successfulJobsHistoryLimit suspend timeZone
batch.JobSpec activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions managedBy manualSelector maxFailedIndexes parallelism podReplacementPolicy suspend ttlSecondsAfterFinished
batch.JobStatus failedIndexes ready terminating
batch.PodFailurePolicyOnExitCodesRequirement containerName
batch.SuccessPolicyRule succeededCount succeededIndexes
certificates.CertificateSigningRequestSpec expirationSeconds
coordination.LeaseSpec holderIdentity leaseDurationSeconds leaseTransitions preferredHolder strategy
core.AppArmorProfile localhostProfile
core.AzureDiskVolumeSource cachingMode fsType readOnly
core.AzureFilePersistentVolumeSource secretNamespace
core.CSIVolumeSource fsType readOnly
core.ClientIPConfig timeoutSeconds
core.ClusterTrustBundleProjection name optional signerName
core.ConfigMap immutable
core.ConfigMapEnvSource optional
core.ConfigMapKeySelector optional
core.ConfigMapProjection optional
core.ConfigMapVolumeSource defaultMode optional
core.Container restartPolicy
core.ContainerStatus started stopSignal
core.DownwardAPIVolumeFile mode
core.DownwardAPIVolumeSource defaultMode
core.EndpointAddress nodeName
core.EndpointPort appProtocol
core.EphemeralContainer restartPolicy
core.EphemeralContainerCommon restartPolicy
core.FCVolumeSource lun
core.GRPCAction service
core.GlusterfsPersistentVolumeSource endpointsNamespace
core.HostPathVolumeSource type
core.ISCSIPersistentVolumeSource initiatorName
core.ISCSIVolumeSource initiatorName
core.KeyToPath mode
core.Lifecycle stopSignal
core.LoadBalancerIngress ipMode
core.LocalVolumeSource fsType
core.NodeFeatures supplementalGroupsPolicy
core.NodeRuntimeHandlerFeatures recursiveReadOnlyMounts userNamespaces
core.NodeSwapStatus capacity
core.PersistentVolumeClaimSpec storageClassName volumeAttributesClassName volumeMode
core.PersistentVolumeClaimStatus currentVolumeAttributesClassName
core.PersistentVolumeSpec volumeAttributesClassName volumeMode
core.PodDNSConfigOption value
core.PodResourceClaim resourceClaimName resourceClaimTemplateName
core.PodResourceClaimStatus resourceClaimName
core.PodSecurityContext fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser seLinuxChangePolicy supplementalGroupsPolicy
core.PodSpec activeDeadlineSeconds automountServiceAccountToken enableServiceLinks hostUsers preemptionPolicy priority runtimeClassName setHostnameAsFQDN shareProcessNamespace terminationGracePeriodSeconds
core.PortStatus error
core.Probe terminationGracePeriodSeconds
core.ProjectedVolumeSource defaultMode
core.ReplicationControllerSpec replicas
core.SeccompProfile localhostProfile
core.Secret immutable
core.SecretEnvSource optional
core.SecretKeySelector optional
core.SecretProjection optional
core.SecretVolumeSource defaultMode optional
core.SecurityContext allowPrivilegeEscalation privileged procMount readOnlyRootFilesystem runAsGroup runAsNonRoot runAsUser
core.ServiceAccount automountServiceAccountToken
core.ServiceAccountTokenProjection expirationSeconds
core.ServicePort appProtocol
core.ServiceSpec allocateLoadBalancerNodePorts internalTrafficPolicy ipFamilyPolicy loadBalancerClass trafficDistribution
core.Toleration tolerationSeconds
core.TopologySpreadConstraint minDomains nodeAffinityPolicy nodeTaintsPolicy
core.TypedLocalObjectReference apiGroup
core.TypedObjectReference apiGroup namespace
core.VolumeMount mountPropagation recursiveReadOnly
core.VolumeMountStatus recursiveReadOnly
core.WindowsSecurityContextOptions gmsaCredentialSpec gmsaCredentialSpecName hostProcess runAsUserName
discovery.Endpoint hostname nodeName zone
discovery.EndpointConditions ready serving terminating
discovery.EndpointPort appProtocol name port protocol
networking.IngressClassParametersReference apiGroup namespace scope
networking.HTTPIngressPath pathType
networking.IngressPortStatus error
networking.IngressSpec ingressClassName
networking.NetworkPolicyPort endPort protocol
policy.PodDisruptionBudgetSpec unhealthyPodEvictionPolicy
scheduling.PriorityClass preemptionPolicy
storage.CSIDriverSpec attachRequired fsGroupPolicy nodeAllocatableUpdatePeriodSeconds podInfoOnMount requiresRepublish seLinuxMount storageCapacity
storage.StorageClass allowVolumeExpansion reclaimPolicy volumeBindingMode
storage.TokenRequest expirationSeconds
storage.VolumeAttachmentSource persistentVolumeName
storage.VolumeError errorCode
storage.VolumeNodeResources count
apiextensions.CustomResourceDefinitionVersion deprecationWarning
apiextensions.CustomResourceSubresourceScale labelSelectorPath
apiextensions.JSONSchemaProps maxItems maxLength maxProperties maximum minItems minLength minProperties minimum multipleOf x-kubernetes-list-type x-kubernetes-map-type x-kubernetes-preserve-unknown-fields
apiextensions.ServiceReference path port
apiextensions.ValidationRule optionalOldSelf reason
apiextensions.WebhookClientConfig url
apiregistration.ServiceReference port
meta.DeleteOptions gracePeriodSeconds ignoreStoreReadErrorWithClusterBreakingPotential orphanDependents propagationPolicy
meta.ListMeta remainingItemCount
meta.ObjectMeta deletionGracePeriodSeconds
meta.OwnerReference blockOwnerDeletion controller
meta.PatchOptions force
meta.Preconditions resourceVersion uid
"""
META = "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1."
QUANTITIES = {
    "additionalProperties": {"$ref": "#/$defs/io.k8s.apimachinery.pkg.api.resource.Quantity"},
    "type": "object",
    "description": "How much of each resource was in use.",
}
NAME = "io.k8s.metrics.pkg.apis.metrics.v1beta1."


def metrics(kind, description, extra, required):
    """Returns a definition of metrics.k8s.io, whose types the package does not have."""
    return {
        "description": description,
        "properties": {
            "apiVersion": {"type": "string", "description": "The version of this object's form."},
            "kind": {"type": "string", "description": "The kind of this object."},
            **extra,
        },
        "required": required,
        "type": "object",
        "x-kubernetes-group-version-kind": [
            {"group": "metrics.k8s.io", "version": "v1beta1", "kind": kind}
        ],
    }


MEASURED = {
    "metadata": {"$ref": META + "ObjectMeta", "description": "Standard object's metadata."},
    "timestamp": {"$ref": META + "Time", "description": "When the measurement ended."},
    "window": {"type": "string", "description": "How long the measurement took.",
               "format": "duration"},
}


def listed(kind):
    return metrics(kind + "List", f"A list of {kind}.", {
        "metadata": {"$ref": META + "ListMeta", "description": "Standard list metadata."},
        "items": {"type": "array", "items": {"$ref": f"#/$defs/{NAME}{kind}"},
                  "description": "The measurements."},
    }, ["items"])


ADDED = {
    NAME + "ContainerMetrics": {
        "description": "What a container used.",
        "properties": {
            "name": {"type": "string", "description": "The container's name."},
            "usage": QUANTITIES,
        },
        "required": ["name", "usage"],
        "type": "object",
    },
    NAME + "NodeMetrics": metrics("NodeMetrics", "What a node used.",
                                  {**MEASURED, "usage": QUANTITIES},
                                  ["timestamp", "window", "usage"]),
    NAME + "NodeMetricsList": listed("NodeMetrics"),
    NAME + "PodMetrics": metrics("PodMetrics", "What the containers of a pod used.", {
        **MEASURED,
        "containers": {
            "type": "array",
            "items": {"$ref": f"#/$defs/{NAME}ContainerMetrics"},
            "description": "The containers' measurements.",
        },
    }, ["timestamp", "window", "containers"]),
    NAME + "PodMetricsList": listed("PodMetrics"),
}


def options(*names):
    """Returns a definition of request options, which are bodies only in protobuf."""
    types = {"dryRun": {"type": "array", "items": {"type": "string"}}, "force": {"type": "boolean"}}
    return {
        "description": "Options of a request.",
        "properties": {n: {"description": "", **types.get(n, {"type": "string"})} for n in names},
        "type": "object",
    }


META_NAME = "io.k8s.apimachinery.pkg.apis.meta.v1."
ADDED[META_NAME + "CreateOptions"] = options(
    "apiVersion", "kind", "dryRun", "fieldManager", "fieldValidation")
ADDED[META_NAME + "UpdateOptions"] = options(
    "apiVersion", "kind", "dryRun", "fieldManager", "fieldValidation")
ADDED[META_NAME + "PatchOptions"] = options(
    "apiVersion", "kind", "dryRun", "force", "fieldManager", "fieldValidation")


def read_definitions(source, version):
    suffix = f"kubernetes-json-schema/{version}.0-local/_definitions.json"
    if source.is_file():
        with zipfile.ZipFile(source) as wheel:
            name = next(n for n in wheel.namelist() if n.endswith(suffix))
            return json.loads(wheel.read(name))["$defs"]
    return json.loads(next(source.rglob(suffix)).read_text())["$defs"]


def plain(name):
    """Returns what is common to a JSON name and to its spelling in Rust."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_messages(folder):
    """Returns {package.Message: [(field, wire type, tag, type)]} of the crate k8s-pb."""
    messages = {}
    for path in sorted((folder / "src").rglob("mod.rs")):
        package = ".".join(path.relative_to(folder / "src").parts[:-1])
        package = package.replace("apiextensions_apiserver", "apiextensions-apiserver")
        package = package.replace("kube_aggregator", "kube-aggregator")
        text = re.sub(r"^\s*///.*\n", "", path.read_text(), flags=re.M)
        for name, body in re.findall(r"pub struct (\w+) \{\n(.*?)\n\}", text, flags=re.S):
            found = re.findall(
                r"#\[prost\((.*?), tag = \"(\d+)\"\)\]\s*pub ([\w#]+):\s*([^#]*?),\s*(?=#\[|\Z)",
                body, flags=re.S)
            messages[plain(package + "." + name)] = [
                (field.removeprefix("r#"), wire, int(tag), re.sub(r"\s", "", kind))
                for wire, tag, field, kind in found
            ]
    return messages


def type_text(schema):
    if "$ref" in schema:
        return "@" + schema["$ref"].removeprefix("#/$defs/").removeprefix(PREFIX)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(k for k in kind if k != "null")
    form = schema.get("format")
    if kind == "array":
        return "[" + type_text(schema["items"]) + "]"
    if kind == "object":
        more = schema.get("additionalProperties")
        return "{" + type_text(more) + "}" if more else "o"
    table = {
        ("string", None): "s", ("string", "byte"): "bytes", ("boolean", None): "b",
        ("string", "duration"): "duration",
        ("integer", None): "i", ("integer", "int32"): "i32", ("integer", "int64"): "i64",
        ("number", None): "f", ("number", "double"): "f64", (None, None): "any",
    }
    return table[(kind, form)]


WIRES = {
    "s": "string", "b": "bool", "i": "int32 int64", "i32": "int32", "i64": "int64",
    "f": "double", "f64": "double", "bytes": "bytes", "@": "message", "[": "repeated",
    "{": "btree_map", "o": "message", "any": "message", "duration": "message",
}


def pointers():
    """Returns {(group, type): fields}, read from the table above."""
    table = {}
    for line in POINTERS.strip().splitlines():
        name, *fields = line.split()
        table[tuple(name.split("."))] = set(fields)
    return table


def check_wire(where, text, wire):
    """Stops when the two sources do not mean the same field."""
    expected = WIRES.get(text) or WIRES[text[0]]
    if not any(word in wire for word in expected.split()):
        sys.exit(f"{where}: type {text} does not fit protobuf's {wire}")


def annotations(schema):
    words = []
    listed_as = schema.get("x-kubernetes-list-type")
    if listed_as == "map":
        words.append("list=map(" + ",".join(schema["x-kubernetes-list-map-keys"]) + ")")
    elif listed_as:
        words.append("list=" + listed_as)
    if "x-kubernetes-map-type" in schema:
        words.append("map=" + schema["x-kubernetes-map-type"])
    if "x-kubernetes-patch-strategy" in schema:
        words.append("strategy=" + schema["x-kubernetes-patch-strategy"])
    if "x-kubernetes-patch-merge-key" in schema:
        words.append("merge=" + schema["x-kubernetes-patch-merge-key"])
    return words


def message_tags(name, schema, messages, definitions):
    """Returns the protobuf numbers of a definition's fields, and its inlined messages."""
    fields = messages.get(plain(name))
    if fields is None:
        return {}, []
    properties = {plain(p): p for p in schema.get("properties", {})}
    tags, inlined = {}, []
    for field, wire, tag, kind in fields:
        own = properties.get(plain(field))
        if own is not None:
            # A list in a message of its own; only in APIResource, which nobody sends.
            if name.endswith(".APIResource") and own == "verbs":
                continue
            check_wire(f"{name}.{own}", type_text(schema["properties"][own]), wire)
            tags[own] = tag
            continue
        target = re.search(r"(\w+)[>,]*$", kind).group(1)
        package = name.rsplit(".", 1)[0]
        # Another version of the group is named by its module: super::v1::RuleWithOperations.
        if other := re.search(r"super::(v\d\w*)::\w+>*$", kind):
            package = package.rsplit(".", 1)[0] + "." + other.group(1)
        for candidate in definitions:
            short = candidate.removeprefix(PREFIX)
            if short.rsplit(".", 1)[0] == package and plain(short.rsplit(".", 1)[1]) == plain(target):
                inner = definitions[candidate].get("properties", {})
                if wire.startswith("message, optional") and inner and all(
                        p in schema.get("properties", {}) for p in inner):
                    inlined.append((short, tag))
        # JSON inlines some messages that are no definitions of their own (ProbeHandler).
        if wire.startswith("message, optional") and not any(t == tag for _, t in inlined):
            hidden = messages.get(plain(package + "." + target))
            known = [plain(f[0]) in properties for f in hidden or []]
            if all(known) and known or any(known) and plain(field) == plain(target):
                own_name = f"{package}.{target}"
                inlined.append((own_name, tag))
    return tags, inlined


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    version = sys.argv[3] if len(sys.argv) == 4 else "v1.33"
    definitions = {**read_definitions(Path(sys.argv[1]), version), **ADDED}
    messages = read_messages(Path(sys.argv[2]))
    lines = [
        f"# The types of the Kubernetes API {version}, written by scripts/kubernetes-schema.py.",
        "# (c) The Kubernetes Authors, Apache-2.0.",
    ]
    texts = []
    hidden = {}
    kept = pointers()
    used = set()
    for full in sorted(definitions):
        name = full.removeprefix(PREFIX)
        schema = definitions[full]
        if ".apiserverinternal." in name:
            continue
        head = ["=", name, FORMS.get(name, "object")] + annotations(schema)
        for gvk in schema.get("x-kubernetes-group-version-kind", []):
            # Every group repeats the options of requests; they are no kinds of the group.
            if name.endswith((".DeleteOptions", ".WatchEvent")) and gvk["group"]:
                continue
            head.append("gvk={group}/{version}/{kind}".format(**gvk))
        lines.append(" ".join(head))
        texts.append(schema.get("description", ""))
        if name in FORMS:
            continue
        tags, inlined = message_tags(name, schema, messages, definitions)
        required = schema.get("required", [])
        for field in sorted(schema.get("properties", {})):
            own = schema["properties"][field]
            words = [field + ("!" if field in required else ""), type_text(own)]
            if field in tags:
                words.append(f"#{tags[field]}")
            words += annotations(own)
            owner = tuple(name.split(".")[i] for i in (-3, -1))
            if field in kept.get(owner, ()):
                words.append("pointer")
                used.add((*owner, field))
            if (name, field) in DEFAULTS:
                words.append("default=" + DEFAULTS[(name, field)])
            lines.append(" ".join(words))
            texts.append(own.get("description", ""))
        for target, tag in inlined:
            lines.append(f"+ @{target} #{tag}")
            if PREFIX + target not in definitions:
                hidden[target] = {
                    p: q for p, q in schema["properties"].items()
                    if plain(p) in {plain(f[0]) for f in messages[plain(target)]}
                }
    for name, properties in sorted(hidden.items()):
        # A field that the messages know and this version does not is left out.
        tags = {plain(f[0]): f[2] for f in messages[plain(name)]}
        lines.append(f"= {name} inlined")
        texts.append("")
        for field in sorted(properties):
            owner = tuple(name.split(".")[i] for i in (-3, -1))
            pointer = " pointer" if field in kept.get(owner, ()) else ""
            used.add((*owner, field))
            lines.append(f"{field} {type_text(properties[field])} #{tags[plain(field)]}{pointer}")
            texts.append("")
    for (group, kind), fields in kept.items():
        for field in fields:
            # Other versions of the API may not have it, the one that is committed must.
            if version == "v1.33" and (group, kind, field) not in used:
                sys.exit(f"no such field: {group}.{kind}.{field}")
    folder = Path(__file__).resolve().parent.parent / "crates/loopline-schema/data"
    folder.mkdir(exist_ok=True)
    (folder / f"{version}.txt").write_text("\n".join(lines) + "\n")
    blob = "".join(t.replace("\\", "\\\\").replace("\n", "\\n") + "\n" for t in texts)
    with open(folder / f"{version}-descriptions.txt.gz", "wb") as file:
        with gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(blob.encode())


main()
