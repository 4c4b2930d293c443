//! `atelier sandbox metrics`: what a sandbox used, over time.

use std::time::Duration;

use atelier_api::sandbox::{MetricsSample, SandboxMetrics, SandboxMetricsInput};
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::args::{SandboxArg, seconds};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, size, table};

/// How often new samples are asked for.
const EVERY: Duration = Duration::from_secs(2);

/// Arguments of `atelier sandbox metrics`.
#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// Only the last so long, such as 10m
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub since: Option<u64>,
    /// Go on as samples are taken; with --json, an object on each line
    #[arg(short, long)]
    pub follow: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &MetricsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let since = args.since.and_then(|seconds| {
        let back = SignedDuration::from_secs(i64::try_from(seconds).ok()?);
        Timestamp::now().checked_sub(back).ok()
    });
    let sandbox = args.sandbox.sandbox.clone();
    let mut input = SandboxMetricsInput { sandbox, since, until: None };
    let plane = context.control_plane()?;
    context.wait(async {
        let samples = plane.call::<SandboxMetrics>(&input).await?;
        if !args.follow {
            return show(&samples, args.json).map(|()| 0);
        }
        let mut newest = first(&samples, args.json)?;
        loop {
            tokio::time::sleep(EVERY).await;
            input.since = newest.and_then(|at| Timestamp::from_second(at).ok()).or(since);
            let samples = plane.call::<SandboxMetrics>(&input).await?;
            for sample in samples.iter().filter(|sample| newest.is_none_or(|at| sample.at > at)) {
                print(line(sample, args.json)?)?;
            }
            newest = samples.iter().map(|sample| sample.at).max().or(newest);
        }
    })
}

const HEAD: [&str; 7] = ["WHEN", "CPU", "MEMORY", "DISK", "SENT", "RECEIVED", "PROCESSES"];

/// What only the monitor of a virtual machine knows.
const MACHINE: [&str; 3] = ["READ", "WRITTEN", "HELD BACK"];

fn show(samples: &[MetricsSample], json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&samples);
    }
    if samples.iter().any(|sample| sample.devices.is_some()) {
        let [a, b, c, d, e, f, g] = HEAD;
        let [x, y, z] = MACHINE;
        let rows: Vec<_> = samples.iter().map(all_cells).collect();
        return print(table([a, b, c, d, e, f, g, x, y, z], &rows));
    }
    print(table(HEAD, &samples.iter().map(cells).collect::<Vec<_>>()))
}

/// The samples that there are, in the shape in which further ones follow; the newest one's time.
fn first(samples: &[MetricsSample], json: bool) -> Result<Option<i64>, Failure> {
    if json {
        for sample in samples {
            print(line(sample, true)?)?;
        }
    } else {
        print(format!("{}\n", columns(&HEAD.map(str::to_owned))))?;
        for sample in samples {
            print(line(sample, false)?)?;
        }
    }
    Ok(samples.iter().map(|sample| sample.at).max())
}

fn line(sample: &MetricsSample, json: bool) -> Result<String, Failure> {
    let text = if json {
        serde_json::to_string(sample).map_err(std::io::Error::other)?
    } else {
        columns(&cells(sample))
    };
    Ok(format!("{text}\n"))
}

/// Columns of a fixed width: what is still to come is not known.
fn columns(cells: &[String; 7]) -> String {
    let [when, cpu, rest @ ..] = cells;
    let rest: String = rest.iter().map(|cell| format!("  {cell:<21}")).collect();
    format!("{when:<20}  {cpu:<7}{rest}").trim_end().to_owned()
}

fn cells(sample: &MetricsSample) -> [String; 7] {
    let of = |used, total| match total {
        0 => size(used),
        total => format!("{} of {}", size(used), size(total)),
    };
    [
        Timestamp::from_second(sample.at).map_or_else(|_| "-".to_owned(), |at| format!("{at:.0}")),
        format!("{:.1}%", sample.cpu_percent),
        of(sample.memory_used, sample.memory_total),
        of(sample.disk_used, sample.disk_total),
        size(sample.network_sent),
        size(sample.network_received),
        sample.processes.to_string(),
    ]
}

fn all_cells(sample: &MetricsSample) -> [String; 10] {
    let [a, b, c, d, e, f, g] = cells(sample);
    let none = || "-".to_owned();
    let Some(devices) = &sample.devices else {
        return [a, b, c, d, e, f, g, none(), none(), none()];
    };
    let held = [(devices.disk_throttled, "disk"), (devices.network_throttled, "network")];
    let held: Vec<_> = held.iter().filter_map(|(n, of)| Some(format!("{} {of}", (*n)?))).collect();
    let held = if held.is_empty() { none() } else { held.join(", ") };
    [a, b, c, d, e, f, g, size(devices.disk_read), size(devices.disk_written), held]
}

#[cfg(test)]
mod tests {
    use atelier_api::sandbox::DeviceCounters;

    use super::*;

    #[test]
    fn what_a_monitor_counts_stands_behind_the_rest() {
        let mut sample = MetricsSample::default();
        assert_eq!(all_cells(&sample)[7..], ["-", "-", "-"]);
        let devices = DeviceCounters { disk_read: 1 << 20, ..Default::default() };
        sample.devices = Some(devices);
        assert_eq!(all_cells(&sample)[7..], ["1 MiB", "0 B", "-"]);
        let throttled = Some(3);
        sample.devices = Some(DeviceCounters { disk_throttled: throttled, ..devices });
        assert_eq!(all_cells(&sample)[9], "3 disk");
    }

    #[test]
    fn what_is_not_limited_has_no_total() {
        let sample =
            MetricsSample { memory_used: 1 << 20, disk_total: 2 << 30, ..Default::default() };
        let cells = cells(&sample);
        assert_eq!((cells[2].as_str(), cells[3].as_str()), ("1 MiB", "0 B of 2 GiB"));
        assert!(columns(&cells).starts_with("1970-01-01T00:00:00Z  0.0%"), "{}", columns(&cells));
    }
}
