//! The OpenAPI 3.1 document, written from the table of operations and the types' own schemas. What we
//! serve of others' APIs is listed too; its bodies are described by those who made it.

use atelier_api::sandbox::{GUEST_NAME, GUEST_PATH};
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
    writer.guests();
    writer.e2b();
    let problem = writer.reference::<Problem>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Atelier",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A self-hosted workshop for developers and AI agents.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
        },
        "servers": [{ "url": "/" }],
        "paths": writer.paths,
        "components": {
            "schemas": writer.schemas.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "It failed: what, why, and what to do next (RFC 9457).",
                    "content": { "application/problem+json": { "schema": problem } }
                }
            },
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer" },
                "e2b": { "type": "apiKey", "in": "header", "name": "X-API-Key" }
            }
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

    fn add(&mut self, path: &str, method: &str, operation: Value) {
        let path = self.paths.entry(path).or_insert_with(|| json!({}));
        path[method.to_lowercase()] = operation;
    }

    /// What a sandbox's guest answers by itself: streams of processes, terminals, raw files.
    fn guests(&mut self) {
        let path = format!("{API_ROOT}{GUEST_PATH}/{{path}}");
        for method in ["GET", "POST"] {
            let operation = json!({
                "operationId": format!("{GUEST_NAME}.{}", method.to_lowercase()),
                "summary": "Passes a request on to the sandbox's guest, which speaks the protocol of \
                            E2B's envd: /files, /process.Process/Start, /filesystem.Filesystem/ListDir.",
                "parameters": path_parameters(&path),
                "responses": { "default": { "description": "What the guest says." } }
            });
            self.add(&path, method, operation);
        }
    }

    /// The control plane's API of E2B, at the root of the same port.
    fn e2b(&mut self) {
        for (method, path, summary) in atelier_e2b::ROUTES {
            let operation = json!({
                "operationId": format!("e2b {method} {path}"),
                "tags": ["e2b"],
                "summary": summary,
                "externalDocs": { "url": "https://e2b.dev/docs/api-reference" },
                "parameters": path_parameters(path),
                "security": [{ "e2b": [] }],
                "responses": { "default": { "description": "As E2B's API answers." } }
            });
            self.add(path, method, operation);
        }
    }

    /// Sessions are WebSockets, which OpenAPI can only name; their messages are in the schemas.
    fn sessions(&mut self) {
        let (from, to) = (self.reference::<ToServer>(), self.reference::<ToClient>());
        let event = self.reference::<Event>();
        self.paths.insert(
            format!("{API_ROOT}{RUN_PATH}"),
            json!({ "get": {
                "operationId": "env.run",
                "summary": "Runs a command in an environment: a WebSocket session.",
                "x-session": { "client": from, "server": to },
                "responses": { "101": { "description": "The session." },
                               "default": { "$ref": "#/components/responses/Problem" } }
            }}),
        );
        self.paths.insert(
            format!("{API_ROOT}{EVENTS_PATH}"),
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
        let operation = json!({
            "operationId": O::NAME,
            "summary": O::SUMMARY.trim(),
            "responses": {
                "200": { "description": "Done.", "content": { "application/json": { "schema": output } } },
                "default": { "$ref": "#/components/responses/Problem" }
            }
        });
        self.operation(O::METHOD, O::PATH, input, operation);
    }
}

impl Writer {
    /// Adds an operation, with its input as parameters and body.
    fn operation(&mut self, method: Method, path: &str, input: Value, mut operation: Value) {
        let in_path = |name: &str| path.contains(&format!("{{{name}}}"));
        let required: Vec<&str> =
            input["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = input["properties"].as_object().cloned().unwrap_or_default();
        let parameters: Vec<Value> = properties
            .iter()
            .filter(|(name, _)| method.uses_query() || in_path(name))
            .map(|(name, schema)| {
                json!({
                    "name": name,
                    "in": if in_path(name) { "path" } else { "query" },
                    "required": in_path(name) || required.contains(&name.as_str()),
                    "schema": schema
                })
            })
            .collect();
        operation["parameters"] = parameters.into();
        if method == Method::Post {
            let mut body = input;
            body.as_object_mut()
                .map(|b| (b.remove("$schema"), b.remove("title"), b.remove("components")));
            strip(&mut body, &in_path);
            operation["requestBody"] =
                json!({ "content": { "application/json": { "schema": body } } });
        }
        self.add(&format!("{API_ROOT}{path}"), method.as_str(), operation);
    }
}

/// The parameters that stand in a path.
fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split(['{', '}']).skip(1).step_by(2);
    let parameter = |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    names.map(parameter).collect()
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
        let apply = &document["paths"]["/api/v1/environments/{env}/apply"]["post"];
        assert_eq!(apply["operationId"], "env.apply");
        assert_eq!(apply["parameters"][0]["in"], "path");
        let body = &apply["requestBody"]["content"]["application/json"]["schema"]["properties"];
        assert!(body.get("env").is_none() && body.get("branch").is_some());
    }

    #[test]
    fn both_apis_are_in_the_document() {
        let paths = &document()["paths"];
        assert_eq!(paths["/api/v1/sandboxes"]["post"]["operationId"], "sandbox.create");
        assert_eq!(paths["/sandboxes"]["post"]["tags"][0], "e2b");
        assert_eq!(paths["/sandboxes/{id}/pause"]["post"]["parameters"][0]["name"], "id");
        assert_eq!(
            paths["/api/v1/sandboxes/{sandbox}/guest/{path}"]["get"]["parameters"][1]["name"],
            "path"
        );
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
