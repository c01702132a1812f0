//! What merging knows of types: the shape of a value, its parts, and how its lists are merged.

use serde_json::Value;

/// How a value of a type is merged by server-side apply (structured merge).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape<'a> {
    /// A leaf: null, boolean, number, string, or a value that is only ever replaced whole
    /// (a quantity, an int-or-string, a raw extension).
    Scalar,
    /// A list that is replaced as a whole.
    AtomicList,
    /// A list of scalars without duplicates (`x-kubernetes-list-type: set`).
    Set,
    /// A list of objects told apart by these fields (`x-kubernetes-list-type: map`).
    ListMap(&'a [String]),
    /// An object that is replaced as a whole (`x-kubernetes-map-type: atomic`).
    AtomicMap,
    /// An object whose fields have owners of their own.
    Map,
    /// A value without a declared type: its shape follows from the value, lists are atomic.
    Deduced,
}

/// What a [`Shape::Scalar`] may hold. Null is always allowed: it means "not set".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScalarKind {
    /// Anything, objects and lists too; they are only ever replaced whole.
    #[default]
    Any,
    /// An integer or a fraction.
    Number,
    /// A string.
    String,
    /// True or false.
    Boolean,
}

/// How a field is merged by a strategic merge patch (`x-kubernetes-patch-strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy<'a> {
    /// Lists are merged by `merge_key`, or as sets of scalars; without it lists are replaced.
    pub merge: bool,
    /// `$retainKeys` is honoured and asked for: what the patch does not name is removed.
    pub retain_keys: bool,
    /// The value is replaced as a whole although its type is an object.
    pub replace: bool,
    /// `x-kubernetes-patch-merge-key`: the field that tells the elements of a merged list apart.
    pub merge_key: Option<&'a str>,
}

/// A type where it stands: the declared type together with the annotations of the field, list
/// or map that it is the value of.
pub trait Type: Copy {
    /// Returns how a value of this type is merged by server-side apply.
    fn shape(&self) -> Shape<'_>;

    /// Returns the type of a field of an object, or of a map's values; nothing for a field that
    /// the type does not declare. Of a [`Shape::Deduced`] type every field is deduced.
    fn field(&self, name: &str) -> Option<Self>;

    /// Returns whether the type declares this field by its name. A map's items and unknown fields
    /// that are let through are not declared: they are owned as items of their own, besides what
    /// they contain. Of a [`Shape::Deduced`] type no field is declared.
    fn declares(&self, name: &str) -> bool;

    /// Returns what a [`Shape::Scalar`] may hold.
    fn scalar(&self) -> ScalarKind {
        ScalarKind::Any
    }

    /// Returns the type of a list's elements.
    fn element(&self) -> Option<Self>;

    /// Returns the default that the schema declares for a value of this type: the key fields of
    /// list maps (`protocol: TCP`) are completed with it.
    fn default(&self) -> Option<&Value>;

    /// Returns whether who owns a value as a whole owns its parts too, which is how an atomic type
    /// becomes a granular one. Kubernetes' types all do.
    fn splits(&self) -> bool {
        true
    }

    /// Returns how a strategic merge patch treats a value here.
    fn patch_strategy(&self) -> PatchStrategy<'_>;
}
