//! What an operation is. Each is declared once, in the file of its noun; routes, the OpenAPI
//! document and the typed client are loops over [`crate::table`].

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The HTTP method of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Removes.
    Delete,
}

impl Method {
    /// As it stands in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
    /// Whether the input that is not in the path travels in the query string.
    #[must_use]
    pub const fn uses_query(self) -> bool {
        matches!(self, Self::Get | Self::Delete)
    }
}

/// Whether an operation changes something: changes are audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Only reads.
    Read,
    /// Changes something; begins and ends in the audit log.
    Change,
}

/// A call of the API, declared once.
pub trait Operation: 'static {
    /// `noun.verb`, and the name of the permission that it needs.
    const NAME: &'static str;
    /// The HTTP method.
    const METHOD: Method;
    /// The path below the API's root; fields of the input stand in it as `{field}`.
    const PATH: &'static str;
    /// Whether it changes something.
    const EFFECT: Effect;
    /// One sentence for the reference.
    const SUMMARY: &'static str;
    /// What it takes: a struct whose fields fill path, query or body.
    type Input: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// What it gives.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// What the change is made to, for the audit log.
    fn subject(input: &Self::Input) -> String;
}

/// Declares an operation: a unit struct and its [`Operation`] implementation.
macro_rules! operation {
    ($(#[doc = $doc:literal])+ $op:ident: $name:literal $method:ident $path:literal $effect:ident
     ($input:ty) -> $output:ty, |$i:ident| $subject:expr) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy)]
        pub struct $op;
        impl $crate::Operation for $op {
            const NAME: &'static str = $name;
            const METHOD: $crate::Method = $crate::Method::$method;
            const PATH: &'static str = $path;
            const EFFECT: $crate::Effect = $crate::Effect::$effect;
            const SUMMARY: &'static str = concat!($($doc),+);
            type Input = $input;
            type Output = $output;
            fn subject($i: &Self::Input) -> String { $subject }
        }
    };
}
pub(crate) use operation;
