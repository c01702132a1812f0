//! What is kept of a container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use loopline_sandbox::{ContainerSpec, State, Supervision};
use serde::{Deserialize, Serialize};

/// A container as it was made; its folder has it as `container.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its identifier, 64 hexadecimal digits as Docker's.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image, as it was asked for.
    pub image: String,
    /// The image's identifier.
    pub image_id: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it runs.
    pub command: Vec<String>,
    /// Its labels, the image's included.
    pub labels: BTreeMap<String, String>,
    /// Whether it goes when it has ended.
    pub auto_remove: bool,
    /// The volumes that go with it.
    pub anonymous_volumes: Vec<String>,
    /// What it is started with.
    pub spec: ContainerSpec,
    /// How it is watched over.
    pub supervision: Supervision,
}

impl Record {
    /// Returns the first twelve digits of the identifier, which lists show.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// A container that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// As it was made.
    pub record: Record,
    /// How it goes.
    pub state: State,
    /// Its folder.
    pub folder: PathBuf,
}
