//! Tables of volumes, claims, classes and drivers.

use serde_json::{Value, json};

use super::core::joined_or_none;
use super::row::{Row, quantity};
use super::{AGE, Column, NAME, Table, boolean, integer, text, wide};
use crate::tree::{list, text as get};

pub(super) fn table(kind: &str) -> Option<&'static Table> {
    Some(match kind {
        "StorageClass" => &STORAGE_CLASS,
        "VolumeAttributesClass" => &ATTRIBUTES_CLASS,
        "VolumeAttachment" => &ATTACHMENT,
        "CSINode" => &CSI_NODE,
        "CSIDriver" => &CSI_DRIVER,
        "CSIStorageCapacity" => &CAPACITY,
        _ => return None,
    })
}

const VOLUME_MODE: Column = wide("VolumeMode", "Whether it is a file system or a block device.");

/// The table of persistent volumes.
pub(super) static VOLUME: Table = Table {
    columns: &[
        NAME,
        text("Capacity", "How much it holds."),
        text("Access Modes", "How it may be mounted."),
        text("Reclaim Policy", "What becomes of it when its claim is gone."),
        text("Status", "Whether it is claimed."),
        text("Claim", "Who claims it."),
        text("StorageClass", "The class it is of."),
        text("VolumeAttributesClass", "The class of its attributes."),
        text("Reason", "Why it is in the state it is in."),
        AGE,
        VOLUME_MODE,
    ],
    print: |row| {
        let claim = row.at(&["spec", "claimRef"]);
        let claim = if claim.is_object() {
            format!("{}/{}", get(claim, "namespace"), get(claim, "name"))
        } else {
            String::new()
        };
        vec![
            row.name(),
            quantity(row.at(&["spec", "capacity", "storage"])).into(),
            modes(row.at(&["spec"])).into(),
            row.text(&["spec", "persistentVolumeReclaimPolicy"]).into(),
            phase(row),
            claim.into(),
            class(row).into(),
            row.text_or(&["spec", "volumeAttributesClassName"], "<unset>"),
            row.text(&["status", "reason"]).into(),
            row.age(),
            row.text_or(&["spec", "volumeMode"], "<unset>"),
        ]
    },
};

/// The table of claims.
pub(super) static CLAIM: Table = Table {
    columns: &[
        NAME,
        text("Status", "Whether it has a volume."),
        text("Volume", "The volume it has."),
        text("Capacity", "How much the volume holds."),
        text("Access Modes", "How the volume may be mounted."),
        text("StorageClass", "The class it asks for."),
        text("VolumeAttributesClass", "The class of attributes it asks for."),
        AGE,
        VOLUME_MODE,
    ],
    print: |row| {
        let volume = row.text(&["spec", "volumeName"]);
        let (capacity, modes) = if volume.is_empty() {
            (String::new(), String::new())
        } else {
            (quantity(row.at(&["status", "capacity", "storage"])), modes(row.at(&["status"])))
        };
        vec![
            row.name(),
            phase(row),
            volume.into(),
            capacity.into(),
            modes.into(),
            class(row).into(),
            row.text_or(&["spec", "volumeAttributesClassName"], "<unset>"),
            row.age(),
            row.text_or(&["spec", "volumeMode"], "<unset>"),
        ]
    },
};

fn phase(row: &Row<'_>) -> Value {
    if row.is_deleted() { "Terminating".into() } else { row.text(&["status", "phase"]).into() }
}

fn class<'a>(row: &Row<'a>) -> &'a str {
    const OLD: &str = "volume.beta.kubernetes.io/storage-class";
    match row.at(&["metadata", "annotations", OLD]).as_str() {
        Some(class) => class,
        None => row.text(&["spec", "storageClassName"]),
    }
}

fn modes(holder: &Value) -> String {
    let modes = list(holder, "accessModes");
    [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ]
    .into_iter()
    .filter(|(mode, _)| modes.iter().any(|found| found == mode))
    .map(|(_, short)| short)
    .collect::<Vec<_>>()
    .join(",")
}

/// Returns the name of a class, with a word where it is the default one.
fn class_name(row: &Row<'_>, annotations: [&'static str; 2]) -> Value {
    let default = annotations
        .into_iter()
        .any(|annotation| row.text(&["metadata", "annotations", annotation]) == "true");
    let name = row.text(&["metadata", "name"]);
    if default { format!("{name} (default)").into() } else { name.into() }
}

static STORAGE_CLASS: Table = Table {
    columns: &[
        NAME,
        text("Provisioner", "Who makes volumes of the class."),
        text("ReclaimPolicy", "What becomes of volumes whose claim is gone."),
        text("VolumeBindingMode", "When volumes are made."),
        boolean("AllowVolumeExpansion", "Whether volumes may grow."),
        AGE,
    ],
    print: |row| {
        let annotations = [
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ];
        vec![
            class_name(row, annotations),
            row.text(&["provisioner"]).into(),
            row.text_or(&["reclaimPolicy"], "Delete"),
            row.text_or(&["volumeBindingMode"], "Immediate"),
            row.at(&["allowVolumeExpansion"]).as_bool().unwrap_or(false).into(),
            row.age(),
        ]
    },
};

static ATTRIBUTES_CLASS: Table = Table {
    columns: &[NAME, text("DriverName", "The driver it is for."), AGE],
    print: |row| {
        let annotation = "volumeattributesclass.alpha.kubernetes.io/is-default-class";
        let name = class_name(row, [annotation, annotation]);
        vec![name, row.text(&["driverName"]).into(), row.age()]
    },
};

static ATTACHMENT: Table = Table {
    columns: &[
        NAME,
        Column {
            name: "Attacher",
            kind: "string",
            format: "name",
            description: "Who attaches the volume.",
            priority: 0,
        },
        text("PV", "The volume."),
        text("Node", "The node."),
        boolean("Attached", "Whether it is attached."),
        AGE,
    ],
    print: |row| {
        vec![
            row.name(),
            row.text(&["spec", "attacher"]).into(),
            row.text(&["spec", "source", "persistentVolumeName"]).into(),
            row.text(&["spec", "nodeName"]).into(),
            row.at(&["status", "attached"]).as_bool().unwrap_or(false).into(),
            row.age(),
        ]
    },
};

static CSI_NODE: Table = Table {
    columns: &[NAME, integer("Drivers", "How many drivers the node has."), AGE],
    print: |row| vec![row.name(), list(row.at(&["spec"]), "drivers").len().into(), row.age()],
};

static CSI_DRIVER: Table = Table {
    columns: &[
        NAME,
        boolean("AttachRequired", "Whether volumes are attached before they are mounted."),
        boolean("PodInfoOnMount", "Whether the driver is told about the pod."),
        boolean("StorageCapacity", "Whether the driver says how much room there is."),
        text("TokenRequests", "Whose tokens the driver is given."),
        boolean("RequiresRepublish", "Whether volumes are mounted again and again."),
        text("Modes", "How long volumes live."),
        AGE,
    ],
    print: |row| {
        let spec = row.at(&["spec"]);
        let flag = |key: &str, default| json!(spec[key].as_bool().unwrap_or(default));
        let tokens = match spec["tokenRequests"].as_array() {
            None => "<unset>".to_owned(),
            Some(tokens) => {
                tokens.iter().map(|token| get(token, "audience")).collect::<Vec<_>>().join(",")
            }
        };
        vec![
            row.name(),
            flag("attachRequired", true),
            flag("podInfoOnMount", false),
            flag("storageCapacity", false),
            tokens.into(),
            flag("requiresRepublish", false),
            joined_or_none(&spec["volumeLifecycleModes"]),
            row.age(),
        ]
    },
};

static CAPACITY: Table = Table {
    columns: &[
        NAME,
        text("StorageClassName", "The class it is about."),
        text("Capacity", "How much room there is."),
    ],
    print: |row| {
        let capacity = match row.at(&["capacity"]) {
            Value::Null => "<unset>".to_owned(),
            value => quantity(value),
        };
        vec![row.name(), row.text(&["storageClassName"]).into(), capacity.into()]
    },
};
