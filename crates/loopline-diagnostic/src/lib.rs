//! Rules, diagnostics and their rendering as text, JSON and SARIF.
