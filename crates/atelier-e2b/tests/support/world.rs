//! Sandboxes, snapshots, templates and images in memory, with what our operations do to them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use atelier_api::{ExitCode, Problem};

/// Everything there is.
#[derive(Default)]
pub struct World {
    pub sandboxes: Vec<Value>,
    pub snapshots: Vec<Value>,
    pub templates: Vec<Value>,
    pub images: Vec<Value>,
    /// The names of the calls that were made, and what with.
    pub calls: Vec<(String, Value)>,
    made: u64,
}

type Done = Result<Value, Problem>;

fn missing(what: &str) -> Problem {
    Problem::new("world.not_found", ExitCode::NotFound, format!("{what} is not there"))
}

impl World {
    /// A world with the template and the image that tests start from.
    pub fn with_base(&mut self) {
        self.images.push(json!({"id": "sha256:1", "names": ["docker.io/library/ubuntu:22.04"],
            "platform": "linux/amd64", "layers": 1, "size_bytes": 1, "created_at": Timestamp::now()}));
        let spec = json!({"image": "debian", "user": "user", "workdir": "/home/user"});
        self.template("base", spec);
    }

    pub fn template(&mut self, name: &str, mut spec: Value) -> Value {
        self.made += 1;
        spec["image"] = spec.get("image").cloned().unwrap_or_else(|| json!("debian"));
        let template = json!({"name": name, "spec": spec, "image": format!("sha256:t{}", self.made),
            "inputs": format!("i{}", self.made), "built_at": Timestamp::now(), "size_bytes": 2 << 20});
        self.templates.retain(|own| own["name"] != name);
        self.templates.push(template.clone());
        template
    }

    pub fn state(&self, sandbox: &str) -> Option<&str> {
        self.sandboxes.iter().find(|own| own["id"] == sandbox)?["state"].as_str()
    }

    pub fn names(&self) -> Vec<&str> {
        self.templates.iter().filter_map(|template| template["name"].as_str()).collect()
    }

    /// The inputs of the calls of one name.
    pub fn called(&self, name: &str) -> Vec<Value> {
        self.calls.iter().filter(|(own, _)| own == name).map(|(_, input)| input.clone()).collect()
    }

    pub fn call(&mut self, name: &str, input: &Value) -> Done {
        self.calls.push((name.to_owned(), input.clone()));
        match name {
            "sandbox.create" => self.create(input),
            "sandbox.list" => Ok(Value::Array(self.sandboxes.iter().rev().cloned().collect())),
            "sandbox.show" => self.one(input).map(|own| own.clone()),
            "sandbox.remove" => {
                let id = self.one(input)?["id"].clone();
                self.sandboxes.retain(|own| own["id"] != id);
                Ok(json!({}))
            }
            "sandbox.pause" => self.set(input, &json!({"state": "paused"})),
            "sandbox.stop" => self.set(input, &json!({"state": "stopped"})),
            "sandbox.network" => self.set(input, &json!({"network": input["network"]})),
            "sandbox.resume" => {
                self.set(input, &json!({"state": "running", "started_at": Timestamp::now()}))?;
                self.extend(input)
            }
            "sandbox.extend" => self.extend(input),
            "sandbox.fork" => {
                let own = self.one(input)?.clone();
                let copies = (0..input["count"].as_u64().unwrap()).map(|_| self.copy(&own));
                Ok(copies.collect())
            }
            "sandbox.metrics" => self.metrics(input),
            "sandbox.snapshot" => self.snapshot(input),
            "snapshot.list" => Ok(Value::Array(self.snapshots.clone())),
            "snapshot.remove" => {
                self.snapshots.retain(|own| own["id"] != input["snapshot"]);
                Ok(json!({}))
            }
            "image.list" => Ok(Value::Array(self.images.clone())),
            "template.list" => Ok(Value::Array(self.templates.clone())),
            "template.commit" => {
                self.one(input)?;
                Ok(self.template(input["name"].as_str().unwrap(), input["spec"].clone()))
            }
            "template.build" => {
                let mut spec = input.clone();
                spec.as_object_mut().unwrap().retain(|key, _| key != "name" && key != "force");
                let image = spec["image"].clone();
                let mut template = self.template(input["name"].as_str().unwrap(), spec);
                template["image"] = image;
                *self.templates.last_mut().unwrap() = template.clone();
                Ok(json!({"template": template, "rebuilt": true, "log": ""}))
            }
            "template.remove" => {
                self.templates.retain(|own| own["name"] != input["template"]);
                Ok(json!({}))
            }
            other => panic!("{other} is not in this world"),
        }
    }

    fn one(&mut self, input: &Value) -> Result<&mut Value, Problem> {
        let wanted = input["sandbox"].as_str().unwrap();
        // As the real one does: the beginning of an id will do.
        let is = |own: &Value| wanted.len() >= 4 && own["id"].as_str().unwrap().starts_with(wanted);
        self.sandboxes.iter_mut().find(|own| is(own)).ok_or_else(|| missing(wanted))
    }

    fn set(&mut self, input: &Value, what: &Value) -> Done {
        let own = self.one(input)?;
        for (key, value) in what.as_object().unwrap() {
            own[key] = value.clone();
        }
        Ok(own.clone())
    }

    fn extend(&mut self, input: &Value) -> Done {
        let seconds = input["timeout"].as_i64().unwrap();
        if seconds == 0 {
            let kill = self.one(input)?["on_expiry"] == "kill";
            if kill {
                let own = self.one(input)?.clone();
                self.sandboxes.retain(|other| other["id"] != own["id"]);
                return Ok(own);
            }
            return self.set(input, &json!({"state": "paused"}));
        }
        let end = Timestamp::now() + SignedDuration::from_secs(seconds);
        self.set(input, &json!({"expires_at": end}))
    }

    fn create(&mut self, input: &Value) -> Done {
        let from = ["from", "template", "image"].iter().find_map(|key| input[*key].as_str());
        let from = from.unwrap().to_owned();
        let mut own = json!({"state": "running", "runtime": "oci"});
        let snapshot = self.snapshots.iter().find(|s| s["id"] == from || s["name"] == from);
        if self.templates.iter().any(|template| template["name"] == from) {
            own["template"] = json!(from);
        } else if let Some(snapshot) = snapshot {
            own["snapshot"] = snapshot["id"].clone();
        } else if self
            .images
            .iter()
            .any(|image| image["names"][0].as_str().unwrap().ends_with(&from))
        {
            own["image"] = json!(from);
        } else {
            return Err(missing(&from));
        }
        own["access_token"] = json!("access");
        own["traffic_token"] = json!("traffic");
        own["notes"] = json!([]);
        own["on_expiry"] = input["on_expiry"].clone();
        own["auto_resume"] = input["auto_resume"].clone();
        own["public"] = input["public"].clone();
        own["metadata"] = input.get("metadata").cloned().unwrap_or_else(|| json!({}));
        own["network"] = input.get("network").cloned().unwrap_or_else(|| json!({}));
        own["resources"] = json!({"cpus": 2.0, "memory": 512 << 20, "disk": 1 << 30});
        let seconds = input["timeout"].as_i64().unwrap();
        own["expires_at"] = json!(Timestamp::now() + SignedDuration::from_secs(seconds));
        Ok(self.copy(&own))
    }

    /// A new sandbox like this one.
    fn copy(&mut self, like: &Value) -> Value {
        self.made += 1;
        let mut own = like.clone();
        own["id"] = json!(format!("{:032x}", u128::from(self.made) << 64 | 0xabc));
        own["created_at"] = json!(Timestamp::now());
        own["started_at"] = own["created_at"].clone();
        self.sandboxes.push(own.clone());
        own
    }

    fn snapshot(&mut self, input: &Value) -> Done {
        let sandbox = self.one(input)?["id"].clone();
        self.made += 1;
        let mut snapshot = json!({"id": format!("snap{}", self.made), "sandbox": sandbox,
            "runtime": "oci", "memory": input["memory"].as_bool().unwrap_or(true),
            "created_at": Timestamp::now(), "size_bytes": 1});
        if let Some(name) = input["name"].as_str() {
            snapshot["name"] = json!(name);
        }
        self.snapshots.push(snapshot.clone());
        Ok(snapshot)
    }

    fn metrics(&mut self, input: &Value) -> Done {
        self.one(input)?;
        let now = Timestamp::now();
        let before = |limit: &Value| {
            limit.as_str().is_none_or(|limit| limit.parse::<Timestamp>().unwrap() >= now)
        };
        if !before(&input["until"]) {
            return Ok(json!([]));
        }
        Ok(json!([{"at": now.as_second(), "cpu_count": 2.0, "cpu_percent": 12.5,
            "memory_used": 100, "memory_cache": 10, "memory_total": 1000, "disk_used": 5,
            "disk_total": 50, "network_sent": 0, "network_received": 0, "processes": 3}]))
    }
}
