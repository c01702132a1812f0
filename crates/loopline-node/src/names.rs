//! Names for containers that were given none.

use loopline_clock::Clock;

const FIRST: [&str; 32] = [
    "amber", "brisk", "calm", "clever", "copper", "coral", "crisp", "dapper", "eager", "early",
    "fair", "fleet", "gentle", "golden", "green", "hardy", "hazel", "keen", "lively", "lucid",
    "mellow", "merry", "nimble", "noble", "plain", "quick", "quiet", "ready", "silver", "steady",
    "swift", "warm",
];
const SECOND: [&str; 32] = [
    "anchor", "basin", "beacon", "bridge", "brook", "canyon", "cedar", "cliff", "creek", "delta",
    "dune", "falcon", "fern", "fjord", "grove", "harbor", "heron", "island", "lagoon", "lantern",
    "maple", "meadow", "mesa", "otter", "pine", "quarry", "reef", "ridge", "river", "summit",
    "valley", "willow",
];

/// Makes a name up.
pub(crate) fn make_up(clock: &Clock) -> String {
    let mut bytes = [0; 2];
    clock.fill_random(&mut bytes);
    let pick = |list: &[&'static str; 32], byte: u8| list[usize::from(byte) % list.len()];
    format!("{}_{}", pick(&FIRST, bytes[0]), pick(&SECOND, bytes[1]))
}

/// Says whether this may be the name of a container or volume, by Docker's rule.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.len() > 1
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}
