//! The one table of exit codes. Nothing else in the house invents a number for a failure.

/// How a command of `atelier` ends. `run` and `exec` end with the command's own code instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It worked.
    Done = 0,
    /// It failed for a reason that has no code of its own.
    Failed = 1,
    /// The command line was wrong.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// It exists already, or two changes meet in one place.
    Conflict = 4,
    /// A file that the user wrote is not valid.
    InvalidInput = 5,
    /// An engine or a driver (namespaces, a container engine, a VM) failed.
    Engine = 6,
    /// git failed.
    Git = 7,
    /// A setting, a package or a kernel feature is missing.
    Configuration = 8,
    /// A port is in use.
    PortInUse = 9,
    /// Not permitted.
    NotPermitted = 10,
}

impl ExitCode {
    /// Every code with its meaning, for the reference page.
    pub const TABLE: [(Self, &'static str); 11] = [
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Usage, "wrong usage"),
        (Self::NotFound, "not found"),
        (Self::Conflict, "already exists, or a conflict"),
        (Self::InvalidInput, "invalid input file"),
        (Self::Engine, "an engine or driver failed"),
        (Self::Git, "git failed"),
        (Self::Configuration, "configuration missing"),
        (Self::PortInUse, "port in use"),
        (Self::NotPermitted, "not permitted"),
    ];

    /// The HTTP status that says the same over the API.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Done => 200,
            Self::Usage => 400,
            Self::NotPermitted => 403,
            Self::NotFound => 404,
            Self::Conflict | Self::PortInUse => 409,
            Self::InvalidInput => 422,
            Self::Failed => 500,
            Self::Engine | Self::Git => 502,
            Self::Configuration => 503,
        }
    }

    /// The number that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<u8> for ExitCode {
    /// Numbers outside the table read as [`ExitCode::Failed`].
    fn from(code: u8) -> Self {
        Self::TABLE.iter().find(|(c, _)| c.code() == code).map_or(Self::Failed, |(c, _)| *c)
    }
}
