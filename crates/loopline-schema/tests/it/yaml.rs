//! Manifests as JSON trees.

use loopline_source::SourceFile;
use loopline_source::yaml::{Data, Limits, Node, Style, parse};
use serde_json::{Map, Value};

/// Returns the documents of a stream that have content.
pub(crate) fn documents(name: &str, text: &str) -> Vec<Value> {
    let parsed = parse(&SourceFile::new(name, text), &Limits::default());
    assert!(parsed.error.is_none(), "{name}: {:?}", parsed.error);
    let trees = parsed.documents.iter().map(|document| value(&document.root));
    trees.filter(|tree| !tree.is_null()).collect()
}

fn value(node: &Node) -> Value {
    match &node.data {
        Data::Sequence(items) => items.iter().map(value).collect(),
        Data::Mapping(entries) => {
            let fields = entries.iter().map(|entry| {
                let key = entry.key.as_str().expect("keys are scalars").to_owned();
                (key, value(&entry.value))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Data::Scalar(scalar) if scalar.style == Style::Plain => match &*scalar.value {
            "" | "~" | "null" => Value::Null,
            text => serde_json::from_str(text)
                .ok()
                .filter(|value: &Value| value.is_number() || value.is_boolean())
                .unwrap_or_else(|| text.into()),
        },
        Data::Scalar(scalar) => (*scalar.value).into(),
    }
}
