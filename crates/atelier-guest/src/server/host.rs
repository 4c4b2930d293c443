//! What the sandbox as a whole says of itself: use of its resources, listening ports, its clock.

use std::collections::HashMap;
use std::fs::read_to_string;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::statvfs::statvfs;

use super::state::Server;
use crate::wire::{ConnectError, ListeningPort, Metrics};

/// Processor time that has passed: busy, and all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CpuTimes {
    busy: u64,
    all: u64,
}

/// Unix time in seconds.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What the sandbox uses, as far as its `/proc` knows.
pub(super) fn metrics(server: &Server) -> Metrics {
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = meminfo(&memory);
    let get = |key: &str| memory.get(key).copied().unwrap_or(0);
    let (total, available) = (get("MemTotal"), get("MemAvailable"));
    let used = total.saturating_sub(available);
    let (disk_total, disk_free) = statvfs("/").map_or((0, 0), |disk| {
        let block = disk.fragment_size();
        (disk.blocks() * block, disk.blocks_available() * block)
    });
    let times = cpu_times(&read_to_string("/proc/stat").unwrap_or_default());
    let before = server.cpu.replace(times);
    let all = times.all.saturating_sub(before.all).max(1);
    let busy = times.busy.saturating_sub(before.busy);
    #[allow(clippy::cast_precision_loss, reason = "two digits of a percentage are kept")]
    let percent = (busy as f32 / all as f32 * 10_000.0).round() / 100.0;
    Metrics {
        ts: now(),
        cpu_count: std::thread::available_parallelism()
            .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
        cpu_used_pct: percent,
        mem_total: total,
        mem_used: used,
        mem_cache: get("Cached"),
        mem_total_mib: total >> 20,
        mem_used_mib: used >> 20,
        disk_used: disk_total.saturating_sub(disk_free),
        disk_total,
    }
}

fn meminfo(text: &str) -> HashMap<&str, u64> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            let kibibytes: u64 = value.split_whitespace().next()?.parse().ok()?;
            Some((key, kibibytes << 10))
        })
        .collect()
}

fn cpu_times(text: &str) -> CpuTimes {
    let line = text.lines().next().unwrap_or("");
    // Guest times, the last two, are within user times.
    let times: Vec<u64> =
        line.split_whitespace().skip(1).take(8).filter_map(|time| time.parse().ok()).collect();
    let all = times.iter().sum();
    let idle: u64 = times.iter().skip(3).take(2).sum();
    CpuTimes { busy: all - idle, all }
}

/// The TCP ports that something in the sandbox listens on.
pub(super) fn listening() -> Vec<ListeningPort> {
    let mut ports: Vec<ListeningPort> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|path| listeners(&read_to_string(path).unwrap_or_default()))
        .collect();
    ports.sort_by(|a, b| (a.port, &a.address).cmp(&(b.port, &b.address)));
    ports.dedup();
    ports
}

fn listeners(table: &str) -> Vec<ListeningPort> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (address, port) = fields.nth(1)?.split_once(':')?;
            // 0A is TCP_LISTEN.
            if fields.nth(1)? != "0A" {
                return None;
            }
            let uid = fields.nth(3)?.parse().ok()?;
            let port = u16::from_str_radix(port, 16).ok()?;
            Some(ListeningPort { port, address: address_of(address)?.to_string(), uid })
        })
        .collect()
}

/// The kernel writes addresses as words in the machine's own order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let words = (0..hex.len() / 8)
        .map(|index| u32::from_str_radix(hex.get(index * 8..index * 8 + 8)?, 16).ok())
        .collect::<Option<Vec<u32>>>()?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// Sets the clock to an RFC 3339 time in UTC.
pub(super) fn set_clock(text: &str) -> Result<(), ConnectError> {
    let invalid = || ConnectError::invalid(format!("timestamp '{text}' is not RFC 3339 in UTC"));
    let (seconds, nanoseconds) = parse_time(text).ok_or_else(invalid)?;
    let time = libc::timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    // SAFETY: clock_settime reads one timespec through the pointer.
    if unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) } < 0 {
        let error = std::io::Error::last_os_error();
        return Err(ConnectError::internal(format!("the clock cannot be set: {error}")));
    }
    Ok(())
}

/// Gives a machine that may be a copy of another a name and random numbers of its own.
#[cfg(feature = "machine")]
pub(super) fn renew(hostname: Option<&str>, entropy: Option<&str>) -> Result<(), ConnectError> {
    use base64::Engine as _;

    let internal = |error: std::io::Error| ConnectError::internal(error.to_string());
    if let Some(text) = entropy {
        let fresh = base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_err(|error| ConnectError::invalid(format!("entropy is not base64: {error}")))?;
        crate::machine::reseed(&fresh).map_err(internal)?;
    }
    hostname.map_or(Ok(()), |name| crate::machine::rename(name).map_err(internal))
}

/// Seconds and nanoseconds of a time that ends in `Z`.
fn parse_time(text: &str) -> Option<(i64, i64)> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by| -> Option<Vec<i64>> {
        text.split(by).map(|part| part.parse().ok()).collect()
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let [hour, minute, second] = numbers(time, ':')?[..] else { return None };
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    in_range.then_some((seconds, nanoseconds))
}

/// Days since 1970-01-01: Howard Hinnant's `days_from_civil`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_fraction() {
        assert_eq!(parse_time("1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(parse_time("2026-11-21T04:14:07.005Z"), Some((1_795_234_447, 5_000_000)));
        assert_eq!(parse_time("2026-13-21T04:14:07Z"), None);
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn only_listeners_are_listed() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 1\n\
            1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000 0 2\n";
        let expected = ListeningPort { port: 8080, address: "127.0.0.1".into(), uid: 1000 };
        assert_eq!(listeners(table), [expected]);
    }

    #[test]
    fn busy_time_leaves_out_idle_and_waiting() {
        let times = cpu_times("cpu  10 0 5 80 5 0 0 0 3 0\ncpu0 1 2 3 4\n");
        assert_eq!((times.busy, times.all), (15, 100));
    }
}
