//! Bodies in protobuf: what kubectl sends, and every kind there and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bolero::check;
use loopline_schema::protobuf::{Error, decode, encode};
use loopline_schema::{Scalar, TypeRef, builtin, check_types, unknown_fields};
use serde_json::{Map, Value, json};

/// What kubectl 1.32 posts, beside the object that it prints for the same command.
const BODIES: &str = include_str!("kubectl-bodies.txt");

fn bodies() -> impl Iterator<Item = (&'static str, Vec<u8>, Option<Value>)> {
    BODIES.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        let mut column = || columns.next().expect("three columns");
        let (command, body, object) = (column(), column(), column());
        (command, STANDARD.decode(body).unwrap(), serde_json::from_str(object).ok())
    })
}

#[test]
fn what_kubectl_posts_is_what_it_prints() {
    let (mut seen, mut compared) = (0, 0);
    for (command, body, printed) in bodies() {
        let mut decoded = decode(&body).unwrap_or_else(|error| panic!("{command}: {error}"));
        seen += 1;
        // Go's decoder of protobuf gives the same object back from what we write.
        assert_eq!(decode(&encode(&decoded).unwrap()).unwrap(), decoded, "{command}");
        let Some(mut printed) = printed else { continue };
        // The namespace is part of the request; only some commands print it.
        for object in [&mut decoded, &mut printed] {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("namespace");
            }
        }
        assert_eq!(decoded, printed, "{command}");
        compared += 1;
    }
    assert_eq!((seen, compared), (26, 22));
}

#[test]
fn reviews_and_tokens_are_read() {
    let of = |wanted: &str| {
        let (_, body, _) = bodies().find(|(command, ..)| *command == wanted).unwrap();
        decode(&body).unwrap()
    };
    assert_eq!(
        of("auth can-i get pods")["spec"],
        json!({"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}}),
    );
    assert_eq!(of("auth can-i --list")["spec"], json!({"namespace": "default"}));
    assert_eq!(of("auth whoami")["kind"], "SelfSubjectReview");
    assert_eq!(
        of("create token sa --duration=10m --audience=x")["spec"],
        json!({"audiences": ["x"], "expirationSeconds": 600}),
    );
}

/// Makes a value of a type with every field set, down to a depth.
fn sample(at: TypeRef<'_>, depth: usize, seed: &mut u32) -> Option<Value> {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let number = (*seed >> 16) % 1000 + 1;
    if let Some(scalar) = at.scalar() {
        return Some(match scalar {
            Scalar::String => json!(format!("text-{number}-\u{e9}")),
            Scalar::Bytes => json!(STANDARD.encode(number.to_le_bytes())),
            Scalar::Boolean => json!(true),
            Scalar::Integer32 => json!(-i64::from(number)),
            Scalar::Integer | Scalar::Integer64 => json!(i64::from(number) << 33),
            Scalar::Number => json!(f64::from(number) + 0.5),
            Scalar::Quantity => json!(format!("{number}Mi")),
            Scalar::IntOrString if number.is_multiple_of(2) => json!(number),
            Scalar::IntOrString => json!("50%"),
            Scalar::Time => json!("2024-02-29T12:34:56Z"),
            Scalar::MicroTime => json!("2024-02-29T12:34:56.123456Z"),
            Scalar::Duration => json!("1m30s"),
            Scalar::Raw | Scalar::Fields | Scalar::Json => json!({"a": {"b": [1, null, "x"]}}),
            Scalar::SchemaOrArray => json!({"type": "string"}),
            Scalar::SchemaOrBool if number.is_multiple_of(2) => json!(false),
            Scalar::SchemaOrBool => json!({"type": "integer"}),
            Scalar::SchemaOrStrings => json!(["a", "b"]),
        });
    }
    if depth == 0 {
        return None;
    }
    if let Some(values) = at.values() {
        let value = sample(values, depth - 1, seed)?;
        return Some(json!({"one": value.clone(), "two": value}));
    }
    if let Some(element) = at.items() {
        let first = sample(element, depth - 1, seed)?;
        let second = sample(element, depth - 1, seed)?;
        return Some(json!([first, second]));
    }
    let map: Map<String, Value> = at
        .fields()
        .filter(|(name, _)| {
            !matches!(*name, "apiVersion" | "kind") || at.definition().is_some_and(|d| !is_kind(&d))
        })
        .filter_map(|(name, inner)| Some((name.to_owned(), sample(inner, depth - 1, seed)?)))
        .collect();
    Some(Value::Object(map))
}

/// Kinds carry their kind and version in the envelope, not as fields.
fn is_kind(definition: &str) -> bool {
    builtin::kinds().any(|(group, version, kind)| {
        builtin(group, version, kind).unwrap().definition().as_deref() == Some(definition)
    }) || definition.ends_with("Options")
}

/// Sorts the fields of every object, so that the order in which they come does not count.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_kind_comes_back_with_every_field() {
    let mut fields = 0;
    for resource in loopline_schema::resources() {
        let (group, version, kind) = (&resource.group, &resource.version, &resource.kind);
        let at = builtin(group, version, kind).unwrap();
        let mut object = json!({"apiVersion": resource.group_version(), "kind": kind});
        let parts = sample(at, 7, &mut 7).unwrap();
        object.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        assert_eq!(unknown_fields(at, &object), Vec::<String>::new());
        assert_eq!(check_types(at, &object), []);
        let body = encode(&object).unwrap();
        let back = decode(&body).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(sorted(&back) == sorted(&object), "{kind}:\n{object:#}\n{back:#}");
        fields += object.to_string().matches("\":").count();
    }
    assert!(fields > 10_000, "{fields} fields");
}

#[test]
fn zeros_are_left_out_unless_they_are_values() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": ""}, "spec": {
        "containers": [{"name": "", "tty": false, "image": "", "securityContext": {"runAsUser": 0, "privileged": false}}],
        "hostNetwork": false, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
    }});
    assert_eq!(
        decode(&encode(&pod).unwrap()).unwrap(),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "", "securityContext": {"runAsUser": 0, "privileged": false}}],
            "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
        }}),
    );
    let mut normal = json!({"metadata": {"labels": {}, "annotations": null}, "spec": {"nodeSelector": {}, "hostPID": false,
        "priority": 0, "containers": [], "volumes": [{"name": "v", "emptyDir": {}}], "tolerations": []}});
    loopline_schema::normal::normalize(builtin("", "v1", "Pod").unwrap(), &mut normal);
    assert_eq!(
        normal,
        json!({"metadata": {}, "spec": {"priority": 0, "containers": [], "volumes": [{"name": "v", "emptyDir": {}}]}}),
    );
}

#[test]
fn bodies_that_are_none_are_refused() {
    let (_, body, _) = bodies().next().unwrap();
    assert_eq!(decode(b"{}"), Err(Error::Magic));
    assert_eq!(decode(&body[..body.len() - 20]), Err(Error::Truncated));
    let envelope = |meta: &[u8], raw: &[u8], rest: &[u8]| {
        let mut out = b"k8s\0".to_vec();
        out.extend([0x0a, meta.len() as u8]);
        out.extend(meta);
        out.extend([0x12, raw.len() as u8]);
        out.extend(raw);
        out.extend(rest);
        out
    };
    let pod = b"\x0a\x02v1\x12\x03Pod";
    assert!(matches!(decode(&envelope(b"\x0a\x02v1\x12\x01X", b"", b"")), Err(Error::Kind { .. })));
    assert_eq!(
        decode(&envelope(pod, b"", b"\x1a\x04gzip")),
        Err(Error::ContentEncoding("gzip".into()))
    );
    assert_eq!(
        decode(&envelope(pod, b"{\"a\":1}", b"\x22\x10application/json")),
        Ok(json!({"a": 1})),
    );
    // metadata as a number, metadata.name that is no UTF-8, a number that does not end.
    assert!(matches!(decode(&envelope(pod, b"\x08\x01", b"")), Err(Error::WireType { .. })));
    assert_eq!(
        decode(&envelope(pod, b"\x0a\x03\x0a\x01\xff", b"")),
        Err(Error::Utf8("name".into()))
    );
    assert_eq!(decode(&envelope(pod, &[0xff; 12], b"")), Err(Error::Overflow));
    // A field that nobody knows is passed over.
    assert_eq!(
        decode(&envelope(pod, b"\xf8\x07\x01", b"")),
        Ok(json!({"apiVersion": "v1", "kind": "Pod"}))
    );
    // Options of a delete come with the group that they are for.
    let options = json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background"});
    assert_eq!(decode(&encode(&options).unwrap()), Ok(options));
}

#[test]
fn nesting_and_size_are_bounded() {
    let mut schema = json!({"type": "object"});
    for _ in 0..60 {
        schema = json!({"type": "object", "not": schema});
    }
    let crd = |schema: Value| {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}})
    };
    assert!(encode(&crd(schema.clone())).is_ok());
    for _ in 0..60 {
        schema = json!({"type": "object", "not": schema});
    }
    assert_eq!(encode(&crd(schema)), Err(Error::Depth));
    // Two bytes an empty port: a container of a million ports fits a body.
    let mut raw = Vec::new();
    raw.extend([0x12, 0x80, 0x80, 0x7a + 1]);
    let mut ports = vec![0x12];
    push_varint(&mut ports, 1_200_000);
    ports.extend([0x32, 0x00].repeat(600_000));
    let mut spec = vec![0x12];
    push_varint(&mut spec, ports.len() as u64);
    spec.extend(ports);
    let mut body = b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12".to_vec();
    push_varint(&mut body, spec.len() as u64);
    body.extend(spec);
    assert_eq!(decode(&body), Err(Error::Size));
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Real bodies with bytes changed reach deeper than random ones.
#[test]
fn any_bytes_are_decoded_or_refused() {
    let seeds: Vec<Vec<u8>> = bodies().map(|(_, body, _)| body).collect();
    check!().with_iterations(4_000).with_max_len(256).for_each(|input: &[u8]| {
        let Some((&which, changes)) = input.split_first() else { return };
        let mut body = seeds[usize::from(which) % seeds.len()].clone();
        for pair in changes.chunks_exact(2) {
            let at = 4 + usize::from(pair[0]) % (body.len() - 4);
            body[at] = pair[1];
        }
        if let Ok(object) = decode(&body)
            && let Ok(again) = encode(&object)
        {
            // What was decoded is encoded to something that can be decoded.
            assert!(decode(&again).is_ok());
        }
        let _ = decode(&[b"k8s\0".as_slice(), input].concat());
    });
}
