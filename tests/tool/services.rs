//! Services of tools: started in order, shown, followed, stopped; their data saved and brought back.

use std::fs;

use super::Shed;

const SERVICE: &str = "schema_version: atelier/1\nname: keeper\ndescription: serves\nmaturity: verified\n\
    service: {type: process, command: [python3, server.py]}\nports: [{port: PORT}]\n\
    health: {http: 'http://127.0.0.1:PORT/', interval: 100ms, retries: 100}\n\
    data: [{path: data}]\n";
const SERVER: &str = "import http.server, sys\n\
    class H(http.server.BaseHTTPRequestHandler):\n\
    \x20   def do_GET(self):\n        self.send_response(200); self.end_headers(); self.wfile.write(b'well')\n\
    print('it begins', flush=True)\n\
    http.server.HTTPServer(('127.0.0.1', PORT), H).serve_forever()\n";

/// A shed with a service on a port that is free now.
fn service() -> Shed {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let with_port = |text: &str| text.replace("PORT", &port.to_string());
    let shed = Shed::new();
    shed.publish(
        "keeper",
        &[("plugin.yaml", &with_port(SERVICE)), ("server.py", &with_port(SERVER))],
    );
    shed.init();
    shed.ok(&["add", "keeper", "--yes"]);
    shed
}

#[test]
fn a_service_is_started_until_it_is_well_shown_and_stopped() {
    let shed = service();
    assert!(shed.ok(&["start", "keeper"]).contains("started keeper"));
    assert!(shed.ok(&["start", "keeper"]).contains("already running"));
    let status = shed.json(&["status", "keeper"]);
    assert_eq!(status[0]["state"], "running", "{status}");
    assert!(status[0]["memory"].as_u64().unwrap() > 1 << 20, "{status}");
    assert!(shed.ok(&["logs", "keeper"]).contains("it begins"));
    shed.ok(&["restart", "keeper"]);
    let again = shed.json(&["status", "keeper"]);
    assert_ne!(again[0]["pids"], status[0]["pids"]);
    assert!(shed.ok(&["stop", "keeper"]).contains("stopped keeper"));
    assert_eq!(shed.json(&["status", "keeper"])[0]["state"], "stopped");
}

#[test]
fn a_port_that_somebody_has_is_named_with_who_has_it() {
    let shed = service();
    let port = shed.json(&["show", "keeper"])["plugin"]["ports"][0]["port"].as_u64().unwrap();
    let _other = std::net::TcpListener::bind(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    shed.fails(&["start", "keeper"], 9, &[&port.to_string(), &std::process::id().to_string()]);
}

#[test]
fn saved_data_comes_back_and_the_service_runs_as_before() {
    let shed = service();
    shed.ok(&["start", "keeper"]);
    let data = shed.tools().join("plugins/keeper/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("notes"), "first").unwrap();
    shed.ok(&["backup", "keeper"]);
    assert!(shed.ok(&["backup", "keeper", "--verify"]).contains("is whole"));
    fs::write(data.join("notes"), "second").unwrap();
    shed.ok(&["restore", "keeper", "--yes"]);
    assert_eq!(fs::read_to_string(data.join("notes")).unwrap(), "first");
    assert_eq!(shed.json(&["status", "keeper"])[0]["state"], "running");
    shed.ok(&["remove", "keeper", "--yes"]);
}
