//! Services of environments: Compose projects, against a real engine and the real Compose.

mod bad_input;
mod cilo;
mod cilo_projects;
mod clear;
mod data;
mod days;
mod exec;
mod keys;
mod life;
mod logs;
mod names;
mod reach;
mod recreate;
mod repair;
mod shared;
mod together;
mod trust;

/// A database that says who it is, and a web server in front of it.
pub const SHOP: &str = r#"
services:
  db:
    image: atelier-test:1
    command: ["sh", "-c", "[ -e /data/who ] || echo $$HOSTNAME > /data/who; exec nc -ll -p 5432 -e cat /data/who"]
    volumes: ["data:/data"]
    expose: ["5432"]
    stop_grace_period: 0s
  api:
    image: atelier-test:1
    command: httpd -f -p 3000 -h /site
    volumes: ["./site:/site"]
    ports: ["3000:3000"]
    depends_on: [db]
    stop_grace_period: 0s
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:3000/"]
      interval: 200ms
      retries: 50
    labels: {atelier.ingress: "true"}
volumes: {data: {}}
"#;
