//! The official MCP Registry's `server.json` (schema 2025-12-11), made into a plugin of ours with exact pins.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::tree::{File, Tree};
use crate::home::{Source, edit, files};
use crate::{Problem, Result, ToolsError, http};

/// The plugin of a server, its version, and what to call it.
pub(crate) fn fetch(source: &Source) -> Result<(Tree, String, String)> {
    let server = match &source.path {
        Some(path) => from_file(Path::new(path))?,
        None => from_registry(source)?,
    };
    let name = text(&server, "name");
    let plugin = plugin(&server)?;
    let version = text(&server, "version");
    let mut tree = Tree::default();
    let mut put = |path: &str, bytes: Vec<u8>| {
        tree.files.insert(path.into(), File { bytes, executable: false, link: false });
    };
    put("plugin.yaml", edit::emit(&plugin).into_bytes());
    let mut original = serde_json::to_vec_pretty(&server).unwrap_or_default();
    original.push(b'\n');
    put("server.json", original);
    let short = name.rsplit('/').next().unwrap_or(&name).to_owned();
    Ok((tree, version, short.replace('.', "-")))
}

pub(super) fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn from_file(path: &Path) -> Result<Value> {
    let bytes = files::read(path)?
        .ok_or_else(|| ToolsError::Usage(format!("there is no {}", path.display())))?;
    let value: Value = serde_json::from_str(&bytes).map_err(|error| ToolsError::Invalid {
        subject: path.display().to_string(),
        problems: vec![Problem {
            line: Some(error.line() as u64),
            column: Some(error.column() as u64),
            ..Problem::of(path.display().to_string(), error.to_string())
        }],
    })?;
    Ok(inner(value))
}

/// The registry wraps a server into `{"server": …, "_meta": …}`.
pub(super) fn inner(value: Value) -> Value {
    match value.get("server") {
        Some(server) => server.clone(),
        None => value,
    }
}

pub(super) fn escape(name: &str) -> String {
    name.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn from_registry(source: &Source) -> Result<Value> {
    let base = source.url.as_deref().unwrap_or_default().trim_end_matches('/');
    let name = source.name.as_deref().unwrap_or_default();
    let version = source.version.as_deref().unwrap_or("latest");
    for api in ["v0.1", "v0"] {
        let url = format!("{base}/{api}/servers/{}/versions/{}", escape(name), escape(version));
        if let Some(value) = http::json(&url)? {
            return Ok(inner(value));
        }
    }
    // Registries of before October 2025 only list.
    let found = search(base, name)?.into_iter().find(|server| {
        text(server, "name") == name && (version == "latest" || text(server, "version") == version)
    });
    found.ok_or_else(|| ToolsError::Missing {
        what: "server in the MCP Registry named",
        name: name.to_owned(),
        known: Vec::new(),
    })
}

/// The servers whose names have these words.
fn search(base: &str, words: &str) -> Result<Vec<Value>> {
    let url =
        format!("{}/v0/servers?search={}&limit=50", base.trim_end_matches('/'), escape(words));
    let answer = http::json(&url)?.unwrap_or_default();
    let list = answer.get("servers").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(list.into_iter().map(inner).collect())
}

/// A `plugin.yaml` for a server.
pub(super) fn plugin(server: &Value) -> Result<Value> {
    let name = text(server, "name");
    let mut variables = Variables::default();
    let run = list(server, "packages").iter().find_map(|p| package(p, &mut variables));
    let run =
        run.or_else(|| list(server, "remotes").iter().find_map(|r| remote(r, &mut variables)));
    let Some((mcp, pin)) = run else {
        return Err(ToolsError::Invalid {
            subject: name,
            problems: vec![Problem::of(
                "server.json",
                "none of its packages is on npm, PyPI or OCI with an exact version and speaks stdio, and it has no remote",
            )],
        });
    };
    let title = text(server, "title");
    let short = name.rsplit('/').next().unwrap_or(&name).to_owned();
    let mut plugin = json!({
        "schema_version": atelier_plugin::SCHEMA,
        "name": if title.is_empty() { short } else { title },
        "description": text(server, "description"),
        "maturity": "community",
        "mcp": mcp,
    });
    let mut vendor = json!({ "name": name.split('/').next().unwrap_or(&name) });
    for (from, to) in [("websiteUrl", "url")] {
        if let Some(url) = server.get(from).and_then(Value::as_str) {
            vendor[to] = json!(url);
        }
    }
    plugin["vendor"] = vendor;
    if let Some(pin) = pin {
        plugin["packages"] = json!([pin]);
    }
    if !variables.0.is_empty() {
        let names: Vec<_> = variables.0.iter().map(|v| v["name"].clone()).collect();
        plugin["mcp"]["env"] = Value::Array(names);
        plugin["env_vars"] = Value::Array(variables.0);
    }
    Ok(plugin)
}

pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[derive(Default)]
struct Variables(Vec<Value>);

impl Variables {
    /// A setting; `about` is an `Input` of the schema.
    fn add(&mut self, name: &str, about: &Value) -> String {
        let name: String = name
            .to_ascii_uppercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let name =
            if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name };
        if self.0.iter().any(|v| v["name"] == json!(name)) {
            return name;
        }
        let mut variable = Map::from_iter([("name".to_owned(), json!(name))]);
        for (from, to) in [("isRequired", "required"), ("isSecret", "secret")] {
            if about.get(from).and_then(Value::as_bool) == Some(true) {
                variable.insert(to.into(), json!(true));
            }
        }
        for key in ["default", "description"] {
            if let Some(text) = about.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()) {
                variable.insert(key.into(), json!(text));
            }
        }
        let choices = list(about, "choices");
        if !choices.is_empty() {
            variable.insert("choices".into(), json!(choices));
        }
        self.0.push(Value::Object(variable));
        name
    }

    /// A text with `{name}` made into one with `$NAME`.
    fn fill(&mut self, template: &str, about: &Value) -> String {
        let mut out = template.to_owned();
        for (name, input) in about.get("variables").and_then(Value::as_object).into_iter().flatten()
        {
            let hole = format!("{{{name}}}");
            if out.contains(&hole) {
                out = out.replace(&hole, &format!("${}", self.add(name, input)));
            }
        }
        out
    }

    fn arguments(&mut self, of: &Value, key: &str) -> Vec<String> {
        let mut out = Vec::new();
        for argument in list(of, key) {
            let given = ["value", "default"].iter().find_map(|k| argument.get(*k)?.as_str());
            let value = given.map(|v| self.fill(v, argument));
            let required = argument.get("isRequired").and_then(Value::as_bool) == Some(true);
            let hint = ["valueHint", "name"].iter().find_map(|k| argument.get(*k)?.as_str());
            let value = match (value, required, hint) {
                (None, true, Some(hint)) => {
                    Some(format!("${}", self.add(hint.trim_start_matches('-'), argument)))
                }
                (value, ..) => value,
            };
            if argument.get("type").and_then(Value::as_str) == Some("named") {
                let flag = argument.get("format").and_then(Value::as_str) == Some("boolean")
                    && value.as_deref() == Some("true");
                if given.is_some() || required || value.is_none() {
                    out.push(text(argument, "name"));
                }
                out.extend(value.filter(|_| !flag));
            } else {
                out.extend(value);
            }
        }
        out
    }
}

fn exact(version: &str) -> bool {
    !version.is_empty()
        && version != "latest"
        && !version.contains(['^', '~', '*', '>', '<', ' ', '|'])
}

fn package(package: &Value, variables: &mut Variables) -> Option<(Value, Option<Value>)> {
    let transport = package.get("transport").map(|t| text(t, "type"));
    if transport.as_deref().is_some_and(|t| t != "stdio") {
        return None;
    }
    let (id, version) = (text(package, "identifier"), text(package, "version"));
    let kind = text(package, "registryType");
    let hosted = text(package, "registryBaseUrl");
    let public = hosted.is_empty()
        || ["registry.npmjs.org", "pypi.org", "docker.io"].iter().any(|h| hosted.contains(h));
    if id.is_empty() || !public || (kind != "oci" && !exact(&version)) {
        return None;
    }
    let environment: Vec<_> = list(package, "environmentVariables").to_vec();
    let mut names = Vec::new();
    for input in &environment {
        names.push(variables.add(&text(input, "name"), input));
    }
    let before = variables.arguments(package, "runtimeArguments");
    let after = variables.arguments(package, "packageArguments");
    let (command, mut args, pin) = match kind.as_str() {
        "npm" => {
            let pinned = format!("{id}@{version}");
            let mut args = vec!["-y".to_owned()];
            args.extend(before.into_iter().filter(|a| a != "-y" && a != "--yes"));
            args.push(pinned.clone());
            ("npx", args, Some(json!({ "npm": pinned })))
        }
        "pypi" => {
            let mut args = before;
            args.push(format!("{id}=={version}"));
            ("uvx", args, Some(json!({ "pypi": format!("{id}=={version}") })))
        }
        "oci" => {
            let mut args: Vec<String> = ["run", "-i", "--rm"].map(str::to_owned).into();
            args.extend(names.iter().flat_map(|name| ["-e".to_owned(), name.clone()]));
            args.extend(
                before.into_iter().filter(|a| !["run", "-i", "--rm"].contains(&a.as_str())),
            );
            args.push(id.clone());
            ("docker", args, id.contains("@sha256:").then(|| json!({ "oci": id })))
        }
        _ => return None,
    };
    args.extend(after);
    Some((json!({"transport": "stdio", "command": command, "args": args}), pin))
}

fn remote(remote: &Value, variables: &mut Variables) -> Option<(Value, Option<Value>)> {
    let transport = match text(remote, "type").as_str() {
        "streamable-http" | "http" => "http",
        "sse" => "sse",
        _ => return None,
    };
    let endpoint = variables.fill(&text(remote, "url"), remote);
    let mut mcp = json!({"transport": transport, "endpoint": endpoint});
    let mut headers = Map::new();
    for header in list(remote, "headers") {
        let name = text(header, "name");
        let value = match header.get("value").and_then(Value::as_str) {
            Some(value) => variables.fill(value, header),
            None => format!("${}", variables.add(&name, header)),
        };
        headers.insert(name, json!(value));
    }
    if !headers.is_empty() {
        mcp["headers"] = Value::Object(headers);
    }
    Some((mcp, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(server: &Value) -> atelier_plugin::Plugin {
        let text = edit::emit(&plugin(server).unwrap());
        atelier_plugin::Plugin::parse(&text, Path::new("plugin.yaml"))
            .unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    #[test]
    fn a_package_on_npm_becomes_a_pinned_plugin() {
        let server = json!({"name": "io.github.o/files", "description": "Files", "version": "1.2.3", "packages": [
            {"registryType": "mcpb", "identifier": "x", "version": "1"},
            {"registryType": "npm", "identifier": "@o/files", "version": "1.2.3", "transport": {"type": "stdio"},
             "packageArguments": [{"type": "positional", "valueHint": "root_dir", "isRequired": true}, {"type": "named", "name": "--mode", "value": "{mode}", "variables": {"mode": {"default": "ro", "choices": ["ro", "rw"]}}}],
             "environmentVariables": [{"name": "API_KEY", "isRequired": true, "isSecret": true, "description": "key"}]}]});
        let plugin = parsed(&server);
        let mcp = plugin.mcp.as_ref().unwrap();
        assert_eq!(mcp.command.as_deref(), Some("npx"));
        assert_eq!(mcp.args, ["-y", "@o/files@1.2.3", "$ROOT_DIR", "--mode", "$MODE"]);
        assert!(
            plugin.variable("API_KEY").unwrap().secret
                && plugin.variable("ROOT_DIR").unwrap().required
        );
        assert_eq!(plugin.variable("MODE").unwrap().choices, ["ro", "rw"]);
        assert_eq!(plugin.packages, [atelier_plugin::Package::Npm("@o/files@1.2.3".into())]);
    }

    #[test]
    fn a_remote_keeps_its_secret_out_of_the_file() {
        let server = json!({"name": "com.x/notes", "description": "d", "version": "1", "remotes": [
            {"type": "streamable-http", "url": "https://x/mcp", "headers": [{"name": "Authorization", "value": "Bearer {token}", "variables": {"token": {"isSecret": true, "isRequired": true}}}]}]});
        let plugin = parsed(&server);
        assert_eq!(plugin.mcp.as_ref().unwrap().headers["Authorization"], "Bearer $TOKEN");
        assert!(plugin.variable("TOKEN").unwrap().secret);
    }

    #[test]
    fn a_version_that_is_no_version_is_no_pin() {
        let server = json!({"name": "a/b", "version": "1", "packages": [{"registryType": "npm", "identifier": "x", "version": "latest"}]});
        assert!(plugin(&server).is_err());
    }
}
