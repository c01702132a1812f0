//! What there is only once: cluster addresses of services, and node ports.
//!
//! Reservations live in memory and are read from the stored services when the server begins. A
//! write reserves first, is stored, and then keeps what it reserved or gives it back; so two
//! writes at the same time never get the same. A write whose request was broken off leaves its
//! reservation behind: whoever asks for the same looks whether its holder really has it.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loopline_clock::Clock;
use loopline_schema::{Cause, FieldError};
use serde_json::{Value, json};

use crate::Server;
use crate::admission::quota::Guard;
use crate::admission::{Attributes, Operation};
use crate::object;
use crate::registry::Entry;
use crate::status::{Result, Status};

/// The first address of the network of cluster addresses.
const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 0);

/// The length of its prefix.
const PREFIX: u32 = 12;

/// Addresses below this offset are given only to services that ask for them, as long as there
/// are others.
const STATIC_ADDRESSES: u32 = 256;

/// The address of the API itself.
pub const API_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The first node port.
const FIRST_PORT: u16 = 30_000;

/// The last node port.
const LAST_PORT: u16 = 32_767;

/// So many of the first node ports are given only to services that ask for them, as long as
/// there are others.
const STATIC_PORTS: u32 = 86;

/// How often a reservation is tried again after its holder turned out not to have it.
const MAX_TRIES: usize = 2;

/// Something that only one service can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Item {
    Address(Ipv4Addr),
    Port(u16),
}

/// Who holds an item.
#[derive(Clone, Debug)]
struct Holder {
    namespace: String,
    name: String,
    /// The write that reserved it is still under way.
    pending: bool,
}

type State = HashMap<Item, Holder>;

/// The reservations of a server; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allocator(Arc<Mutex<State>>);

/// What was reserved for a write, and what it no longer needs.
#[derive(Debug, Default)]
#[must_use = "a reservation is kept or given back"]
pub struct Allocation {
    allocator: Allocator,
    taken: Vec<Item>,
    unneeded: Vec<Item>,
    /// What the write changes, for the quotas of its namespace.
    place: Option<(Arc<Entry>, String)>,
    /// Keeps others from adding to the namespace until the write is over.
    quota: Option<Guard>,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        // Nobody said whether the write happened: the holder is asked when it matters.
        let mut state = self.allocator.lock();
        for item in &self.taken {
            if let Some(holder) = state.get_mut(item) {
                holder.pending = false;
            }
        }
    }
}

impl Allocator {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns what a stored service holds.
    pub(crate) fn learn(&self, service: &Value) {
        let holder = Holder {
            namespace: object::namespace(service).to_owned(),
            name: object::name(service).to_owned(),
            pending: false,
        };
        let mut state = self.lock();
        for item in items(service) {
            state.entry(item).or_insert_with(|| holder.clone());
        }
    }

    fn forget(&self, service: &Value) {
        let mut state = self.lock();
        for item in items(service) {
            let held = state.get(&item).is_some_and(|holder| {
                holder.namespace == object::namespace(service)
                    && holder.name == object::name(service)
            });
            if held {
                state.remove(&item);
            }
        }
    }

    /// Reserves an item, or says who has it.
    fn take(&self, item: Item, holder: &Holder) -> std::result::Result<(), Holder> {
        let mut state = self.lock();
        if let Some(other) = state.get(&item) {
            return Err(other.clone());
        }
        state.insert(item, holder.clone());
        Ok(())
    }

    /// Reserves any item of a range: first of the part that is not kept for those who ask.
    fn take_any(
        &self,
        clock: &Clock,
        holder: &Holder,
        count: u32,
        reserved: u32,
        item: impl Fn(u32) -> Item,
    ) -> Option<Item> {
        let mut state = self.lock();
        for (first, count) in [(reserved, count - reserved), (0, reserved)] {
            let start = random(clock) % count;
            let free = (0..count)
                .map(|step| item(first + (start + step) % count))
                .find(|item| !state.contains_key(item));
            if let Some(free) = free {
                state.insert(free, holder.clone());
                return Some(free);
            }
        }
        None
    }
}

fn random(clock: &Clock) -> u32 {
    let mut bytes = [0; 4];
    clock.fill_random(&mut bytes);
    u32::from_le_bytes(bytes)
}

/// How many addresses can be given: all but the network's own and its broadcast address.
const ADDRESSES: u32 = (1 << (32 - PREFIX)) - 2;

fn address(offset: u32) -> Item {
    Item::Address(Ipv4Addr::from(u32::from(NETWORK) + 1 + offset))
}

fn port(offset: u32) -> Item {
    Item::Port(FIRST_PORT + u16::try_from(offset).unwrap_or(0))
}

fn in_network(address: Ipv4Addr) -> bool {
    let offset = u32::from(address).wrapping_sub(u32::from(NETWORK) + 1);
    offset < ADDRESSES
}

/// Returns what a service holds.
fn items(service: &Value) -> Vec<Item> {
    let spec = &service["spec"];
    let addresses = spec["clusterIPs"].as_array().into_iter().flatten();
    let mut items: Vec<Item> = addresses
        .chain(std::iter::once(&spec["clusterIP"]))
        .filter_map(|address| address.as_str()?.parse().ok())
        .map(Item::Address)
        .collect();
    let ports = spec["ports"].as_array().into_iter().flatten().map(|port| &port["nodePort"]);
    let ports = ports.chain(std::iter::once(&spec["healthCheckNodePort"]));
    items.extend(
        ports
            .filter_map(|port| u16::try_from(port.as_u64()?).ok())
            .filter(|port| *port != 0)
            .map(Item::Port),
    );
    let mut distinct = Vec::with_capacity(items.len());
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}

fn is_service(entry: &Entry) -> bool {
    entry.custom().is_none() && entry.resource.group.is_empty() && entry.resource.kind == "Service"
}

fn needs_address(service: &Value) -> bool {
    service["spec"]["type"] != "ExternalName"
}

fn is_headless(service: &Value) -> bool {
    let spec = &service["spec"];
    spec["clusterIP"] == "None" || spec["clusterIPs"][0] == "None"
}

fn takes_ports(service: &Value) -> bool {
    matches!(service["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer"))
}

fn needs_ports(service: &Value) -> bool {
    let spec = &service["spec"];
    spec["type"] == "NodePort"
        || spec["type"] == "LoadBalancer"
            && spec["allocateLoadBalancerNodePorts"].as_bool() != Some(false)
}

fn needs_health_port(service: &Value) -> bool {
    let spec = &service["spec"];
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

impl Server {
    /// Reserves what the object needs of what there is only once (cluster addresses, node
    /// ports), filling it in.
    ///
    /// # Errors
    /// Where what is asked for is taken.
    pub async fn allocate(&self, attributes: &mut Attributes) -> Result<Allocation> {
        let mut allocation = Allocation {
            allocator: self.allocator().clone(),
            taken: Vec::new(),
            unneeded: Vec::new(),
            place: Some((Arc::clone(&attributes.entry), attributes.namespace.clone())),
            quota: self.check_quota(attributes).await?,
        };
        let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
        if !writes || !is_service(&attributes.entry) || !attributes.subresource.is_empty() {
            return Ok(allocation);
        }
        match self.allocate_service(attributes, &mut allocation).await {
            Ok(()) => Ok(allocation),
            Err(status) => {
                self.release(allocation);
                Err(status)
            }
        }
    }

    async fn allocate_service(
        &self,
        attributes: &mut Attributes,
        allocation: &mut Allocation,
    ) -> Result<()> {
        let held = items(&attributes.old);
        let errors = families(&mut attributes.object);
        if !errors.is_empty() {
            return Err(Status::invalid(&attributes.entry.resource, &attributes.name, &errors));
        }
        let holder = Holder {
            namespace: attributes.namespace.clone(),
            name: attributes.name.clone(),
            pending: true,
        };
        self.allocate_addresses(attributes, &held, &holder, allocation).await?;
        self.allocate_ports(attributes, &held, &holder, allocation).await?;
        let needed = items(&attributes.object);
        allocation.unneeded = held.into_iter().filter(|item| !needed.contains(item)).collect();
        Ok(())
    }

    async fn allocate_addresses(
        &self,
        attributes: &mut Attributes,
        held: &[Item],
        holder: &Holder,
        allocation: &mut Allocation,
    ) -> Result<()> {
        let service = &attributes.object;
        if !needs_address(service) || is_headless(service) {
            return Ok(());
        }
        let asked = service["spec"]["clusterIPs"][0]
            .as_str()
            .or_else(|| service["spec"]["clusterIP"].as_str())
            .filter(|text| !text.is_empty())
            .map(ToOwned::to_owned);
        let address = match asked {
            None => {
                let item = self
                    .allocator()
                    .take_any(self.clock(), holder, ADDRESSES, STATIC_ADDRESSES, address)
                    .ok_or_else(|| {
                        Status::internal("failed to allocate a serviceIP: range is full")
                    })?;
                allocation.taken.push(item);
                match item {
                    Item::Address(address) => address.to_string(),
                    Item::Port(_) => return Err(Status::internal("a port is no address")),
                }
            }
            Some(text) => {
                let invalid = |why: &str| {
                    let error = FieldError::new(
                        Cause::Invalid,
                        "spec.clusterIPs",
                        json!([text]),
                        format!("failed to allocate IP {text}: {why}"),
                    );
                    Status::invalid(&attributes.entry.resource, &attributes.name, &[error])
                };
                let outside = || {
                    invalid(&format!(
                        "the provided IP ({text}) is not in the valid range. The range of valid \
                         IPs is {NETWORK}/{PREFIX}"
                    ))
                };
                let wanted: Ipv4Addr = text.parse().map_err(|_| outside())?;
                let item = Item::Address(wanted);
                if !held.contains(&item) {
                    if !in_network(wanted) {
                        return Err(outside());
                    }
                    if !self.take_item(item, holder).await? {
                        return Err(invalid("provided IP is already allocated"));
                    }
                    allocation.taken.push(item);
                }
                text
            }
        };
        let spec = object::map_mut(&mut attributes.object, "spec");
        spec.insert("clusterIP".to_owned(), json!(address));
        spec.insert("clusterIPs".to_owned(), json!([address]));
        Ok(())
    }

    async fn allocate_ports(
        &self,
        attributes: &mut Attributes,
        held: &[Item],
        holder: &Holder,
        allocation: &mut Allocation,
    ) -> Result<()> {
        if !takes_ports(&attributes.object) {
            return Ok(());
        }
        let any = needs_ports(&attributes.object);
        let count = attributes.object["spec"]["ports"].as_array().map_or(0, Vec::len);
        // What is asked for comes first, so that nothing that is chosen is in its way.
        for asked_for in [true, false] {
            for index in 0..count {
                let ports = &attributes.object["spec"]["ports"];
                let number = ports[index]["nodePort"].as_u64().unwrap_or(0);
                if (number != 0) != asked_for || !asked_for && !any {
                    continue;
                }
                let field = format!("spec.ports[{index}].nodePort");
                let number = if asked_for {
                    self.take_port(attributes, &field, number, held, holder, allocation).await?
                } else if let Some(shared) = shared_port(ports, index) {
                    shared
                } else {
                    self.any_port(holder, allocation)?
                };
                attributes.object["spec"]["ports"][index]["nodePort"] = json!(number);
            }
        }
        if needs_health_port(&attributes.object) {
            let field = "spec.healthCheckNodePort";
            let number = match attributes.object["spec"]["healthCheckNodePort"].as_u64() {
                None | Some(0) => self.any_port(holder, allocation)?,
                Some(number) => {
                    self.take_port(attributes, field, number, held, holder, allocation).await?
                }
            };
            attributes.object["spec"]["healthCheckNodePort"] = json!(number);
        }
        Ok(())
    }

    async fn take_port(
        &self,
        attributes: &Attributes,
        field: &str,
        number: u64,
        held: &[Item],
        holder: &Holder,
        allocation: &mut Allocation,
    ) -> Result<u16> {
        let invalid = |why: String| {
            let error = FieldError::new(Cause::Invalid, field, json!(number), why);
            Status::invalid(&attributes.entry.resource, &attributes.name, &[error])
        };
        let port = u16::try_from(number).unwrap_or(0);
        let item = Item::Port(port);
        if held.contains(&item) || allocation.taken.contains(&item) {
            return Ok(port);
        }
        if !(FIRST_PORT..=LAST_PORT).contains(&port) {
            return Err(invalid(format!(
                "provided port is not in the valid range. The range of valid ports is \
                 {FIRST_PORT}-{LAST_PORT}"
            )));
        }
        if !self.take_item(item, holder).await? {
            return Err(invalid("provided port is already allocated".to_owned()));
        }
        allocation.taken.push(item);
        Ok(port)
    }

    fn any_port(&self, holder: &Holder, allocation: &mut Allocation) -> Result<u16> {
        let count = u32::from(LAST_PORT - FIRST_PORT) + 1;
        let item = self.allocator().take_any(self.clock(), holder, count, STATIC_PORTS, port);
        let Some(Item::Port(number)) = item else {
            return Err(Status::internal("failed to allocate a nodePort: range is full"));
        };
        allocation.taken.push(Item::Port(number));
        Ok(number)
    }

    /// Reserves an item; returns whether it could be had.
    async fn take_item(&self, item: Item, holder: &Holder) -> Result<bool> {
        for _ in 0..MAX_TRIES {
            let Err(other) = self.allocator().take(item, holder) else { return Ok(true) };
            if other.pending {
                return Ok(false);
            }
            let services = self.built_in_entry("", "v1", "services")?;
            let found = self.find(&services, &other.namespace, &other.name).await?;
            if found.is_some_and(|stored| items(&stored.object).contains(&item)) {
                return Ok(false);
            }
            // Its write never happened. Only the same forgotten reservation is taken away.
            let mut state = self.allocator().lock();
            if state.get(&item).is_some_and(|now| {
                !now.pending && now.namespace == other.namespace && now.name == other.name
            }) {
                state.remove(&item);
            }
        }
        Ok(false)
    }

    /// Keeps what was reserved for a write that happened, and frees what the object no longer
    /// needs.
    pub fn keep(&self, mut allocation: Allocation) {
        let mut state = self.allocator().lock();
        for item in std::mem::take(&mut allocation.taken) {
            if let Some(holder) = state.get_mut(&item) {
                holder.pending = false;
            }
        }
        for item in std::mem::take(&mut allocation.unneeded) {
            state.remove(&item);
        }
        drop(state);
        drop(allocation.quota.take());
        if let Some((entry, namespace)) = allocation.place.take() {
            self.configuration().written(&entry);
            self.refresh_quotas(&entry, &namespace);
        }
    }

    /// Gives back what was reserved for a write that did not happen.
    pub fn release(&self, mut allocation: Allocation) {
        let mut state = self.allocator().lock();
        for item in std::mem::take(&mut allocation.taken) {
            state.remove(&item);
        }
    }

    /// Learns that an object is gone.
    pub fn forget(&self, entry: &Entry, object: &Value) {
        if is_service(entry) {
            self.allocator().forget(object);
        }
        self.configuration().written(entry);
        self.refresh_quotas(entry, object::namespace(object));
    }
}

/// Returns the node port of an earlier port of the same number and another protocol: a service
/// that speaks both has one number for them.
fn shared_port(ports: &Value, index: usize) -> Option<u16> {
    let this = &ports[index];
    let other = ports.as_array()?.iter().find(|other| {
        other["port"] == this["port"]
            && other["protocol"] != this["protocol"]
            && other["nodePort"].as_u64().is_some_and(|port| port != 0)
    })?;
    u16::try_from(other["nodePort"].as_u64()?).ok()
}

/// Fills in the address families of a service, on a cluster that has only one.
fn families(service: &mut Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !needs_address(service) {
        return errors;
    }
    let headless = is_headless(service);
    let free =
        headless && service["spec"]["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    let spec = object::map_mut(service, "spec");
    if let Some(address) = spec.get("clusterIP").and_then(Value::as_str)
        && !address.is_empty()
        && spec.get("clusterIPs").and_then(Value::as_array).is_none_or(Vec::is_empty)
    {
        let list = json!([address]);
        spec.insert("clusterIPs".to_owned(), list);
    } else if let Some(first) = list_of(spec, "clusterIPs").first().and_then(Value::as_str)
        && spec.get("clusterIP").and_then(Value::as_str).unwrap_or("").is_empty()
    {
        let first = json!(first);
        spec.insert("clusterIP".to_owned(), first);
    }
    let count = |field: &str, spec: &serde_json::Map<String, Value>| list_of(spec, field).len();
    let (addresses, named) = (count("clusterIPs", spec), count("ipFamilies", spec));
    let default = if free { "RequireDualStack" } else { "SingleStack" };
    let policy = spec
        .entry("ipFamilyPolicy")
        .and_modify(|policy| {
            if policy.is_null() {
                *policy = json!(default);
            }
        })
        .or_insert_with(|| json!(default))
        .clone();
    let refuse = |errors: &mut Vec<FieldError>, field: &str, value: Value, why: &str| {
        errors.push(FieldError::new(Cause::Invalid, field, value, why));
    };
    if policy == "SingleStack" {
        for (number, what) in [(addresses, "cluster IPs"), (named, "IP families")] {
            if number == 2 {
                let why = format!(
                    "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are \
                     specified"
                );
                refuse(&mut errors, "spec.ipFamilyPolicy", policy.clone(), &why);
            }
        }
    }
    if named == 0 {
        spec.insert("ipFamilies".to_owned(), json!(["IPv4"]));
    }
    if free {
        if policy != "SingleStack" && count("ipFamilies", spec) == 1 {
            let other = if list_of(spec, "ipFamilies").first().is_some_and(|one| one == "IPv6") {
                "IPv4"
            } else {
                "IPv6"
            };
            if let Some(list) = spec.get_mut("ipFamilies").and_then(Value::as_array_mut) {
                list.push(json!(other));
            }
        }
        return errors;
    }
    if policy == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        refuse(&mut errors, "spec.ipFamilyPolicy", policy, why);
    }
    for (index, family) in list_of(spec, "ipFamilies").iter().enumerate() {
        if family != "IPv4" {
            let field = format!("spec.ipFamilies[{index}]");
            refuse(&mut errors, &field, family.clone(), "not configured on this cluster");
        }
    }
    for (index, address) in list_of(spec, "clusterIPs").iter().enumerate() {
        if address.as_str().is_some_and(|text| text.contains(':')) {
            let field = format!("spec.clusterIPs[{index}]");
            let why = "may not be specified: IPv6 is not configured on this cluster";
            refuse(&mut errors, &field, address.clone(), why);
        }
    }
    errors
}

/// Fills in what a changed service left out and was given before, and drops what its new type
/// has no use for where the client did not change it.
pub(crate) fn carry_over(entry: &Entry, service: &mut Value, live: &Value) {
    if !is_service(entry) {
        return;
    }
    let (address, ports) = (needs_address(service), takes_ports(service));
    let health = needs_health_port(service);
    let spec = object::map_mut(service, "spec");
    let old = &live["spec"];
    let absent = |value: Option<&Value>| {
        value.is_none_or(|value| {
            value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
        })
    };
    if needs_address(live) && address {
        let same = absent(spec.get("clusterIP")) || spec.get("clusterIP") == old.get("clusterIP");
        if same {
            for field in ["clusterIP", "clusterIPs"] {
                if absent(spec.get(field)) && !old[field].is_null() {
                    spec.insert(field.to_owned(), old[field].clone());
                }
            }
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if absent(spec.get(field)) && !old[field].is_null() {
                spec.insert(field.to_owned(), old[field].clone());
            }
        }
    } else if needs_address(live) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if spec.get(field) == old.get(field) {
                spec.shift_remove(field);
            }
        }
    }
    if takes_ports(live) && ports {
        carry_ports(spec, old);
    } else if takes_ports(live)
        && node_ports(list_of(spec, "ports")) == node_ports(list(old, "ports"))
    {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                port.shift_remove("nodePort");
            }
        }
    }
    if needs_health_port(live) {
        let field = "healthCheckNodePort";
        if health && spec.get(field).and_then(Value::as_u64).unwrap_or(0) == 0 {
            spec.insert(field.to_owned(), old[field].clone());
        } else if !health && spec.get(field) == old.get(field) {
            spec.shift_remove(field);
        }
    }
    let balancer = spec.get("type").is_some_and(|kind| kind == "LoadBalancer");
    if old["type"] == "LoadBalancer" && !balancer {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if spec.get(field) == old.get(field) {
                spec.shift_remove(field);
            }
        }
    }
    let external = ports || spec.get("externalIPs").is_some_and(|list| !absent(Some(list)));
    if !external && spec.get("externalTrafficPolicy") == old.get("externalTrafficPolicy") {
        spec.shift_remove("externalTrafficPolicy");
    }
    if !address && spec.get("internalTrafficPolicy") == old.get("internalTrafficPolicy") {
        spec.shift_remove("internalTrafficPolicy");
    }
}

/// Gives ports without a node port the one that the same port had.
fn carry_ports(spec: &mut serde_json::Map<String, Value>, old: &Value) {
    let protocol = |port: &Value| port["protocol"].as_str().unwrap_or("TCP").to_owned();
    let mut used: Vec<u64> =
        node_ports(list_of(spec, "ports")).into_iter().filter(|p| *p != 0).collect();
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if port["nodePort"].as_u64().unwrap_or(0) != 0 {
            continue;
        }
        let before =
            old["ports"].as_array().into_iter().flatten().find(|before| {
                before["port"] == port["port"] && protocol(before) == protocol(port)
            });
        if let Some(number) = before.and_then(|before| before["nodePort"].as_u64())
            && number != 0
            && !used.contains(&number)
        {
            used.push(number);
            port["nodePort"] = json!(number);
        }
    }
}

fn list_of<'a>(spec: &'a serde_json::Map<String, Value>, field: &str) -> &'a [Value] {
    spec.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn node_ports(ports: &[Value]) -> Vec<u64> {
    ports.iter().map(|port| port["nodePort"].as_u64().unwrap_or(0)).collect()
}
