//! The machine's network: one link with the addresses that every sandbox has.

use std::path::Path;

use atelier_net::Addresses;

use super::named;
use super::settings::Settings;

/// Brings loopback and the link up. A machine without a network is still reached over vsock, and
/// one that is reached over the network shows on its console what went wrong.
pub fn configure(settings: &Settings) {
    let mut done = atelier_net::loopback_up();
    if Path::new("/sys/class/net").join(atelier_net::DEVICE).exists() {
        let mtu = settings.mtu.unwrap_or(u32::from(Addresses::MTU_ETHERNET));
        done = done
            .and_then(|()| atelier_net::configure_link(atelier_net::DEVICE, mtu))
            .and_then(|()| nameserver());
    }
    if let Err(error) = done {
        println!("atelier: the network can't be set up: {error}");
    }
}

/// A link that the image has here leads to a file of a service that doesn't run.
fn nameserver() -> std::io::Result<()> {
    let path = Path::new("/etc/resolv.conf");
    if path.is_symlink() {
        std::fs::remove_file(path).map_err(named("replacing /etc/resolv.conf"))?;
    }
    std::fs::create_dir_all("/etc")?;
    std::fs::write(path, format!("nameserver {}\n", Addresses::DNS_V4))
        .map_err(named("writing /etc/resolv.conf"))
}
