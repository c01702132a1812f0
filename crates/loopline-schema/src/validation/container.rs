//! Rules of containers: names, images, ports, environments, mounts, probes, hooks.

use loopline_units::selector::check_key;

use super::check::{At, Checker};
use super::names;
use super::pod::Pod;
use super::resources::{self, Use};
use super::security;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Checks the containers of a pod.
pub(super) fn regular(c: &mut Checker, containers: &At<'_>, pod: &Pod<'_>) {
    if containers.len() == 0 {
        c.required(containers, "");
        return;
    }
    let mut names: Vec<&str> = Vec::new();
    for container in containers.items() {
        common(c, &container, pod);
        unique(c, &container, &mut names);
        hooks(c, &container.get("lifecycle"), pod);
        probes(c, &container, pod);
        if container.get("restartPolicy").is_set() {
            c.forbidden(&container.get("restartPolicy"), "may not be set for non-init containers");
        }
    }
    let mut taken = Vec::new();
    for container in containers.items() {
        host_ports(c, &container, &mut taken);
    }
}

/// Checks the containers that run before, or beside, the others.
pub(super) fn initial(c: &mut Checker, containers: &At<'_>, pod: &Pod<'_>) {
    const ALONE: &str = "may not be set for init containers without restartPolicy=Always";
    let mut names: Vec<&str> =
        pod.spec.get("containers").items().map(|one| one.get("name").text()).collect();
    for container in containers.items() {
        common(c, &container, pod);
        let policy = container.get("restartPolicy");
        c.one_of(&policy, &["Always"]);
        unique(c, &container, &mut names);
        let mut taken = Vec::new();
        host_ports(c, &container, &mut taken);
        if policy.text() == "Always" {
            hooks(c, &container.get("lifecycle"), pod);
            probes(c, &container, pod);
        } else {
            for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if container.get(key).is_set() {
                    c.forbidden(&container.get(key), ALONE);
                }
            }
        }
    }
}

/// Checks the containers that are added to look at a running pod.
pub(super) fn ephemeral(c: &mut Checker, containers: &At<'_>, pod: &Pod<'_>) {
    const FORBIDDEN: &str = "cannot be set for an Ephemeral Container";
    let others: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|kind| {
            pod.spec.get(kind).items().map(|one| one.get("name").text()).collect::<Vec<_>>()
        })
        .collect();
    let mut names = others.clone();
    for container in containers.items() {
        common(c, &container, pod);
        image_spaces(c, &container);
        unique(c, &container, &mut names);
        let target = container.get("targetContainerName");
        if !target.text().is_empty() && !others.contains(&target.text()) {
            c.not_found(&target, "");
        }
        let fields =
            ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources"];
        for key in fields {
            let field = container.get(key);
            if field.is_set() && (key != "ports" && key != "resources" || field.len() > 0) {
                c.forbidden(&field, FORBIDDEN);
            }
        }
        for mount in container.get("volumeMounts").items() {
            for key in ["subPath", "subPathExpr"] {
                if !mount.get(key).text().is_empty() {
                    c.forbidden(&mount.get(key), FORBIDDEN);
                }
            }
        }
    }
}

fn unique<'a>(c: &mut Checker, container: &At<'a>, names: &mut Vec<&'a str>) {
    let name = container.get("name");
    if names.contains(&name.text()) && !name.text().is_empty() {
        c.duplicate(&name);
    } else {
        names.push(name.text());
    }
}

/// Checks that an image has no spaces around it; templates may.
pub(super) fn image_spaces(c: &mut Checker, container: &At<'_>) {
    let image = container.get("image");
    if image.text().trim() != image.text() {
        c.invalid(&image, "must not have leading or trailing whitespace");
    }
}

fn common(c: &mut Checker, container: &At<'_>, pod: &Pod<'_>) {
    let name = container.get("name");
    if name.text().is_empty() {
        c.required(&name, "");
    } else {
        c.problems(&name, names::dns_label(name.text()));
    }
    c.required_text(&container.get("image"));
    let policy = container.get("terminationMessagePolicy");
    c.required_one_of(&policy, &["File", "FallbackToLogsOnError"]);
    ports(c, &container.get("ports"));
    environment(c, &container.get("env"));
    sources(c, &container.get("envFrom"));
    mounts(c, container, pod);
    devices(c, container, pod);
    let pull = container.get("imagePullPolicy");
    c.required_one_of(&pull, &["Always", "IfNotPresent", "Never"]);
    resources::requirements(c, &container.get("resources"), Use::Container, &pod.claims);
    resizes(c, &container.get("resizePolicy"), pod);
    security::container(c, &container.get("securityContext"), pod);
}

fn ports(c: &mut Checker, ports: &At<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for port in ports.items() {
        let name = port.get("name");
        if !name.text().is_empty() {
            let problems = names::port_name(name.text());
            if !problems.is_empty() {
                c.problems(&name, problems);
            } else if seen.contains(&name.text()) {
                c.duplicate(&name);
            } else {
                seen.push(name.text());
            }
        }
        let number = port.get("containerPort");
        if number.number() == 0 {
            c.required(&number, "");
        } else {
            c.problems(&number, names::port_number(number.number()));
        }
        let host = port.get("hostPort");
        if host.number() != 0 {
            c.problems(&host, names::port_number(host.number()));
        }
        c.required_one_of(&port.get("protocol"), &PROTOCOLS);
    }
}

fn host_ports(c: &mut Checker, container: &At<'_>, taken: &mut Vec<String>) {
    for port in container.get("ports").items() {
        let host = port.get("hostPort");
        if host.number() == 0 {
            continue;
        }
        let protocol = port.get("protocol");
        let place = format!("{}/{}/{}", protocol.text(), port.get("hostIP").text(), host.number());
        if taken.contains(&place) {
            c.duplicate_as(&host, place, "");
        } else {
            taken.push(place);
        }
    }
}

fn environment(c: &mut Checker, variables: &At<'_>) {
    const ONE: &str =
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
    for variable in variables.items() {
        let name = variable.get("name");
        if name.text().is_empty() {
            c.required(&name, "");
        } else {
            c.problems(&name, names::variable(name.text()));
        }
        let from = variable.get("valueFrom");
        if !from.is_set() {
            continue;
        }
        let mut sources = 0;
        if from.get("fieldRef").is_set() {
            sources += 1;
            field_reference(c, &from.get("fieldRef"), &ENVIRONMENT_FIELDS);
        }
        if from.get("resourceFieldRef").is_set() {
            sources += 1;
            resource_reference(c, &from.get("resourceFieldRef"), false);
        }
        for key in ["configMapKeyRef", "secretKeyRef"] {
            let reference = from.get(key);
            if reference.is_set() {
                sources += 1;
                let name = reference.get("name").or_empty();
                c.problems(&name, names::subdomain(name.text(), false));
                let key = reference.get("key");
                if key.text().is_empty() {
                    c.required(&key, "");
                } else {
                    c.problems(&key, names::config_key(key.text()));
                }
            }
        }
        if sources == 0 {
            c.invalid_as(&from, "", ONE);
        } else if !variable.get("value").text().is_empty() {
            c.invalid_as(&from, "", "may not be specified when `value` is not empty");
        } else if sources > 1 {
            c.invalid_as(&from, "", "may not have more than one field specified at a time");
        }
    }
}

const ENVIRONMENT_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// The fields of a pod that a volume may have files of.
pub(super) const VOLUME_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

/// Checks a reference to a field of the pod.
pub(super) fn field_reference(c: &mut Checker, at: &At<'_>, supported: &[&str]) {
    const KNOWN: [&str; 13] = [
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "spec.schedulerName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let (version, path) = (at.get("apiVersion"), at.get("fieldPath"));
    if version.text().is_empty() {
        c.required(&version, "");
        return;
    }
    if path.text().is_empty() {
        c.required(&path, "");
        return;
    }
    if version.text() != "v1" {
        let detail =
            format!("error converting fieldPath: unsupported pod version: {}", version.text());
        c.invalid(&path, detail);
        return;
    }
    let subscript = path
        .text()
        .split_once("['")
        .and_then(|(field, rest)| rest.strip_suffix("']").map(|key| (field, key)));
    match subscript {
        Some(("metadata.annotations", key)) => {
            for problem in check_key(&key.to_lowercase()) {
                c.invalid_as(at, key.to_lowercase(), problem);
            }
        }
        Some(("metadata.labels", key)) => {
            for problem in check_key(key) {
                c.invalid_as(at, key, problem);
            }
        }
        Some((field, _)) => {
            let detail = format!(
                "error converting fieldPath: field label does not support subscript: {}",
                path.text()
            );
            if KNOWN.contains(&field) {
                c.invalid(&path, detail);
            } else {
                c.invalid(
                    &path,
                    format!("error converting fieldPath: field label not supported: {field}"),
                );
            }
        }
        None if !KNOWN.contains(&path.text()) && path.text() != "status.phase" => {
            let detail =
                format!("error converting fieldPath: field label not supported: {}", path.text());
            c.invalid(&path, detail);
        }
        None if !supported.contains(&path.text()) => c.unsupported(&path, supported),
        None => {}
    }
}

/// Checks a reference to a resource of a container.
pub(super) fn resource_reference(c: &mut Checker, at: &At<'_>, in_volume: bool) {
    const KNOWN: [&str; 6] = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let (container, resource) = (at.get("containerName"), at.get("resource"));
    let name = resource.text();
    let huge = name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
    if in_volume && container.text().is_empty() {
        c.required(&container, "");
    } else if name.is_empty() {
        c.required(&resource, "");
    } else if !KNOWN.contains(&name) && !huge {
        c.unsupported(&resource, &KNOWN);
    }
    let divisor = at.get("divisor");
    let Some(found) = divisor.quantity().filter(|quantity| quantity.sign() != 0) else { return };
    let shown = found.to_string();
    let powers =
        ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let kind = match name.split_once('.').map_or("", |(_, rest)| rest) {
        "cpu" => {
            if shown != "1" && shown != "1m" {
                let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
                c.invalid_as(&divisor, name, detail);
            }
            return;
        }
        "memory" => "memory",
        "ephemeral-storage" => "local ephemeral storage",
        _ if huge => "hugepages",
        _ => return,
    };
    if !powers.contains(&shown.as_str()) {
        let detail = format!(
            "only divisor's values {} are supported with the {kind} resource",
            powers.join(", ")
        );
        c.invalid_as(&divisor, name, detail);
    }
}

fn sources(c: &mut Checker, sources: &At<'_>) {
    for source in sources.items() {
        let prefix = source.get("prefix");
        if !prefix.text().is_empty() {
            c.problems(&prefix, names::variable(prefix.text()));
        }
        let mut count = 0;
        for key in ["configMapRef", "secretRef"] {
            let reference = source.get(key);
            if !reference.is_set() {
                continue;
            }
            count += 1;
            let name = reference.get("name");
            if name.text().is_empty() {
                c.required(&name, "");
            } else {
                c.problems(&name, names::subdomain(name.text(), true));
            }
        }
        if count == 0 {
            c.invalid_as(sources, "", "must specify one of: `configMapRef` or `secretRef`");
        } else if count > 1 {
            c.invalid_as(sources, "", "may not have more than one field specified at a time");
        }
    }
}

fn mounts(c: &mut Checker, container: &At<'_>, pod: &Pod<'_>) {
    let mounts = container.get("volumeMounts");
    let devices: Vec<(&str, &str)> = container
        .get("volumeDevices")
        .items()
        .map(|one| (one.get("name").text(), one.get("devicePath").text()))
        .collect();
    let mut taken: Vec<&str> = Vec::new();
    for mount in mounts.items() {
        let (name, path) = (mount.get("name").or_empty(), mount.get("mountPath").or_empty());
        if name.text().is_empty() {
            c.required(&name, "");
        }
        let volume = pod.volumes.iter().find(|(found, _)| *found == name.text());
        if volume.is_none() {
            c.not_found(&name, "");
        }
        if path.text().is_empty() {
            c.required(&path, "");
        }
        if taken.contains(&path.text()) {
            c.invalid(&path, "must be unique");
        }
        taken.push(mount.value["mountPath"].as_str().unwrap_or_default());
        if devices.iter().any(|(device, _)| *device == name.text()) {
            c.invalid(&name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|(_, device)| *device == path.text()) {
            c.invalid(&path, "must not already exist as a path in volumeDevices");
        }
        let (sub, expression) = (mount.get("subPath"), mount.get("subPathExpr"));
        if volume.is_some_and(|(_, source)| source.get("image").is_set()) {
            for one in [&sub, &expression] {
                if !one.text().is_empty() {
                    c.invalid(one, "not allowed in image volume sources");
                }
            }
        }
        // These are reported at the list and not at the mount, as Kubernetes does.
        let at_list = |one: &At<'_>, key: &str| format!("{}.{key}", one.path);
        if !sub.text().is_empty() {
            let shown = sub.shown_at(at_list(&mounts, "subPath"));
            c.problems(&shown, names::descending_path(sub.text()));
        }
        if !expression.text().is_empty() {
            if !sub.text().is_empty() {
                c.invalid(&expression, "subPathExpr and subPath are mutually exclusive");
            }
            let shown = expression.shown_at(at_list(&mounts, "subPathExpr"));
            c.problems(&shown, names::descending_path(expression.text()));
        }
        let propagation = mount.get("mountPropagation");
        if propagation.is_set() {
            let shown = propagation.shown_at(at_list(&mounts, "mountPropagation"));
            c.one_of(&shown, &["Bidirectional", "HostToContainer", "None"]);
            let privileged = container.get("securityContext.privileged").is_true();
            if propagation.text() == "Bidirectional" && !privileged {
                c.forbidden(
                    &shown,
                    "Bidirectional mount propagation is available only to privileged containers",
                );
            }
        }
        let recursive = mount.get("recursiveReadOnly");
        if recursive.is_set() {
            let shown = recursive.shown_at(at_list(&mounts, "recursiveReadOnly"));
            c.one_of(&shown, &["Disabled", "Enabled", "IfPossible"]);
            if matches!(recursive.text(), "Enabled" | "IfPossible") {
                if !mount.get("readOnly").is_true() {
                    c.forbidden(&shown, "may only be specified when readOnly is true");
                }
                if propagation.is_set() && propagation.text() != "None" {
                    let detail =
                        "may only be specified when mountPropagation is None or not specified";
                    c.forbidden(&shown, detail);
                }
            }
        }
    }
}

fn devices(c: &mut Checker, container: &At<'_>, pod: &Pod<'_>) {
    let mounts: Vec<(&str, &str)> = container
        .get("volumeMounts")
        .items()
        .map(|one| (one.get("name").text(), one.get("mountPath").text()))
        .collect();
    let (mut names, mut paths): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for device in container.get("volumeDevices").items() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        let volume = pod.volumes.iter().find(|(found, _)| *found == name.text());
        if name.text().is_empty() {
            c.required(&name, "");
        }
        if names.contains(&name.text()) {
            c.invalid(&name, "must be unique");
        }
        match volume {
            None => c.not_found(&name.or_empty(), ""),
            Some((_, source))
                if !source.get("persistentVolumeClaim").is_set()
                    && !source.get("ephemeral").is_set() =>
            {
                c.invalid(&name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
            }
            Some(_) => {}
        }
        if path.text().is_empty() {
            c.required(&path, "");
        }
        if paths.contains(&path.text()) {
            c.invalid(&path, "must be unique");
        }
        if names::no_backsteps(path.text()).is_empty() {
            paths.push(path.text());
        } else {
            c.invalid(&path, "can not contain backsteps ('..')");
        }
        if mounts.iter().any(|(mount, _)| *mount == name.text()) {
            c.invalid(&name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|(_, mount)| *mount == path.text()) {
            c.invalid(&path, "must not already exist as a path in volumeMounts");
        }
        names.push(name.text());
    }
}

fn resizes(c: &mut Checker, policies: &At<'_>, pod: &Pod<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for policy in policies.items() {
        let (resource, restart) = (policy.get("resourceName"), policy.get("restartPolicy"));
        if seen.contains(&resource.text()) {
            c.duplicate_as(&policy, resource.text(), "");
        }
        seen.push(resource.text());
        c.required_one_of(&resource.shown_at(policies.path.clone()), &["cpu", "memory"]);
        let shown = restart.shown_at(policies.path.clone());
        c.required_one_of(&shown, &["NotRequired", "RestartContainer"]);
        if pod.spec.get("restartPolicy").text() == "Never" && restart.text() != "NotRequired" {
            c.invalid(&shown, "must be 'NotRequired' when `restartPolicy` is 'Never'");
        }
    }
}

fn probes(c: &mut Checker, container: &At<'_>, pod: &Pod<'_>) {
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.get(kind);
        if !probe.is_set() {
            continue;
        }
        handler(c, &probe, pod, &["exec", "httpGet", "tcpSocket", "grpc"]);
        for key in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ] {
            c.not_negative(&probe.get(key));
        }
        let grace = probe.get("terminationGracePeriodSeconds");
        if grace.is_set() && grace.number() <= 0 {
            c.invalid(&grace, "must be greater than 0");
        }
        if kind == "readinessProbe" {
            if grace.is_set() {
                c.invalid(&grace, "must not be set for readinessProbes");
            }
        } else if probe.get("successThreshold").number() != 1 {
            c.invalid(&probe.get("successThreshold"), "must be 1");
        }
    }
}

fn hooks(c: &mut Checker, lifecycle: &At<'_>, pod: &Pod<'_>) {
    for key in ["postStart", "preStop"] {
        let hook = lifecycle.get(key);
        if hook.is_set() {
            handler(c, &hook, pod, &["exec", "httpGet", "tcpSocket", "sleep"]);
        }
    }
}

fn handler(c: &mut Checker, at: &At<'_>, pod: &Pod<'_>, kinds: &[&str]) {
    let mut count = 0;
    for kind in kinds {
        let action = at.get(kind);
        if !action.is_set() {
            continue;
        }
        count += 1;
        if count > 1 {
            c.forbidden(&action, "may not specify more than 1 handler type");
            continue;
        }
        match *kind {
            "exec" => {
                if action.get("command").len() == 0 {
                    c.required(&action.get("command"), "");
                }
            }
            "httpGet" => {
                c.required_text(&action.get("path"));
                port(c, &action.get("port"));
                let scheme = action.get("scheme").or_empty();
                c.one_of(&scheme, &["HTTP", "HTTPS"]);
                let headers = action.get("httpHeaders");
                for header in headers.items() {
                    let name = header.get("name").or_empty().shown_at(headers.path.clone());
                    c.problems(&name, names::header(name.text()));
                }
            }
            "sleep" => {
                let seconds = action.value["seconds"].as_i64().unwrap_or(0);
                if let Some(grace) = pod.spec.get("terminationGracePeriodSeconds").value.as_i64()
                    && !(0..=grace).contains(&seconds)
                {
                    let detail = format!(
                        "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                    );
                    c.invalid_as(&action, seconds, detail);
                }
            }
            _ => port(c, &action.get("port")),
        }
    }
    if count == 0 {
        c.required(at, "must specify a handler type");
    }
}

/// Checks a port that is a number or a name.
pub(super) fn port(c: &mut Checker, at: &At<'_>) {
    match at.value.as_str() {
        Some(name) => c.problems(at, names::port_name(name)),
        None => {
            let number = at.number();
            for problem in names::port_number(number) {
                c.invalid_as(at, number, problem);
            }
        }
    }
}
