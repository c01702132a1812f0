//! Types for tests, read from `data/kinds.json`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use loopline_merge::{PatchStrategy, ScalarKind, Shape, Type};
use serde_json::Value;

/// A type out of the file. Names stand for types of the file or for scalars.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    all: &'static BTreeMap<String, Value>,
    own: &'static Value,
}

/// Returns the type of a name.
pub(crate) fn kind(name: &str) -> Kind {
    static ALL: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        serde_json::from_str(include_str!("data/kinds.json")).expect("kinds are an object")
    });
    let own = all.get(name).unwrap_or_else(|| panic!("no kind {name}"));
    Kind { all, own }.resolved()
}

impl Kind {
    fn resolved(self) -> Self {
        match self.own.as_str().and_then(|name| self.all.get(name)) {
            Some(own) if own != self.own => Self { own, ..self }.resolved(),
            _ => self,
        }
    }

    fn to(self, own: Option<&'static Value>) -> Option<Self> {
        Some(Self { own: own?, ..self }.resolved())
    }

    /// Returns the names of the declared fields.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let fields = self.own.get("fields").and_then(Value::as_object);
        fields.map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    fn says(&self, what: &str) -> bool {
        self.own.get(what).is_some()
    }
}

impl Type for Kind {
    fn shape(&self) -> Shape<'_> {
        if self.own == "any" {
            return Shape::Deduced;
        }
        if self.says("atomic_list") {
            return Shape::AtomicList;
        }
        if self.says("set") {
            return Shape::Set;
        }
        if self.says("keys") {
            return Shape::ListMap(keys(self.own));
        }
        match (self.says("fields") || self.says("items"), self.says("atomic")) {
            (true, true) => Shape::AtomicMap,
            (true, false) => Shape::Map,
            (false, _) => Shape::Scalar,
        }
    }

    fn field(&self, name: &str) -> Option<Self> {
        if self.own == "any" {
            return Some(*self);
        }
        let declared = self.own.get("fields").and_then(|fields| fields.get(name));
        self.to(declared.or_else(|| self.own.get("items")))
    }

    fn declares(&self, name: &str) -> bool {
        self.own.get("fields").is_some_and(|fields| fields.get(name).is_some())
    }

    fn scalar(&self) -> ScalarKind {
        match self.own.as_str().or_else(|| self.own.get("scalar")?.as_str()) {
            Some("string") => ScalarKind::String,
            Some("number") => ScalarKind::Number,
            Some("boolean") => ScalarKind::Boolean,
            Some(_) | None => ScalarKind::Any,
        }
    }

    fn element(&self) -> Option<Self> {
        let own = self.own;
        self.to(own.get("of").or_else(|| own.get("set")).or_else(|| own.get("atomic_list")))
    }

    fn default(&self) -> Option<&Value> {
        self.own.get("default")
    }

    fn splits(&self) -> bool {
        !self.says("whole")
    }

    fn patch_strategy(&self) -> PatchStrategy<'_> {
        let strategies = self.own.get("patch").and_then(Value::as_str).unwrap_or_default();
        PatchStrategy {
            merge: strategies.contains("merge"),
            retain_keys: strategies.contains("retainKeys"),
            replace: strategies.contains("replace"),
            merge_key: self.own.get("merge_key").and_then(Value::as_str),
        }
    }
}

/// The trait hands out strings, the file has values: each list of keys is made once.
fn keys(own: &'static Value) -> &'static [String] {
    use std::sync::Mutex;
    static MADE: Mutex<BTreeMap<usize, &'static [String]>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().expect("no test panics while it holds the lock");
    made.entry(std::ptr::from_ref(own).addr()).or_insert_with(|| {
        let keys: Vec<String> =
            serde_json::from_value(own["keys"].clone()).expect("keys are names");
        Vec::leak(keys)
    })
}
