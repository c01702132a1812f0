//! Runs the table of `data/structured.txt`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use loopline_merge::equal;
use loopline_merge::path::{PathElement, PathSet};
use loopline_merge::structured::{
    ApplyError, ConversionError, Duplicates, Managers, Versions, apply, extract, merge, update,
    validate,
};
use serde_json::{Map, Value};

use crate::kind::{Kind, kind};

/// How many cases the table has: a case that is lost is noticed.
const CASES: usize = 117;

#[test]
fn the_table_holds() {
    let mut cases = 0;
    let mut failures = String::new();
    for case in include_str!("data/structured.txt").split("\ncase ").skip(1) {
        cases += 1;
        let (name, steps) = case.split_once('\n').expect("a case has a name and steps");
        let versions = ["v1", "v2", "v3"];
        let choices: Vec<String> = if steps.lines().any(|line| line == "each") {
            versions
                .iter()
                .flat_map(|one| versions.iter().map(move |two| (one, two)))
                .flat_map(|(one, two)| versions.iter().map(move |three| (one, two, three)))
                .map(|(one, two, three)| {
                    steps.replace("$1", one).replace("$2", two).replace("$3", three)
                })
                .collect()
        } else {
            vec![steps.to_owned()]
        };
        for steps in choices {
            if let Err(reason) = run(&steps) {
                write!(failures, "\n{name}: {reason}\n{steps}").expect("strings take text");
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert_eq!(cases, CASES);
}

struct State {
    kind: String,
    convert: String,
    ignored: BTreeMap<String, PathSet>,
    live: Value,
    version: String,
    managers: Managers<String>,
}

impl Versions for State {
    type Type = Kind;

    fn type_of(&self, version: &str) -> Option<Kind> {
        Some(match self.convert.as_str() {
            "rename" | "reliant" => kind(&format!("{}/{version}", self.kind)),
            _ => kind(&self.kind),
        })
    }

    fn convert<'v>(
        &self,
        object: &'v Value,
        from: &str,
        to: &str,
    ) -> Result<Cow<'v, Value>, ConversionError> {
        let number = |version: &str| version[1..].parse::<usize>().expect("versions have numbers");
        Ok(Cow::Owned(match self.convert.as_str() {
            "repeat" => rename(object, 0, &|name, depth| {
                if depth == 0 { name.to_owned() } else { name[..1].repeat(number(to)) }
            }),
            "rename" => rename(object, 0, &|name, _| match name.strip_suffix(from) {
                Some(stem) => format!("{stem}{to}"),
                None => name.to_owned(),
            }),
            "reliant" if from != to && to == "v1" && object.get("required_field_bar").is_none() => {
                return Err(ConversionError::Failed {
                    version: to.to_owned(),
                    reason: "the field it relies on is missing".to_owned(),
                });
            }
            "reliant" if from != to => rename(object, 0, &|name, _| {
                match name {
                    "required_field_bar" => "field_foo_rely_on_bar",
                    "field_foo_rely_on_bar" => "required_field_bar",
                    other => other,
                }
                .to_owned()
            }),
            _ => return Ok(Cow::Borrowed(object)),
        }))
    }
}

fn rename(value: &Value, depth: usize, name_of: &dyn Fn(&str, usize) -> String) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(name, value)| (name_of(name, depth), rename(value, depth + 1, name_of)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn paths(text: &str) -> PathSet {
    let mut set = PathSet::new();
    for path in text.split_whitespace() {
        let path: Vec<PathElement> = path.split('/').map(element).collect();
        set.insert(&path);
    }
    set
}

fn element(text: &str) -> PathElement {
    match text.split_at_checked(2) {
        Some(("v:", value)) => PathElement::value(serde_json::from_str(value).expect("a value")),
        Some(("k:", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).expect("key fields");
            PathElement::key(keys.into_iter().map(|(key, value)| (key.into(), value)).collect())
        }
        _ => PathElement::field(text),
    }
}

/// What became of the last step, until a line says that this was expected.
#[derive(Debug)]
enum Outcome {
    Fine,
    Refused(String),
    Conflicts(Vec<(String, String)>),
}

fn run(steps: &str) -> Result<(), String> {
    let mut state = State {
        kind: String::new(),
        convert: String::new(),
        ignored: BTreeMap::new(),
        live: Value::Null,
        version: "v1".to_owned(),
        managers: Managers::new(),
    };
    let mut outcome = Outcome::Fine;
    let mut owners: BTreeMap<String, (String, PathSet)> = BTreeMap::new();
    for line in steps.lines().filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if !matches!(word, "conflict" | "refused") {
            settled(std::mem::replace(&mut outcome, Outcome::Fine))?;
        }
        match word {
            "kind" | "schema" => rest.clone_into(&mut state.kind),
            "convert" => rest.clone_into(&mut state.convert),
            "each" => {}
            "ignore" => {
                let (version, fields) = rest.split_once(' ').expect("a version and fields");
                state.ignored.insert(version.to_owned(), paths(fields));
            }
            "apply" | "force" | "extract" | "update" => outcome = step(&mut state, word, rest)?,
            "refused" => match std::mem::replace(&mut outcome, Outcome::Fine) {
                Outcome::Refused(reason) if !reason.is_empty() => {}
                other => return Err(format!("refused: {other:?}")),
            },
            "conflict" => {
                let (manager, path) = rest.split_once(' ').expect("a manager and a field");
                let expected = (manager.to_owned(), paths(path).to_fields_v1().to_string());
                let Outcome::Conflicts(conflicts) = &mut outcome else {
                    return Err(format!("no conflict: {line}"));
                };
                let Some(at) = conflicts.iter().position(|conflict| *conflict == expected) else {
                    return Err(format!("{line}, but {conflicts:?}"));
                };
                conflicts.remove(at);
            }
            "object" => {
                let (version, object) = rest.split_once(' ').expect("a version and an object");
                let expected: Value = serde_json::from_str(object).expect("an object");
                let live = state
                    .convert(&state.live, &state.version, version)
                    .map_err(|error| error.to_string())?;
                let same = equal(&live, &expected) || (nothing(&live) && nothing(&expected));
                if !same {
                    return Err(format!("the object is {live}"));
                }
            }
            "owner" => {
                let mut words = rest.splitn(3, ' ');
                let manager = words.next().expect("a manager").to_owned();
                let version = words.next().expect("a version").to_owned();
                owners.insert(manager, (version, paths(words.next().unwrap_or_default())));
            }
            other => panic!("unknown word {other}"),
        }
    }
    settled(outcome)?;
    let owned: BTreeMap<String, (String, PathSet)> = state
        .managers
        .iter()
        .map(|(name, owned)| (name.clone(), (owned.version.to_string(), owned.set.clone())))
        .collect();
    if owned != owners {
        let found: Vec<String> = owned
            .iter()
            .map(|(name, (version, set))| format!("{name} {version} {}", set.to_fields_v1()))
            .collect();
        return Err(format!("the owners are\n{}", found.join("\n")));
    }
    Ok(())
}

fn nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

fn settled(outcome: Outcome) -> Result<(), String> {
    match outcome {
        Outcome::Fine => Ok(()),
        Outcome::Conflicts(conflicts) if conflicts.is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn step(state: &mut State, word: &str, rest: &str) -> Result<Outcome, String> {
    let mut words = rest.splitn(3, ' ');
    let manager = words.next().expect("a manager").to_owned();
    let version = words.next().expect("a version").to_owned();
    let mut object: Value = serde_json::from_str(words.next().expect("an object"))
        .map_err(|error| error.to_string())?;
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let live = state
        .convert(&state.live, &state.version, &version)
        .map_err(|error| text(&error))?
        .into_owned();
    let ty = state.type_of(&version).expect("all versions are served");
    let duplicates = if word == "update" { Duplicates::Tolerated } else { Duplicates::Refused };
    if let Err(problems) = validate(&object, ty, duplicates) {
        return Ok(Outcome::Refused(problems.to_string()));
    }
    let ignored = state.ignored.get(&version).cloned().unwrap_or_default();
    let managers = state.managers.clone();
    if word == "update" {
        state.managers = update(state, &live, &object, &version, managers, &manager, &ignored)
            .map_err(|error| text(&error))?;
        (state.live, state.version) = (object, version);
        return Ok(Outcome::Fine);
    }
    if word == "extract" {
        let own = managers.get(&manager).map(|owned| owned.set.clone()).unwrap_or_default();
        let extracted = extract(&live, &own, ty).map_err(|error| text(&error))?;
        object = merge(&extracted, &object, ty).map_err(|error| text(&error))?;
    }
    let force = word != "apply";
    match apply(state, &live, &object, &version, managers, &manager, force, &ignored) {
        Ok(applied) => {
            state.live = applied.object.unwrap_or(live);
            state.version = version;
            state.managers = applied.managers;
            Ok(Outcome::Fine)
        }
        Err(ApplyError::Conflicts(conflicts)) => Ok(Outcome::Conflicts(
            conflicts
                .into_iter()
                .map(|conflict| {
                    let mut set = PathSet::new();
                    set.insert(&conflict.path.0);
                    (conflict.manager, set.to_fields_v1().to_string())
                })
                .collect(),
        )),
        Err(ApplyError::Update(error)) => Err(text(&error)),
    }
}
