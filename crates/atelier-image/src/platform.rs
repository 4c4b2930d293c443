//! Platforms: `linux/amd64`, `linux/arm64/v8`, in Go's words, as registries have them.

use std::fmt;

use crate::ImageError;

/// An operating system, an architecture, and perhaps a variant of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    pub(crate) fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, implied) = match architecture {
            "x86_64" | "x86-64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            "i386" | "x86" => ("386", None),
            "powerpc64le" => ("ppc64le", None),
            other => (other, None),
        };
        let variant = variant.filter(|v| !v.is_empty()).or(implied);
        // The only variant of its architecture, which some name and some don't.
        let variant = variant.filter(|v| !(architecture == "arm64" && *v == "v8"));
        Self {
            os: os.to_lowercase(),
            architecture: architecture.to_lowercase(),
            variant: variant.map(str::to_lowercase),
        }
    }

    /// This machine's.
    pub(crate) fn here() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }

    /// `linux/amd64`, or `amd64` alone.
    pub(crate) fn parse(text: &str) -> Result<Self, ImageError> {
        let parts: Vec<_> = text.split('/').collect();
        let plain = |p: &&str| {
            !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !parts.iter().all(plain) {
            return Err(ImageError::invalid(
                format!("the platform {text:?}"),
                "linux/amd64 is one",
            ));
        }
        match parts.as_slice() {
            [architecture] => Ok(Self::new("linux", architecture, None)),
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(ImageError::invalid(format!("the platform {text:?}"), "it has four parts")),
        }
    }

    /// Whether an image for `self` is what one asks for who asks for `wanted`.
    pub(crate) fn fits(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.variant == wanted.variant)
    }

    pub(crate) fn parts(self) -> (String, String, Option<String>) {
        (self.os, self.architecture, self.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_same_platform_are_the_same() {
        for (a, b) in [("linux/arm64/v8", "linux/arm64"), ("x86_64", "linux/amd64")] {
            assert_eq!(Platform::parse(a).unwrap(), Platform::parse(b).unwrap());
        }
        let v7 = Platform::parse("linux/arm/v7").unwrap();
        assert!(v7.fits(&Platform::parse("linux/arm").unwrap()));
        assert!(!v7.fits(&Platform::parse("linux/arm/v6").unwrap()));
        assert!(Platform::parse("linux//x").is_err());
    }
}
