//! The OpenAPI 3.1 document, written from the table of operations and the types' own schemas.

use atelier_api::session::{EVENTS_PATH, Event, RUN_PATH, ToClient, ToServer};
use atelier_api::table::{Visitor, visit_all};
use atelier_api::{API_ROOT, Method, Operation, Problem};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut writer =
        Writer { schemas: SchemaSettings::openapi3().into_generator(), paths: Map::new() };
    visit_all(&mut writer);
    writer.sessions();
    let problem = writer.reference::<Problem>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Atelier",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A self-hosted workshop for developers and AI agents.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
        },
        "servers": [{ "url": API_ROOT }],
        "paths": writer.paths,
        "components": {
            "schemas": writer.schemas.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "It failed: what, why, and what to do next (RFC 9457).",
                    "content": { "application/problem+json": { "schema": problem } }
                }
            },
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } }
        },
        "security": [{ "key": [] }, {}]
    })
}

struct Writer {
    schemas: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Writer {
    fn reference<T: JsonSchema>(&mut self) -> Value {
        self.schemas.subschema_for::<T>().to_value()
    }

    /// Sessions are WebSockets, which OpenAPI can only name; their messages are in the schemas.
    fn sessions(&mut self) {
        let (from, to) = (self.reference::<ToServer>(), self.reference::<ToClient>());
        let event = self.reference::<Event>();
        self.paths.insert(
            RUN_PATH.to_owned(),
            json!({ "get": {
                "operationId": "env.run",
                "summary": "Runs a command in an environment: a WebSocket session.",
                "x-session": { "client": from, "server": to },
                "responses": { "101": { "description": "The session." },
                               "default": { "$ref": "#/components/responses/Problem" } }
            }}),
        );
        self.paths.insert(
            EVENTS_PATH.to_owned(),
            json!({ "get": {
                "operationId": "events.stream",
                "summary": "Sends what happens, as server-sent events.",
                "responses": { "200": { "description": "Events.",
                    "content": { "text/event-stream": { "schema": event } } } }
            }}),
        );
    }
}

impl Visitor for Writer {
    fn visit<O: Operation>(&mut self) {
        let output = self.reference::<O::Output>();
        let input = self.schemas.root_schema_for::<O::Input>().to_value();
        let in_path = |name: &str| O::PATH.contains(&format!("{{{name}}}"));
        let required: Vec<&str> =
            input["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = input["properties"].as_object().cloned().unwrap_or_default();
        let parameters: Vec<Value> = properties
            .iter()
            .filter(|(name, _)| O::METHOD.uses_query() || in_path(name))
            .map(|(name, schema)| {
                json!({
                    "name": name,
                    "in": if in_path(name) { "path" } else { "query" },
                    "required": in_path(name) || required.contains(&name.as_str()),
                    "schema": schema
                })
            })
            .collect();
        let mut operation = json!({
            "operationId": O::NAME,
            "summary": O::SUMMARY.trim(),
            "parameters": parameters,
            "responses": {
                "200": { "description": "Done.", "content": { "application/json": { "schema": output } } },
                "default": { "$ref": "#/components/responses/Problem" }
            }
        });
        if O::METHOD == Method::Post {
            let mut body = input;
            body.as_object_mut()
                .map(|b| (b.remove("$schema"), b.remove("title"), b.remove("components")));
            strip(&mut body, &in_path);
            operation["requestBody"] =
                json!({ "content": { "application/json": { "schema": body } } });
        }
        let path = self.paths.entry(O::PATH).or_insert_with(|| json!({}));
        path[O::METHOD.as_str().to_lowercase()] = operation;
    }
}

/// Takes the fields that travel in the path out of a body's schema.
fn strip(body: &mut Value, in_path: &dyn Fn(&str) -> bool) {
    if let Some(properties) = body["properties"].as_object_mut() {
        properties.retain(|name, _| !in_path(name));
    }
    if let Some(required) = body["required"].as_array_mut() {
        required.retain(|name| !name.as_str().is_some_and(in_path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_fields_are_parameters_and_the_rest_is_the_body() {
        let document = document();
        let apply = &document["paths"]["/environments/{env}/apply"]["post"];
        assert_eq!(apply["operationId"], "env.apply");
        assert_eq!(apply["parameters"][0]["in"], "path");
        let body = &apply["requestBody"]["content"]["application/json"]["schema"]["properties"];
        assert!(body.get("env").is_none() && body.get("branch").is_some());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|v| references(v, found));
                }
                Value::Array(list) => list.iter().for_each(|v| references(v, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
