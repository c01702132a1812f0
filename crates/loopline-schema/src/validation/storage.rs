//! Rules of persistent volumes, claims and classes.

use loopline_units::quantity::Quantity;
use serde_json::Value;

use super::check::{At, Checker, equal};
use super::pod::changed;
use super::{meta, names, resources, scheduling, volume};

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

fn access_modes(c: &mut Checker, modes: &At<'_>) {
    for mode in modes.items() {
        if !MODES.contains(&mode.text()) {
            c.unsupported(&mode.shown_at(modes.path.clone()), &MODES);
        }
    }
    let alone = modes.items().any(|mode| mode.text() == "ReadWriteOncePod");
    if alone && modes.items().any(|mode| MODES[..3].contains(&mode.text())) {
        c.forbidden(modes, "may not use ReadWriteOncePod with other access modes");
    }
}

fn class(c: &mut Checker, at: &At<'_>) {
    if !at.text().is_empty() {
        c.problems(at, names::subdomain(at.text(), false));
    }
}

/// Checks the specification of a claim.
pub(super) fn claim_spec(c: &mut Checker, spec: &At<'_>) {
    let modes = spec.get("accessModes");
    if modes.len() == 0 {
        c.required(&modes, "at least 1 access mode is required");
    }
    meta::selector(c, &spec.get("selector"));
    access_modes(c, &modes);
    let request = spec.get("resources.requests").key("storage");
    let request = request.shown_at(format!("{}.resources[storage]", spec.path));
    if request.is_set() {
        match request.quantity() {
            Some(size) if size.sign() <= 0 => {
                c.invalid_as(&request, size.to_string(), "must be greater than zero");
            }
            _ => {
                resources::quantity(c, &request, "storage");
            }
        }
    } else {
        c.required(&request, "");
    }
    class(c, &spec.get("storageClassName"));
    c.one_of(&spec.get("volumeMode"), &["Block", "Filesystem"]);
    for key in ["dataSource", "dataSourceRef"] {
        let source = spec.get(key);
        if !source.is_set() {
            continue;
        }
        c.required_text(&source.get("name"));
        c.required_text(&source.get("kind"));
        let group = source.get("apiGroup");
        if group.text().is_empty() {
            let kind = source.get("kind").text();
            if kind != "PersistentVolumeClaim" {
                let detail =
                    "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
                c.invalid_as(&source, kind, detail);
            }
        } else {
            c.problems(&group, names::subdomain(group.text(), false));
        }
    }
}

/// Checks a claim that is made.
pub(super) fn claim(c: &mut Checker, at: &At<'_>) {
    meta::create(c, &at.get("metadata"), names::subdomain);
    claim_spec(c, &at.get("spec"));
}

/// Checks a claim that is changed.
pub(super) fn claim_update(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    claim_spec(c, &new.get("spec"));
    let (spec, before) = (new.get("spec"), old.get("spec"));
    let bound = new.get("status.phase").text() == "Bound";
    let mut munged = spec.value.clone();
    if let Some(fields) = munged.as_object_mut() {
        let mut keep = |key: &str| {
            fields.insert(key.to_owned(), before.value[key].clone());
        };
        if before.get("volumeName").text().is_empty() {
            keep("volumeName");
        }
        let annotated = old.get("metadata.annotations").key(CLASS);
        let named = spec.get("storageClassName");
        if !before.get("storageClassName").is_set()
            && named.is_set()
            && (!annotated.is_set() || annotated.text() == named.text())
        {
            keep("storageClassName");
        }
        if bound {
            if spec.get("volumeAttributesClassName").is_set() {
                keep("volumeAttributesClassName");
            }
            if fields.get("resources").is_some_and(|one| one["requests"].is_object()) {
                fields["resources"]["requests"]["storage"] =
                    before.value["resources"]["requests"]["storage"].clone();
            }
        }
    }
    if !equal(&munged, before.value) {
        c.forbidden(&spec, format!("spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{}", changed(&munged, before.value)));
    }
    let size = |at: &At<'_>| at.get("resources.requests").key("storage").quantity();
    let status = new.get("status.capacity").key("storage").quantity().unwrap_or(Quantity::ZERO);
    if let (Some(now), Some(then)) = (size(&spec), size(&before))
        && now < then
        && now <= status
    {
        let at = spec.get("resources.requests.storage");
        c.forbidden(&at, "field can not be less than status.capacity");
    }
    // Kubernetes reports this one without `spec`.
    let mode = spec.get("volumeMode").shown_at("volumeMode".to_owned());
    c.immutable(&mode, &before.get("volumeMode"));
}

/// Checks a persistent volume.
pub(super) fn volume(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    match old {
        None => meta::create(c, &at.get("metadata"), names::subdomain),
        Some(old) => meta::update(c, &at.get("metadata"), &old.get("metadata")),
    }
    let spec = at.get("spec");
    let (modes, capacity) = (spec.get("accessModes"), spec.get("capacity"));
    if modes.len() == 0 {
        c.required(&modes, "");
    }
    access_modes(c, &modes);
    if capacity.len() == 0 {
        c.required(&capacity, "");
    }
    if !capacity.key("storage").is_set() || capacity.len() > 1 {
        c.unsupported(&capacity, &["storage"]);
    }
    for (resource, entry) in capacity.entries() {
        match entry.quantity() {
            Some(size) if size.sign() <= 0 => {
                c.invalid_as(&entry, size.to_string(), "must be greater than zero");
            }
            _ => {
                resources::quantity(c, &entry, resource);
            }
        }
    }
    c.one_of(&spec.get("persistentVolumeReclaimPolicy"), &["Delete", "Recycle", "Retain"]);
    let affinity = spec.get("nodeAffinity");
    if affinity.is_set() {
        let required = affinity.get("required");
        if required.is_set() {
            scheduling::node_selector(c, &required);
        } else {
            c.required(&required, "must specify required node constraints");
        }
    }
    volume_source(c, &spec);
    class(c, &spec.get("storageClassName"));
    c.one_of(&spec.get("volumeMode"), &["Block", "Filesystem"]);
    let Some(old) = old else { return };
    let before = old.get("spec");
    let source = |at: &At<'_>| -> Value {
        let kinds = volume::SOURCES.iter().chain(&["local"]);
        kinds.map(|kind| at.value[*kind].clone()).collect()
    };
    if source(&spec) != source(&before) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        let parts: Vec<_> = volume::SOURCES
            .iter()
            .chain(&["local"])
            .filter(|kind| !equal(&spec.value[**kind], &before.value[**kind]))
            .map(|kind| {
                format!("- {kind}: {}\n+ {kind}: {}\n", before.value[*kind], spec.value[*kind])
            })
            .collect();
        if !parts.is_empty() {
            let shown = spec.shown_at("spec.persistentvolumesource".to_owned());
            c.forbidden(&shown, format!("{detail}\n{}", parts.concat()));
        }
    }
    let mode = spec.get("volumeMode").shown_at("volumeMode".to_owned());
    c.immutable(&mode, &before.get("volumeMode"));
    if before.get("nodeAffinity").is_set() {
        let affinity = affinity.shown_at("nodeAffinity".to_owned());
        c.immutable(&affinity, &before.get("nodeAffinity"));
    }
}

fn volume_source(c: &mut Checker, spec: &At<'_>) {
    let mut count = 0;
    for kind in volume::SOURCES.iter().chain(&["local"]) {
        let source = spec.get(kind);
        let known = !matches!(
            *kind,
            "emptyDir"
                | "gitRepo"
                | "secret"
                | "configMap"
                | "persistentVolumeClaim"
                | "downwardAPI"
                | "projected"
                | "ephemeral"
                | "image"
        );
        if !known || !source.is_set() {
            continue;
        }
        count += 1;
        if count > 1 {
            c.forbidden(&source, "may not specify more than 1 volume type");
        } else if *kind == "csi" {
            resources::driver(c, &source.get("driver"));
            c.required_text(&source.get("volumeHandle"));
        } else {
            volume::shared(c, &source, kind);
        }
        if *kind == "local" && !spec.get("nodeAffinity").is_set() {
            let at = spec.shown_at("metadata.annotations".to_owned());
            c.required(&at, "Local volume requires node affinity");
        }
    }
    if count == 0 {
        c.required(spec, "must specify a volume type");
    }
    let path = spec.get("hostPath.path");
    if path.text() == "/" && spec.get("persistentVolumeReclaimPolicy").text() == "Recycle" {
        let at = spec.get("persistentVolumeReclaimPolicy");
        c.forbidden(&at, "may not be 'recycle' for a hostPath mount of '/'");
    }
}

/// Checks a class of storage.
pub(super) fn storage_class(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    const PARAMETERS: usize = 512;
    const PARAMETER_BYTES: usize = 256 * 1024;
    match old {
        None => meta::create(c, &at.get("metadata"), names::subdomain),
        Some(old) => {
            meta::update(c, &at.get("metadata"), &old.get("metadata"));
            if !equal(&at.value["parameters"], &old.value["parameters"]) {
                c.forbidden(&at.get("parameters"), "updates to parameters are forbidden.");
            }
            if at.get("provisioner").text() != old.get("provisioner").text() {
                c.forbidden(&at.get("provisioner"), "updates to provisioner are forbidden.");
            }
            if at.get("reclaimPolicy").text() != old.get("reclaimPolicy").text() {
                c.forbidden(&at.get("reclaimPolicy"), "updates to reclaimPolicy are forbidden.");
            }
            c.immutable(&at.get("volumeBindingMode"), &old.get("volumeBindingMode"));
            return;
        }
    }
    let provisioner = at.get("provisioner");
    if provisioner.text().is_empty() {
        c.required(&provisioner, "");
    } else {
        for problem in loopline_units::selector::check_key(&provisioner.text().to_lowercase()) {
            c.invalid(&provisioner, problem);
        }
    }
    let parameters = at.get("parameters");
    if parameters.len() > PARAMETERS {
        let shown = parameters.shown_at("parameters".to_owned());
        c.too_long(&shown, PARAMETERS);
    }
    let mut size = 0;
    for (key, value) in parameters.entries() {
        if key.is_empty() {
            c.invalid_as(&parameters, key, "field can not be empty.");
        }
        size += key.len() + value.text().len();
    }
    if size > PARAMETER_BYTES {
        c.too_long(&parameters, PARAMETER_BYTES);
    }
    c.one_of(&at.get("reclaimPolicy"), &["Delete", "Retain"]);
    let mode = at.get("volumeBindingMode");
    c.required_one_of(&mode, &["Immediate", "WaitForFirstConsumer"]);
    for term in at.get("allowedTopologies").items() {
        let expressions = term.get("matchLabelExpressions");
        let mut seen: Vec<&str> = Vec::new();
        for expression in expressions.items() {
            if expression.get("values").len() == 0 {
                c.required(&expression.get("values"), "");
            }
            let key = expression.get("key");
            meta::label_name(c, &key.or_empty());
            if seen.contains(&key.text()) {
                c.duplicate(&key);
            }
            seen.push(key.text());
        }
    }
}

/// Checks a driver, an attachment or another kind of this group.
pub(super) fn other(c: &mut Checker, kind: &str, at: &At<'_>, old: Option<&At<'_>>) {
    match old {
        None => meta::create(c, &at.get("metadata"), names::subdomain),
        Some(old) => meta::update(c, &at.get("metadata"), &old.get("metadata")),
    }
    let spec = at.get("spec");
    match kind {
        "CSIDriver" => {
            let name = at.get("metadata.name");
            if name.text().len() > 63 {
                c.too_long(&name, 63);
            }
            for key in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
                if !spec.get(key).is_set() {
                    c.required(&spec.get(key), "");
                }
            }
            let modes = spec.get("volumeLifecycleModes");
            for mode in modes.items() {
                let shown = mode.shown_at(modes.path.clone());
                c.one_of(&shown, &["Ephemeral", "Persistent"]);
            }
            let policies = ["File", "None", "ReadWriteOnceWithFSType"];
            c.one_of(&spec.get("fsGroupPolicy"), &policies);
            if let Some(old) = old {
                for key in ["attachRequired", "fsGroupPolicy", "podInfoOnMount"] {
                    if key == "attachRequired" {
                        c.immutable(&spec.get(key), &old.get("spec").get(key));
                    }
                }
            }
        }
        "VolumeAttachment" => {
            let attacher = spec.get("attacher");
            if attacher.text().is_empty() {
                c.required(&attacher, "");
            }
            c.required_text(&spec.get("nodeName"));
            let source = spec.get("source");
            let (inline, named) =
                (source.get("inlineVolumeSpec"), source.get("persistentVolumeName"));
            match (inline.is_set(), named.is_set()) {
                (false, false) => c.required(
                    &source,
                    "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
                ),
                (true, true) => c.forbidden(
                    &source,
                    "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
                ),
                _ => {}
            }
            if let Some(old) = old {
                c.immutable(&spec, &old.get("spec"));
            }
        }
        _ => {}
    }
}
