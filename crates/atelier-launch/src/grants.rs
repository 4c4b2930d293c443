//! The credentials that a sandbox does not see, grouped under the names by which a project may
//! grant them. The table is the documentation's source too.
//!
//! Paths only; `hide` does the hiding.

use crate::error::LaunchError;

/// A group of credentials that is granted or hidden as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The name that `grants:` in `atelier.yaml` and `--grant` take.
    pub name: &'static str,
    /// What it is, for the documentation.
    pub about: &'static str,
    /// Paths below a home directory.
    pub paths: &'static [&'static str],
}

/// Every group, by name.
pub const GRANTS: [Grant; 28] = [
    Grant {
        name: "age",
        about: "age and SOPS keys",
        paths: &[".config/age", ".config/sops/age", ".age"],
    },
    Grant { name: "aws", about: "AWS credentials and SSO tokens", paths: &[".aws"] },
    Grant { name: "azure", about: "Azure CLI tokens", paths: &[".azure"] },
    Grant {
        name: "browsers",
        about: "browser and mail profiles: cookies, saved passwords",
        paths: &[
            ".mozilla",
            ".thunderbird",
            ".config/mozilla",
            ".config/google-chrome",
            ".config/chromium",
            ".config/BraveSoftware",
            ".config/microsoft-edge",
            ".config/opera",
            ".config/vivaldi",
            ".var/app/org.mozilla.firefox",
            ".var/app/org.mozilla.Thunderbird",
            ".var/app/com.google.Chrome",
            ".var/app/org.chromium.Chromium",
            ".var/app/com.brave.Browser",
            ".var/app/com.microsoft.Edge",
            "snap/firefox",
            "snap/chromium",
            "snap/brave",
            "snap/thunderbird",
        ],
    },
    Grant {
        name: "cargo",
        about: "crates.io tokens",
        paths: &[".cargo/credentials", ".cargo/credentials.toml"],
    },
    Grant {
        name: "cloud",
        about: "tokens of smaller clouds and platforms",
        paths: &[
            ".config/doctl",
            ".config/hcloud",
            ".config/linode-cli",
            ".config/scw",
            ".config/rclone",
            ".fly",
            ".oci",
            ".railway",
            ".s3cfg",
            ".vercel",
            ".wrangler",
        ],
    },
    Grant {
        name: "docker",
        about: "registry passwords of Docker, Podman and Helm",
        paths: &[
            ".docker/config.json",
            ".docker/contexts",
            ".config/containers/auth.json",
            ".config/helm/registry",
        ],
    },
    Grant {
        name: "editors",
        about: "credential stores of editors",
        paths: &[".config/JetBrains", ".config/Code/User/globalStorage", ".config/Cursor"],
    },
    Grant {
        name: "gcloud",
        about: "Google Cloud credentials",
        paths: &[".config/gcloud", ".boto"],
    },
    Grant {
        name: "gem",
        about: "RubyGems, Packagist and Hex tokens",
        paths: &[".gem/credentials", ".config/composer/auth.json", ".composer/auth.json", ".hex"],
    },
    Grant {
        name: "gh",
        about: "tokens of the GitHub and GitLab command lines",
        paths: &[".config/gh", ".config/hub", ".config/glab-cli", ".config/tea"],
    },
    Grant {
        name: "git-credentials",
        about: "passwords kept by git",
        paths: &[".git-credentials", ".config/git/credentials"],
    },
    Grant { name: "gnupg", about: "GnuPG keys", paths: &[".gnupg"] },
    Grant {
        name: "history",
        about: "histories of shells and clients, which hold what was typed",
        paths: &[
            ".bash_history",
            ".zsh_history",
            ".zhistory",
            ".histfile",
            ".ash_history",
            ".local/share/fish/fish_history",
            ".python_history",
            ".node_repl_history",
            ".psql_history",
            ".mysql_history",
            ".sqlite_history",
            ".rediscli_history",
            ".lesshst",
            ".viminfo",
        ],
    },
    Grant {
        name: "keyrings",
        about: "keyrings and password stores",
        paths: &[
            ".local/share/keyrings",
            ".local/share/kwalletd",
            ".kde/share/apps/kwallet",
            ".password-store",
            ".local/share/gopass",
            ".config/keepassxc",
        ],
    },
    Grant { name: "kube", about: "Kubernetes contexts and tokens", paths: &[".kube"] },
    Grant {
        name: "maven",
        about: "Maven and Gradle settings with repository passwords",
        paths: &[".m2/settings.xml", ".m2/settings-security.xml", ".gradle/gradle.properties"],
    },
    Grant {
        name: "messengers",
        about: "sessions of messengers",
        paths: &[
            ".config/Signal",
            ".config/Slack",
            ".config/discord",
            ".config/Element",
            ".local/share/TelegramDesktop",
        ],
    },
    Grant {
        name: "models",
        about: "keys and sessions of coding agents and model providers",
        paths: &[
            ".claude/.credentials.json",
            ".claude.json",
            ".codex/auth.json",
            ".gemini/oauth_creds.json",
            ".gemini/google_accounts.json",
            ".config/github-copilot",
            ".config/openai",
            ".huggingface/token",
            ".cache/huggingface/token",
        ],
    },
    Grant {
        name: "mysql",
        about: "database passwords",
        paths: &[".my.cnf", ".mylogin.cnf", ".pgpass", ".config/pgcli", ".dbshell", ".mongorc.js"],
    },
    Grant { name: "netrc", about: "passwords for HTTP and FTP", paths: &[".netrc", "_netrc"] },
    Grant {
        name: "npm",
        about: "npm and Yarn tokens",
        paths: &[".npmrc", ".yarnrc.yml", ".config/npm", ".bunfig.toml"],
    },
    Grant {
        name: "op",
        about: "1Password and Bitwarden",
        paths: &[".config/op", ".op", ".config/Bitwarden CLI", ".config/1Password"],
    },
    Grant {
        name: "pypi",
        about: "PyPI and pip passwords",
        paths: &[".pypirc", ".config/pypoetry/auth.toml", ".config/pip/pip.conf", ".pip/pip.conf"],
    },
    Grant { name: "ssh", about: "SSH keys, configuration and known hosts", paths: &[".ssh"] },
    Grant {
        name: "terraform",
        about: "Terraform and Pulumi tokens",
        paths: &[".terraform.d/credentials.tfrc.json", ".terraformrc", ".pulumi/credentials.json"],
    },
    Grant { name: "vault", about: "HashiCorp Vault tokens", paths: &[".vault-token"] },
    Grant { name: "x11", about: "the X server's cookie", paths: &[".Xauthority", ".ICEauthority"] },
];

/// Secrets of the machine itself, which root could read: never shown, never granted.
///
/// `/etc/shadow` is not among them: installing a package that adds a user rewrites it, and the
/// sandbox writes to its own copy only.
pub const MACHINE: [&str; 18] = [
    "/etc/NetworkManager/system-connections",
    "/etc/ipsec.secrets",
    "/etc/krb5.keytab",
    "/etc/letsencrypt",
    "/etc/rancher",
    "/etc/kubernetes",
    "/etc/ssh/ssh_host_dsa_key",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/wireguard",
    "/var/lib/NetworkManager",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/lib/tailscale",
];

/// Checks names before anything is made: an unknown one is refused, with the known ones named.
pub fn check<S: AsRef<str>>(names: &[S]) -> Result<(), LaunchError> {
    let known = |name: &str| GRANTS.iter().any(|grant| grant.name == name);
    match names.iter().map(AsRef::as_ref).find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => {
            let all: Vec<_> = GRANTS.iter().map(|grant| grant.name).collect();
            Err(LaunchError::new("grant credentials", format!("there is no grant `{name}`"))
                .hint(format!("Known grants: {}.", all.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_grant_is_refused_with_the_known_ones() {
        let error = check(&["ssh", "shh"]).unwrap_err();
        assert_eq!(error.to_string(), "cannot grant credentials: there is no grant `shh`");
        assert!(error.hints[0].contains("git-credentials"));
        assert!(check(&["ssh", "aws"]).is_ok());
    }

    #[test]
    fn the_table_is_sorted_and_its_paths_are_relative() {
        assert!(GRANTS.is_sorted_by_key(|grant| grant.name));
        let mut paths = GRANTS.iter().flat_map(|grant| grant.paths);
        assert!(paths.all(|path| !path.starts_with('/') && !path.contains("..")));
    }
}
