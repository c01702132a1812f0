//! Rules of the volumes of pods, and of the sources they share with persistent volumes.

use super::check::{At, Checker};
use super::container::{VOLUME_FIELDS, field_reference, resource_reference};
use super::{meta, names, resources, storage};

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const MANY: &str = "may not specify more than 1 volume type";

/// The kinds of sources, in the order they are looked for.
pub(super) const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Checks volumes; returns the sound ones by name.
pub(super) fn volumes<'a>(
    c: &mut Checker,
    volumes: &At<'a>,
    pod: Option<&str>,
) -> Vec<(&'a str, At<'a>)> {
    let pod = pod.filter(|name| !name.is_empty());
    let mut sound: Vec<(&str, At<'_>)> = Vec::new();
    for volume in volumes.items() {
        let before = c.found.len();
        source(c, &volume, pod);
        let name = volume.get("name");
        if name.text().is_empty() {
            c.required(&name, "");
        } else {
            c.problems(&name, names::dns_label(name.text()));
        }
        if sound.iter().any(|(found, _)| *found == name.text()) {
            c.duplicate(&name);
        }
        if c.found.len() == before {
            sound.push((name.text(), volume.clone()));
        }
        let claim = volume.get("persistentVolumeClaim.claimName");
        let created = pod.is_some_and(|pod| {
            volumes.items().any(|one| {
                one.get("ephemeral").is_set()
                    && format!("{pod}-{}", one.get("name").text()) == claim.text()
            })
        });
        if created {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            c.invalid(&claim, detail);
        }
    }
    sound
}

fn source(c: &mut Checker, volume: &At<'_>, pod: Option<&str>) {
    let mut count = 0;
    for kind in SOURCES {
        let source = volume.get(kind);
        if !source.is_set() {
            continue;
        }
        count += 1;
        if count > 1 {
            c.forbidden(&source, MANY);
            continue;
        }
        match kind {
            "emptyDir" => {
                let limit = source.get("sizeLimit");
                if limit.is_set() && limit.quantity().is_none_or(|size| size.sign() < 0) {
                    c.forbidden(&limit, "SizeLimit field must be a valid resource quantity");
                }
            }
            "secret" => files(c, &source, "secretName"),
            "configMap" => files(c, &source, "name"),
            "downwardAPI" => {
                mode(c, &source.get("defaultMode"));
                for file in source.get("items").items() {
                    downward(c, &file, &source);
                }
            }
            "persistentVolumeClaim" => c.required_text(&source.get("claimName")),
            "projected" => projected(c, &source),
            "csi" => {
                resources::driver(c, &source.get("driver"));
                let secret = source.get("nodePublishSecretRef");
                if secret.is_set() {
                    c.required_text(&secret.get("name"));
                }
            }
            "ephemeral" => ephemeral(c, volume, &source, pod),
            "image" => {
                c.required_text(&source.get("reference"));
                c.one_of(&source.get("pullPolicy"), &["Always", "IfNotPresent", "Never"]);
            }
            _ => shared(c, &source, kind),
        }
    }
    if count == 0 {
        c.required(volume, "must specify a volume type");
    }
}

/// Checks a source that pods and persistent volumes have in common.
pub(super) fn shared(c: &mut Checker, source: &At<'_>, kind: &str) {
    let required: &[&str] = match kind {
        "hostPath" => {
            let (path, kind) = (source.get("path"), source.get("type"));
            if path.text().is_empty() {
                c.required(&path, "");
                return;
            }
            c.problems(&path, names::no_backsteps(path.text()));
            let kinds = [
                "",
                "BlockDevice",
                "CharDevice",
                "Directory",
                "DirectoryOrCreate",
                "File",
                "FileOrCreate",
                "Socket",
            ];
            c.one_of(&kind, &kinds);
            return;
        }
        "nfs" => {
            c.required_text(&source.get("server"));
            let path = source.get("path").or_empty();
            c.required_text(&path);
            if !path.text().starts_with('/') {
                c.invalid(&path, "must be an absolute path");
            }
            return;
        }
        "gitRepo" => {
            c.required_text(&source.get("repository"));
            let folder = source.get("directory");
            c.problems(&folder, names::descending_path(folder.text()));
            return;
        }
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            let name = if kind == "gcePersistentDisk" { "pdName" } else { "volumeID" };
            c.required_text(&source.get(name));
            let partition = source.get("partition");
            if !(0..=255).contains(&partition.number()) {
                c.invalid(&partition, names::between(1, 255));
            }
            return;
        }
        "iscsi" => {
            for key in ["targetPortal", "iqn"] {
                c.required_text(&source.get(key));
            }
            let lun = source.get("lun");
            if !(0..=255).contains(&lun.number()) {
                c.invalid(&lun, names::between(0, 255));
            }
            let chap = ["chapAuthDiscovery", "chapAuthSession"];
            if chap.iter().any(|key| source.get(key).is_true()) && !source.get("secretRef").is_set()
            {
                c.required(&source.get("secretRef"), "");
            }
            return;
        }
        "fc" => {
            let (names, wwids) = (source.get("targetWWNs"), source.get("wwids"));
            match (names.len(), wwids.len()) {
                (0, 0) => {
                    c.required(&names, "must specify either targetWWNs or wwids, but not both");
                }
                (1.., 1..) => {
                    let detail = "targetWWNs and wwids can not be specified simultaneously";
                    c.invalid(&names, detail);
                }
                _ => {}
            }
            if names.len() > 0 && !source.get("lun").is_set() {
                c.required(&source.get("lun"), "lun is required if targetWWNs is specified");
            }
            return;
        }
        "local" => {
            let path = source.get("path");
            c.required_text(&path);
            c.problems(&path, names::no_backsteps(path.text()));
            return;
        }
        "rbd" | "cephfs" => {
            if source.get("monitors").len() == 0 {
                c.required(&source.get("monitors"), "");
            }
            if kind == "rbd" { &["image"] } else { &[] }
        }
        "glusterfs" => &["endpoints", "path"],
        "cinder" => &["volumeID"],
        "flexVolume" => &["driver"],
        "azureFile" => &["secretName", "shareName"],
        "azureDisk" => &["diskName", "diskURI"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "portworxVolume" => &["volumeID"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        "storageos" => &["volumeName"],
        "quobyte" => &["registry", "volume"],
        "flocker" => {
            let named = ["datasetName", "datasetUUID"];
            if named.iter().all(|key| source.get(key).text().is_empty()) {
                c.required(source, "one of datasetName and datasetUUID is required");
            }
            &[]
        }
        _ => &[],
    };
    for key in required {
        c.required_text(&source.get(key));
    }
}

fn mode(c: &mut Checker, at: &At<'_>) {
    if at.is_set() && !(0..=0o777).contains(&at.number()) {
        c.invalid(at, MODE);
    }
}

fn files(c: &mut Checker, source: &At<'_>, name: &str) {
    c.required_text(&source.get(name));
    mode(c, &source.get("defaultMode"));
    for item in source.get("items").items() {
        key_to_path(c, &item);
    }
}

fn key_to_path(c: &mut Checker, item: &At<'_>) {
    let path = item.get("path");
    c.required_text(&item.get("key"));
    c.required_text(&path);
    c.problems(&path, names::unreserved_path(path.text()));
    mode(c, &item.get("mode"));
}

/// Checks a file made of the pod's own fields; reported at the volume as Kubernetes does.
fn downward(c: &mut Checker, file: &At<'_>, shown: &At<'_>) {
    let at = |key: &str| file.get(key).shown_at(format!("{}.{key}", shown.path));
    let path = at("path");
    c.required_text(&path);
    c.problems(&path, names::unreserved_path(path.text()));
    let (field, resource) = (at("fieldRef"), at("resourceFieldRef"));
    if field.is_set() {
        field_reference(c, &field, &VOLUME_FIELDS);
        if resource.is_set() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            c.invalid_as(shown, "resource", detail);
        }
    } else if resource.is_set() {
        resource_reference(c, &resource, true);
    } else {
        c.required(shown, "one of fieldRef and resourceFieldRef is required");
    }
    mode(c, &at("mode"));
}

fn projected(c: &mut Checker, projected: &At<'_>) {
    const TWICE: &str = "conflicting duplicate paths";
    mode(c, &projected.get("defaultMode"));
    let mut paths: Vec<&str> = Vec::new();
    for source in projected.get("sources").items() {
        let mut count = 0;
        for kind in ["secret", "configMap"] {
            let one = source.get(kind);
            if !one.is_set() {
                continue;
            }
            count += 1;
            let name = one.get("name");
            c.required_text(&name);
            for item in one.get("items").items() {
                key_to_path(c, &item);
                let path = item.get("path").text();
                if paths.contains(&path) && !path.is_empty() {
                    c.invalid_as(projected, name.text(), TWICE);
                }
                paths.push(path);
            }
        }
        let own = source.get("downwardAPI");
        if own.is_set() {
            count += 1;
            for file in own.get("items").items() {
                downward(c, &file, &own);
                let path = file.get("path").text();
                if paths.contains(&path) && !path.is_empty() {
                    c.invalid_as(projected, path, TWICE);
                }
                paths.push(path);
            }
        }
        let token = source.get("serviceAccountToken");
        if token.is_set() {
            count += 1;
            let seconds = token.get("expirationSeconds");
            if seconds.number() < 600 {
                c.invalid(&seconds, "may not specify a duration less than 10 minutes");
            } else if seconds.number() > 1 << 32 {
                c.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
            }
            let path = token.get("path").shown_at(format!("{}.path", projected.path));
            c.required_text(&path);
            c.problems(&path, names::unreserved_path(path.text()));
        }
        let bundle = source.get("clusterTrustBundle");
        if bundle.is_set() {
            count += 1;
            match (bundle.get("name").is_set(), bundle.get("signerName").is_set()) {
                (true, true) => c.invalid(&bundle, "only one of name and signerName may be used"),
                (false, false) => {
                    c.required(&bundle, "either name or signerName must be specified");
                }
                _ => {}
            }
            let path = bundle.get("path");
            c.required_text(&path);
            c.problems(&path, names::unreserved_path(path.text()));
        }
        if count > 1 {
            c.forbidden(&source, "may not specify more than 1 volume type per source");
        }
    }
}

fn ephemeral(c: &mut Checker, volume: &At<'_>, source: &At<'_>, pod: Option<&str>) {
    let template = source.get("volumeClaimTemplate");
    if template.is_set() {
        let metadata = template.get("metadata");
        meta::annotations(c, &metadata.get("annotations"));
        meta::labels(c, &metadata.get("labels"));
        for (key, _) in metadata.entries() {
            let field = metadata.get(key);
            if !matches!(key, "annotations" | "labels" | "creationTimestamp") && field.is_set() {
                c.forbidden(&field, "cannot be set");
            }
        }
        storage::claim_spec(c, &template.get("spec"));
    } else {
        c.required(&template, "");
    }
    let name = volume.get("name");
    if let Some(pod) = pod.filter(|_| !name.text().is_empty()) {
        let claim = format!("{pod}-{}", name.text());
        for problem in names::subdomain(&claim, false) {
            c.invalid(&name, format!("PVC name {claim:?}: {problem}"));
        }
    }
}
