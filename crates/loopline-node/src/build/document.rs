//! Configurations between the plan's words and the documents of images.

use loopline_formats::dockerfile::plan::{Configuration, Healthcheck};
use serde_json::{Map, Value, json};

/// Reads what a base image says of itself.
pub(super) fn read(configuration: &Value) -> Configuration {
    let own = configuration.get("config").cloned().unwrap_or(Value::Null);
    let text = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let list = |value: &Value, name: &str| {
        let list = value.get(name)?.as_array()?;
        Some(list.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    let keys = |name: &str| {
        let map = own.get(name).and_then(Value::as_object);
        map.into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    let labels = own.get("Labels").and_then(Value::as_object);
    let healthcheck = own.get("Healthcheck").filter(|it| it.is_object()).map(|check| {
        let number = |name: &str| check.get(name).and_then(Value::as_i64).unwrap_or(0);
        Healthcheck {
            test: list(check, "Test").unwrap_or_default(),
            interval_ns: number("Interval"),
            timeout_ns: number("Timeout"),
            start_period_ns: number("StartPeriod"),
            start_interval_ns: number("StartInterval"),
            retries: u32::try_from(number("Retries")).unwrap_or(0),
        }
    });
    Configuration {
        environment: list(&own, "Env")
            .unwrap_or_default()
            .iter()
            .map(|line| {
                let (name, value) = line.split_once('=').unwrap_or((line, ""));
                (name.to_owned(), value.to_owned())
            })
            .collect(),
        command: list(&own, "Cmd"),
        entrypoint: list(&own, "Entrypoint"),
        working_directory: text(&own, "WorkingDir"),
        user: text(&own, "User"),
        exposed_ports: keys("ExposedPorts"),
        volumes: keys("Volumes"),
        labels: labels
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        stop_signal: Some(text(&own, "StopSignal")).filter(|it| !it.is_empty()),
        shell: list(&own, "Shell"),
        healthcheck,
        on_build: list(&own, "OnBuild").unwrap_or_default(),
        author: Some(text(configuration, "author")).filter(|it| !it.is_empty()),
    }
}

/// Writes the `config` of an image.
pub(super) fn write(config: &Configuration) -> Value {
    let mut own = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !is_empty {
            own.insert(name.to_owned(), value);
        }
    };
    let set = |names: &std::collections::BTreeSet<String>| {
        Value::Object(names.iter().map(|name| (name.clone(), json!({}))).collect())
    };
    put("User", json!(config.user));
    put("ExposedPorts", set(&config.exposed_ports));
    let env: Vec<_> =
        config.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    put("Env", json!(env));
    put("Entrypoint", json!(config.entrypoint));
    put("Cmd", json!(config.command));
    if let Some(health) = &config.healthcheck {
        let mut check = Map::new();
        check.insert("Test".to_owned(), json!(health.test));
        let numbers = [
            ("Interval", health.interval_ns),
            ("Timeout", health.timeout_ns),
            ("StartPeriod", health.start_period_ns),
            ("StartInterval", health.start_interval_ns),
            ("Retries", i64::from(health.retries)),
        ];
        for (name, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
            check.insert(name.to_owned(), json!(number));
        }
        put("Healthcheck", Value::Object(check));
    }
    put("Volumes", set(&config.volumes));
    put("WorkingDir", json!(config.working_directory));
    put("Labels", json!(config.labels));
    put("StopSignal", json!(config.stop_signal));
    put("Shell", json!(config.shell));
    put("OnBuild", json!(config.on_build));
    Value::Object(own)
}
