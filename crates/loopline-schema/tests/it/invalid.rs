//! Sound objects, what is changed in them, and what is then wrong.
//!
//! The first line names a sound object of `sound.yaml`; `update` before it changes an object
//! that exists, and `update/status` goes through a subresource.

use loopline_schema::{defaults, validation};
use serde_json::Value;

use crate::cases::{change, kind, run};
use crate::yaml::documents;

fn sound() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sound.yaml");
    documents(path, &fs_err::read_to_string(path).expect("the objects are there")).remove(0)
}

fn filled(mut object: Value) -> Value {
    let (group, version, kind) = kind(&object);
    defaults::apply(&group, &version, &kind, &mut object);
    object
}

fn check(file: &str) -> usize {
    let sound = sound();
    run(file, |lines| {
        let (how, name) = lines[0].split_once(' ').unwrap_or(("create", &lines[0]));
        let object = &sound[name];
        assert!(object.is_object(), "there is no sound {name}");
        let mut changed = if how == "create" { object.clone() } else { filled(object.clone()) };
        lines[1..].iter().for_each(|line| change(&mut changed, line));
        let changed = filled(changed);
        let (group, version, kind) = kind(&changed);
        let errors = if how == "create" {
            validation::create(&group, &version, &kind, &changed)
        } else {
            let subresource = how.split_once('/').map(|(_, name)| name);
            let old = filled(object.clone());
            validation::update_subresource(&group, &version, &kind, subresource, &changed, &old)
        };
        errors.iter().map(|error| error.to_string().replace('\n', "\\n")).collect()
    })
}

#[test]
fn sound_objects_are_sound() {
    for (name, object) in sound().as_object().expect("a map") {
        let object = filled(object.clone());
        let (group, version, kind) = kind(&object);
        let errors = validation::create(&group, &version, &kind, &object);
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let errors = validation::update(&group, &version, &kind, &object, &object);
        assert!(errors.is_empty(), "{name}, unchanged: {errors:?}");
    }
}

#[test]
fn mistakes_are_reported_as_kubernetes_reports_them() {
    let files =
        ["invalid-pod.txt", "invalid-workload.txt", "invalid-other.txt", "invalid-policy.txt"];
    let count: usize = files.into_iter().map(check).sum();
    assert!(count >= 400, "{count} cases");
}

#[test]
fn what_is_of_another_type_does_not_end_the_check() {
    for text in [
        "null",
        "3",
        "[]",
        "{\"metadata\": 3, \"spec\": []}",
        "{\"spec\": {\"template\": \"x\", \"containers\": {}}}",
        "{\"spec\": {\"containers\": [], \"initContainers\": []}}",
        "{\"spec\": {\"containers\": [3, {\"resources\": 3}]}, \"status\": [2]}",
    ] {
        let value: Value = serde_json::from_str(text).expect(text);
        for object in sound().as_object().expect("a map").values() {
            let (group, version, kind) = kind(object);
            validation::create(&group, &version, &kind, &value);
            validation::update(&group, &version, &kind, &value, object);
            validation::update(&group, &version, &kind, object, &value);
            for name in ["status", "scale", "resize", "ephemeralcontainers", "approval"] {
                let name = Some(name);
                validation::update_subresource(&group, &version, &kind, name, &value, object);
                validation::update_subresource(&group, &version, &kind, name, object, &value);
            }
        }
    }
}
