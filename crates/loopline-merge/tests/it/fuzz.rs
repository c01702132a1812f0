//! Whatever comes in: nothing panics, and what merging promises holds.

use std::borrow::Cow;

use loopline_merge::managed::ManagedFields;
use loopline_merge::path::{Path, PathElement, PathSet};
use loopline_merge::structured::{
    ApplyError, Comparison, Duplicates, Managers, SameSchema, apply, compare, extract, field_set,
    merge, update, validate,
};
use loopline_merge::{ScalarKind, Shape, Type, equal, json_patch, merge_patch, strategic};
use serde_json::{Map, Value, json};

use crate::kind::{Kind, kind};

/// How many inputs are tried in a test run; a fuzzer goes on.
const ITERATIONS: usize = 2_000;
/// How long an input is at most, in bytes.
const MAX_LENGTH: usize = 400;
/// How many steps a history has at most.
const MAX_STEPS: usize = 12;

fn each(exercise: impl Fn(&mut Bytes<'_>) + std::panic::RefUnwindSafe + std::panic::UnwindSafe) {
    bolero::check!()
        .with_iterations(ITERATIONS)
        .with_max_len(MAX_LENGTH)
        .for_each(|bytes: &[u8]| exercise(&mut Bytes(bytes)));
}

/// Bytes that decide; zero when there are no more, so that everything ends.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.next() % limit
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

/// Makes up a value of a type, without duplicates.
fn value(kind: Kind, bytes: &mut Bytes<'_>, levels: u8) -> Value {
    let element = |bytes: &mut Bytes<'_>| {
        kind.element().map(|element| value(element, bytes, levels.saturating_sub(1)))
    };
    match kind.shape() {
        Shape::Scalar => scalar(kind.scalar(), bytes.below(3)),
        Shape::AtomicList => {
            let length = if levels == 0 { 0 } else { bytes.below(3) };
            (0..length).filter_map(|_| element(bytes)).collect()
        }
        Shape::Set => {
            let kind = kind.element().map_or(ScalarKind::Any, |element| element.scalar());
            let mut items: Vec<Value> = Vec::new();
            for _ in 0..bytes.below(4) {
                let item = scalar(kind, bytes.below(4));
                if !items.contains(&item) {
                    items.push(item);
                }
            }
            Value::Array(items)
        }
        Shape::ListMap(keys) => {
            let mut items: Vec<Value> = Vec::new();
            let length = if levels == 0 { 0 } else { bytes.below(4) };
            for _ in 0..length {
                let Some(mut item) = element(bytes) else { continue };
                for key in keys {
                    let kind = kind.element().and_then(|element| element.field(key));
                    let kind = kind.map_or(ScalarKind::Any, |kind| kind.scalar());
                    item[key] = scalar(kind, bytes.below(3));
                }
                let same = |other: &&Value| keys.iter().all(|key| other[key] == item[key]);
                if !items.iter().any(|other| same(&other)) {
                    items.push(item);
                }
            }
            Value::Array(items)
        }
        Shape::Map | Shape::AtomicMap => {
            let mut map = Map::new();
            if levels > 0 {
                let names = kind.names();
                let names = if names.is_empty() { vec!["p", "q", "r"] } else { names };
                // That field's type is wrong on purpose.
                for name in names.into_iter().filter(|name| *name != "keyless") {
                    if let Some(field) = kind.field(name).filter(|_| bytes.coin()) {
                        map.insert(name.to_owned(), value(field, bytes, levels - 1));
                    }
                }
            }
            Value::Object(map)
        }
        Shape::Deduced => match bytes.below(if levels == 0 { 2 } else { 4 }) {
            0 => json!(bytes.below(3)),
            1 => json!("s"),
            2 => json!([bytes.below(3)]),
            _ => {
                let mut map = Map::new();
                for name in ["x", "y"] {
                    if bytes.coin() {
                        map.insert(name.to_owned(), value(kind, bytes, levels - 1));
                    }
                }
                Value::Object(map)
            }
        },
    }
}

fn scalar(kind: ScalarKind, choice: u8) -> Value {
    match kind {
        ScalarKind::Number | ScalarKind::Any => json!(choice),
        ScalarKind::String => json!(["TCP", "b", "c", "d"][usize::from(choice % 4)]),
        ScalarKind::Boolean => json!(choice == 0),
    }
}

/// Makes up any value out of the words of patches.
fn anything(bytes: &mut Bytes<'_>, levels: u8) -> Value {
    const WORDS: [&str; 18] = [
        "$patch",
        "$retainKeys",
        "$setElementOrder/list",
        "$setElementOrder/ints",
        "$deleteFromPrimitiveList/ints",
        "$setElementOrder/",
        "list",
        "ints",
        "name",
        "value",
        "keep",
        "kept",
        "map",
        "replace",
        "delete",
        "merge",
        "plain",
        "replaced",
    ];
    let word = |bytes: &mut Bytes<'_>| WORDS[usize::from(bytes.below(18))];
    match bytes.below(if levels == 0 { 4 } else { 8 }) {
        0 => Value::Null,
        1 => json!(bytes.below(4)),
        2 => json!(bytes.coin()),
        3 => json!(word(bytes)),
        4 | 5 => (0..bytes.below(4)).map(|_| anything(bytes, levels - 1)).collect(),
        _ => {
            let mut map = Map::new();
            for _ in 0..bytes.below(5) {
                map.insert(word(bytes).to_owned(), anything(bytes, levels - 1));
            }
            Value::Object(map)
        }
    }
}

#[test]
fn patches_of_any_kind_end() {
    each(|bytes| {
        let patch = anything(bytes, 5);
        let target =
            if bytes.coin() { value(kind("patched"), bytes, 3) } else { anything(bytes, 4) };
        let merged = merge_patch::apply(target.clone(), &patch).expect("it is not deep");
        assert_eq!(merge_patch::apply(merged.clone(), &patch), Ok(merged), "merging is idempotent");
        // Errors are fine, panics are not.
        let _outcome = strategic::apply(target.clone(), &patch, kind("patched"));
        let other = anything(bytes, 4);
        let _outcome = strategic::three_way(Some(&other), &patch, &target, kind("patched"));
        for name in ["patched", "history", "deduced", "deployment"] {
            let ty = kind(name);
            let _outcome = validate(&target, ty, Duplicates::Refused);
            if let (Ok(merged), Ok(set)) = (merge(&target, &patch, ty), field_set(&target, ty)) {
                let _outcome = compare(&target, &merged, ty);
                let _outcome = extract(&merged, &set, ty);
            }
        }
    });
}

#[test]
fn json_patches_of_any_kind_end() {
    const NAMES: [&str; 7] = ["add", "remove", "replace", "move", "copy", "test", "burn"];
    const PLACES: [&str; 10] = ["", "/a", "/a/0", "/a/-", "/b", "/b/c", "/b/c/1", "/", "/~0", "a"];
    each(|bytes| {
        let document = json!({"a": [1, 2], "b": {"c": [3, {"d": 4}]}, "~": 5});
        let mut operations = Vec::new();
        for _ in 0..bytes.below(8) {
            operations.push(json!({
                "op": NAMES[usize::from(bytes.below(7))],
                "path": PLACES[usize::from(bytes.below(10))],
                "from": PLACES[usize::from(bytes.below(10))],
                "value": anything(bytes, 2),
            }));
        }
        let _outcome = json_patch::apply(&document, &Value::Array(operations));
    });
}

#[test]
fn field_sets_of_any_kind_are_read_or_refused() {
    const WORDS: [&str; 14] = [
        "f:a",
        "f:",
        "f:b",
        "k:{\"a\":1}",
        "k:{\"a\":1,\"b\":null}",
        "k:[",
        "v:1",
        "v:\"x\"",
        "v:",
        "i:0",
        "i:-1",
        ".",
        "z:z",
        "f",
    ];
    fn made(bytes: &mut Bytes<'_>, levels: u8) -> Value {
        let mut map = Map::new();
        if levels > 0 {
            for _ in 0..bytes.below(5) {
                let word = WORDS[usize::from(bytes.below(14))];
                map.insert(word.to_owned(), made(bytes, levels - 1));
            }
        }
        Value::Object(map)
    }
    each(|bytes| {
        let text = made(bytes, 4);
        let (Ok(one), other) = (PathSet::from_fields_v1(&text), made(bytes, 4)) else { return };
        let written = one.to_fields_v1();
        assert_eq!(PathSet::from_fields_v1(&written), Ok(one.clone()), "{written}");
        assert_eq!(one.is_empty(), one == PathSet::new());
        let Ok(other) = PathSet::from_fields_v1(&other) else { return };
        // Sets are sets.
        let (both, either) = (one.intersection(&other), one.union(&other));
        assert_eq!(both, other.intersection(&one));
        assert_eq!(either, other.union(&one));
        assert_eq!(either.len() + both.len(), one.len() + other.len());
        assert_eq!(one.difference(&other).union(&both), one);
        assert!(one.difference(&other).intersection(&other).is_empty());
        let (mut rest, mut above) = (one.clone(), one.clone());
        rest.subtract(&other);
        above.subtract_recursively(&other);
        assert_eq!(rest, one.difference(&other));
        assert_eq!(above, one.recursive_difference(&other));
        assert!(both.is_subset(&one) && one.is_subset(&either));
        assert!(one.recursive_difference(&other).is_subset(&one.difference(&other)));
    });
}

#[test]
fn entries_of_any_kind_are_read_or_refused() {
    each(|bytes| {
        let text = String::from_utf8_lossy(bytes.0);
        if let Ok(parsed) = serde_json::from_str(&text) {
            let _outcome = ManagedFields::decode(&parsed);
        }
        let operation = ["Apply", "Update", ""][usize::from(bytes.below(3))];
        let entry = json!([{
            "manager": anything(bytes, 0), "operation": operation,
            "apiVersion": anything(bytes, 0), "fieldsType": "FieldsV1", "time": anything(bytes, 0),
            "fieldsV1": anything(bytes, 2),
        }]);
        let _outcome = ManagedFields::decode(&entry);
    });
}

#[test]
fn made_patches_lead_where_they_should() {
    let ty = kind("patched");
    each(|bytes| {
        let (old, new, now) = (value(ty, bytes, 3), value(ty, bytes, 3), value(ty, bytes, 3));
        let two = strategic::two_way(&old, &new, ty).expect("the values are of the type");
        let after = strategic::apply(old.clone(), &two, ty).expect("the patch fits");
        assert!(equal(&after, &new), "old {old}\ntwo {two}\nnew {new}\nis  {after}");
        let three = strategic::three_way(Some(&old), &new, &now, ty).expect("they are of the type");
        let result = strategic::apply(now.clone(), &three, ty).expect("the patch fits");
        let again = strategic::three_way(Some(&new), &new, &result, ty).expect("of the type");
        let twice = strategic::apply(result.clone(), &again, ty).expect("the patch fits");
        assert!(
            equal(&twice, &result),
            "now {now}\nold {old}\nnew {new}\nthree {three}\nresult {result}\nagain {again}\nis {twice}"
        );
    });
}

/// Returns everything that is in a value, the objects and lists too.
fn everything(value: &Value, ty: Kind) -> PathSet {
    compare(&Value::Null, value, ty).expect("the value is of the type").added
}

fn differences(old: &Value, new: &Value, ty: Kind) -> Comparison {
    compare(old, new, ty).expect("the values are of the type")
}

#[test]
fn histories_keep_what_is_owned() {
    each(|bytes| {
        let ty = kind("history");
        let versions = SameSchema(ty);
        let nothing = PathSet::new();
        let mut live = json!({});
        let mut managers: Managers<&str> = Managers::new();
        let mut story = String::new();
        for _ in 0..MAX_STEPS {
            if bytes.0.is_empty() {
                break;
            }
            let manager = ["one", "two", "three"][usize::from(bytes.below(3))];
            let how = bytes.below(4);
            let config = value(ty, bytes, 4);
            story.push_str(&format!("{manager} {how} {config}\n"));
            let before = (live.clone(), managers.clone());
            if how == 3 {
                let name = ["updater", "controller"][usize::from(bytes.below(2))];
                managers = update(&versions, &live, &config, "v1", managers, &name, &nothing)
                    .expect("it is of the type");
                live = config;
            } else {
                let force = how == 2;
                let outcome = apply(
                    &versions,
                    &live,
                    &config,
                    "v1",
                    managers.clone(),
                    &manager,
                    force,
                    &nothing,
                );
                match outcome {
                    Ok(applied) => {
                        live = applied.object.unwrap_or(live);
                        managers = applied.managers;
                        check_apply(&before, &live, &managers, &config, manager, force, ty, &story);
                    }
                    Err(ApplyError::Conflicts(conflicts)) => {
                        assert!(!force, "{story}");
                        for conflict in conflicts {
                            let (owned, path) = (&managers[conflict.manager].set, &conflict.path.0);
                            let owns = (1..=path.len()).any(|length| owned.has(&path[..length]));
                            assert!(owns, "{story}{}", conflict.path);
                        }
                    }
                    Err(ApplyError::Update(error)) => panic!("{story}{error}"),
                }
            }
            let there = everything(&live, ty);
            for (name, owned) in &managers {
                assert!(!owned.set.is_empty(), "{story}{name}");
                assert!(
                    owned.set.is_subset(&there),
                    "{story}{name} owns {}\nof {live}",
                    owned.set.difference(&there).to_fields_v1()
                );
                let written = owned.set.to_fields_v1();
                assert_eq!(PathSet::from_fields_v1(&written).as_ref(), Ok(&owned.set));
            }
        }
    });
}

#[expect(clippy::too_many_arguments, reason = "a step's whole state, told once")]
fn check_apply(
    before: &(Value, Managers<&str>),
    live: &Value,
    managers: &Managers<&str>,
    config: &Value,
    manager: &str,
    force: bool,
    ty: Kind,
    story: &str,
) {
    // The object has what was applied: applying it again changes nothing.
    let versions = SameSchema(ty);
    let again =
        apply(&versions, live, config, "v1", managers.clone(), &manager, false, &PathSet::new())
            .unwrap_or_else(|error| panic!("{story}{error}"));
    assert!(again.object.is_none(), "{story}{live}\nthen {:?}", again.object);
    // Who applied an empty map owns what others put into it from the next request on, as in real
    // API servers; after that it stays.
    for (name, owned) in managers {
        assert!(owned.set.is_subset(&again.managers[name].set), "{story}{name}");
    }
    let third = apply(
        &versions,
        live,
        config,
        "v1",
        again.managers.clone(),
        &manager,
        false,
        &PathSet::new(),
    )
    .unwrap_or_else(|error| panic!("{story}{error}"));
    assert_eq!(third.managers, again.managers, "{story}");
    let merged = merge(live, config, ty).expect("they are of the type");
    assert!(equal(&merged, live), "{story}{live}\nlacks something of {config}");

    let changed = differences(&before.0, live, ty);
    let mut others = PathSet::new();
    for (name, owned) in before.1.iter().filter(|(name, _)| **name != manager) {
        others = others.union(&owned.set);
        if force || !owned.applied {
            continue;
        }
        // What another applied stays as it is, and stays the other's; but without a type an object
        // may become a scalar, which takes its fields away.
        let typed = owned.set.recursive_difference(&PathSet::of_fields(&[&["free"]]));
        let lost = typed.intersection(&changed.removed.union(&changed.modified));
        assert!(lost.is_empty(), "{story}{name} lost {}\n{live}", lost.to_fields_v1());
        let kept =
            managers.get(name).is_some_and(|after| typed.is_subset(&after.set)) || typed.is_empty();
        assert!(kept, "{story}{name} does not own what it owned");
    }

    // What only this manager had, and did not apply again, is gone.
    let Some(last) = before.1.get(manager) else { return };
    let now = managers.get(manager).map(|owned| Cow::Borrowed(&owned.set)).unwrap_or_default();
    let dropped = last.set.difference(&now).difference(&others);
    let leaves = field_set(live, ty).expect("it is of the type");
    dropped.for_each(|path| {
        let below_others = (1..path.len()).any(|length| others.has(&path[..length]));
        let is_key = path.len() > 1 && matches!(path[path.len() - 2], PathElement::Key(_));
        let stays = leaves.has(path) && !now.has(path);
        assert!(!stays || below_others || is_key, "{story}{} stays\n{live}", Path(path.to_vec()));
    });
}
