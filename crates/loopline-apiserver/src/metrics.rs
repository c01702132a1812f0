//! `metrics.k8s.io`: what nodes and pods use, told by a [`Metrics`] provider and never stored.

use std::future::Future;
use std::pin::Pin;

use loopline_clock::Timestamp;
use serde_json::{Value, json};

use crate::call::Call;
use crate::object;
use crate::selector::Filter;
use crate::status::{Result, Status};
use crate::verbs::create::seconds;

/// The group of the metrics.
pub(crate) const GROUP: &str = "metrics.k8s.io";

/// A future of a provider.
pub type MetricsFuture<'a, T> = Pin<Box<dyn Future<Output = Result<Vec<T>>> + Send + 'a>>;

/// Knows what nodes and pods use.
pub trait Metrics: Send + Sync + 'static {
    /// Returns what every node uses.
    fn nodes(&self) -> MetricsFuture<'_, NodeUsage>;

    /// Returns what the pods of a namespace use; those of all namespaces for an empty name.
    fn pods<'a>(&'a self, namespace: &'a str) -> MetricsFuture<'a, PodUsage>;
}

/// An amount of what is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time per second, in billionths of a processor.
    pub cpu_nanos: u64,
    /// Memory that cannot be given back.
    pub memory_bytes: u64,
}

/// When and over what time something was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The end.
    pub end: Timestamp,
    /// The length.
    pub seconds: u32,
}

/// What a node uses.
#[derive(Clone, Debug)]
pub struct NodeUsage {
    /// Its name.
    pub name: String,
    /// Its labels, an object.
    pub labels: Value,
    /// When it was measured.
    pub window: Window,
    /// What it uses.
    pub usage: Usage,
}

/// What a pod uses.
#[derive(Clone, Debug)]
pub struct PodUsage {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels, an object.
    pub labels: Value,
    /// When it was measured.
    pub window: Window,
    /// What its containers use.
    pub containers: Vec<(String, Usage)>,
}

/// Answers `get` and `list`.
///
/// # Errors
/// 503 without a provider, 404 for what was not measured.
pub(crate) async fn answer(call: &Call, verb: &str) -> Result<Value> {
    let provider = call.server.metrics().ok_or_else(|| {
        Status::unavailable("the server is currently unable to handle the request")
    })?;
    let resource = &call.entry.resource;
    let created = seconds(call.server.clock().now());
    let mut items: Vec<Value> = if resource.namespaced {
        let pods = provider.pods(call.namespace()).await?;
        pods.into_iter().map(|pod| pod_metrics(pod, &created)).collect()
    } else {
        let nodes = provider.nodes().await?;
        nodes.into_iter().map(|node| node_metrics(node, &created)).collect()
    };
    if verb == "get" {
        let name = call.name()?;
        let found = items.into_iter().find(|item| object::name(item) == name);
        return found.ok_or_else(|| Status::not_found(resource, name));
    }
    let filter = Filter::parse(&call.query, resource)?;
    items.retain(|item| filter.matches(item));
    Ok(json!({
        "kind": format!("{}List", resource.kind),
        "apiVersion": call.entry.api_version(),
        "metadata": {},
        "items": items,
    }))
}

fn node_metrics(node: NodeUsage, created: &str) -> Value {
    json!({
        "kind": "NodeMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": node.name, "creationTimestamp": created, "labels": node.labels,
        },
        "timestamp": seconds(node.window.end),
        "window": format!("{}s", node.window.seconds),
        "usage": node.usage.to_value(),
    })
}

fn pod_metrics(pod: PodUsage, created: &str) -> Value {
    let containers: Vec<Value> = pod
        .containers
        .iter()
        .map(|(name, usage)| json!({"name": name, "usage": usage.to_value()}))
        .collect();
    json!({
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": pod.name, "namespace": pod.namespace, "creationTimestamp": created,
            "labels": pod.labels,
        },
        "timestamp": seconds(pod.window.end),
        "window": format!("{}s", pod.window.seconds),
        "containers": containers,
    })
}

impl Usage {
    fn to_value(self) -> Value {
        json!({
            "cpu": format!("{}n", self.cpu_nanos),
            "memory": format!("{}Ki", self.memory_bytes / 1024),
        })
    }
}
