//! The JSON Schema of `plugin.yaml`, for editors and other programs.

use serde_json::Value;

use crate::Plugin;

/// The schema, as JSON Schema 2020-12.
#[must_use]
pub fn json_schema() -> Value {
    schemars::schema_for!(Plugin).to_value()
}
