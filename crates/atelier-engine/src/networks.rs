//! Networks: made with a subnet of ours, found again by label, taken away with whoever is still on them.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest,
    NetworkCreateRequest, NetworkDisconnectRequest,
};

use crate::connect::Engine;
use crate::error::{Doing, EngineError, status, unless};

/// A subnet of a network to be made.
#[derive(Debug, Clone)]
pub struct NewSubnet {
    /// As `10.1.2.0/24`.
    pub subnet: String,
    /// Where the engine chooses addresses from, as a part of it; the others are the caller's.
    pub range: Option<String>,
    /// This machine's address in it.
    pub gateway: IpAddr,
}

/// A network to be made.
#[derive(Debug, Clone)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// Its subnets.
    pub subnets: Vec<NewSubnet>,
    /// Whether it leads nowhere else.
    pub internal: bool,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// Options of its driver.
    pub options: HashMap<String, String>,
}

/// A network that is there.
#[derive(Debug, Clone)]
pub struct Network {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
}

impl Engine {
    /// Every network of the engine.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn networks(&self) -> Result<Vec<Network>, EngineError> {
        let listed = self.docker.list_networks(None).await.doing(|| "list networks".into())?;
        Ok(listed
            .into_iter()
            .map(|network| Network {
                id: network.id.unwrap_or_default(),
                name: network.name.unwrap_or_default(),
                subnets: network
                    .ipam
                    .and_then(|ipam| ipam.config)
                    .into_iter()
                    .flatten()
                    .filter_map(|config| config.subnet)
                    .collect(),
                labels: network.labels.unwrap_or_default(),
            })
            .collect())
    }

    /// Makes a network, unless one of its name is there.
    ///
    /// # Errors
    /// [`EngineError::Refused`], for one when its subnet overlaps another.
    pub async fn make_network(&self, new: &NewNetwork) -> Result<(), EngineError> {
        match self.docker.inspect_network(&new.name, None).await {
            Ok(there) if has(&there, new) => return Ok(()),
            // Of the same name with other addresses: what is on it comes up anew.
            Ok(_) => self.remove_network(&new.name).await?,
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(error).doing(|| format!("look for the network {}", new.name)),
        }
        let config = new
            .subnets
            .iter()
            .map(|own| IpamConfig {
                subnet: Some(own.subnet.clone()),
                ip_range: own.range.clone(),
                gateway: Some(own.gateway.to_string()),
                ..IpamConfig::default()
            })
            .collect();
        let request = NetworkCreateRequest {
            name: new.name.clone(),
            driver: Some("bridge".into()),
            internal: Some(new.internal),
            enable_ipv6: Some(new.subnets.iter().any(|own| own.gateway.is_ipv6())),
            ipam: Some(Ipam { config: Some(config), ..Ipam::default() }),
            labels: Some(new.labels.clone()),
            options: Some(new.options.clone()),
            ..NetworkCreateRequest::default()
        };
        let made = self.docker.create_network(request).await;
        made.map(drop).doing(|| format!("make the network {}", new.name))
    }

    /// Takes a network away, with whoever is still connected to it.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let doing = || format!("remove the network {name}");
        let found = match self.docker.inspect_network(name, None).await {
            Err(error) if status(&error) == Some(404) => return Ok(()),
            found => found.doing(doing)?,
        };
        for id in found.containers.unwrap_or_default().into_keys() {
            self.disconnect(name, &id).await?;
        }
        unless(self.docker.remove_network(name).await, &[404]).doing(doing)
    }

    /// Puts a container on a network, under more names and at an address of its own.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn connect(
        &self,
        network: &str,
        container: &str,
        aliases: Vec<String>,
        address: Option<IpAddr>,
    ) -> Result<(), EngineError> {
        let ipam = address.map(|ip| EndpointIpamConfig {
            ipv4_address: ip.is_ipv4().then(|| ip.to_string()),
            ipv6_address: ip.is_ipv6().then(|| ip.to_string()),
            ..EndpointIpamConfig::default()
        });
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(EndpointSettings {
                aliases: Some(aliases),
                ipam_config: ipam,
                ..EndpointSettings::default()
            }),
        };
        // 403 says that it is connected already.
        unless(self.docker.connect_network(network, request).await, &[403])
            .doing(|| format!("connect {container} to {network}"))
    }

    /// Takes a container off a network.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn disconnect(&self, network: &str, container: &str) -> Result<(), EngineError> {
        let request =
            NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        unless(self.docker.disconnect_network(network, request).await, &[404, 500])
            .doing(|| format!("disconnect {container} from {network}"))
    }
}

/// Whether a network has the subnets that it should have.
fn has(there: &bollard::models::NetworkInspect, new: &NewNetwork) -> bool {
    let config = there.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let subnets: Vec<&str> =
        config.into_iter().flatten().filter_map(|config| config.subnet.as_deref()).collect();
    new.subnets.iter().all(|own| subnets.contains(&own.subnet.as_str()))
}
