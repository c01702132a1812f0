//! The guide's own objects.

use std::path::{Path, PathBuf};

use loopline_schema::{columns, defaults, validation};
use serde_json::Value;

use crate::cases::kind;

pub(crate) fn manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).expect("the guide can be listed") {
        let path = entry.expect("the guide can be listed").path();
        if path.is_dir() {
            manifests(&path, found);
        } else if path.extension().is_some_and(|found| found == "yaml" || found == "yml") {
            found.push(path);
        }
    }
}

/// Returns the built-in objects of the guide with their files. Templates are no manifests.
fn objects() -> Option<Vec<(PathBuf, Value)>> {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their data is")]
    let root = std::env::var_os("LOOPLINE_GUIDE").map(PathBuf::from)?;
    let mut files = Vec::new();
    manifests(&root, &mut files);
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let text = fs_err::read_to_string(&file).expect("the file can be read");
        if text.contains("{{-") || text.contains("{{ .Values") {
            continue;
        }
        for object in crate::yaml::documents(&file.to_string_lossy(), &text) {
            let (group, version, name) = kind(&object);
            if !version.is_empty()
                && !name.is_empty()
                && columns::table(&group, &version, &name).is_some()
            {
                objects.push((file.clone(), object));
            }
        }
    }
    Some(objects)
}

#[test]
fn every_object_of_the_guide_has_defaults_and_a_row() {
    let Some(objects) = objects() else { return };
    assert!(objects.len() >= 40, "{} objects", objects.len());
    for (file, mut object) in objects {
        let (group, version, kind) = kind(&object);
        defaults::apply(&group, &version, &kind, &mut object);
        let again = {
            let mut again = object.clone();
            defaults::apply(&group, &version, &kind, &mut again);
            again
        };
        assert_eq!(object, again, "{}", file.display());
        let table = columns::table(&group, &version, &kind).expect("built in");
        assert_eq!(columns::cells(table, &object, 0).len(), table.columns.len());
    }
}

#[test]
fn the_objects_of_the_guide_are_sound_but_for_their_own_mistakes() {
    let Some(objects) = objects() else { return };
    let mut found = Vec::new();
    for (file, mut object) in objects {
        let (group, version, kind) = kind(&object);
        defaults::apply(&group, &version, &kind, &mut object);
        for error in validation::create(&group, &version, &kind, &object) {
            found.push(format!("{} {kind}: {error}", file.display()));
        }
        for error in validation::update(&group, &version, &kind, &object, &object) {
            found.push(format!("{} {kind} again: {error}", file.display()));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
