//! Signals: their numbers on Linux, their names, and what they are called in a status.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Number, name, and the words that Go's `os.ProcessState` has for it (E2B's statuses are Go's).
/// The numbers are those of every Linux architecture that we build for.
const SIGNALS: [(i32, &str, &str); 20] = [
    (1, "SIGHUP", "hangup"),
    (2, "SIGINT", "interrupt"),
    (3, "SIGQUIT", "quit"),
    (4, "SIGILL", "illegal instruction"),
    (5, "SIGTRAP", "trace/breakpoint trap"),
    (6, "SIGABRT", "aborted"),
    (7, "SIGBUS", "bus error"),
    (8, "SIGFPE", "floating point exception"),
    (9, "SIGKILL", "killed"),
    (10, "SIGUSR1", "user defined signal 1"),
    (11, "SIGSEGV", "segmentation fault"),
    (12, "SIGUSR2", "user defined signal 2"),
    (13, "SIGPIPE", "broken pipe"),
    (14, "SIGALRM", "alarm clock"),
    (15, "SIGTERM", "terminated"),
    (18, "SIGCONT", "continued"),
    (19, "SIGSTOP", "stopped (signal)"),
    (20, "SIGTSTP", "stopped"),
    (24, "SIGXCPU", "CPU time limit exceeded"),
    (28, "SIGWINCH", "window changed"),
];

/// What a status says of a signal: `killed`, or `signal 42` for one without a name.
#[must_use]
pub fn signal_description(number: i32) -> String {
    SIGNALS
        .iter()
        .find(|(known, ..)| *known == number)
        .map_or_else(|| format!("signal {number}"), |(.., words)| (*words).to_owned())
}

/// A signal. E2B knows TERM and KILL by name; every other travels as its number, and each is read
/// as `SIGNAL_SIGINT`, `SIGINT` or `2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalNumber(pub i32);

impl Serialize for SignalNumber {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            9 => to.serialize_str("SIGNAL_SIGKILL"),
            15 => to.serialize_str("SIGNAL_SIGTERM"),
            other => to.serialize_i32(other),
        }
    }
}

impl<'de> Deserialize<'de> for SignalNumber {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i32),
            Name(String),
        }
        match Either::deserialize(from)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Name(name) => {
                let short = name.strip_prefix("SIGNAL_").unwrap_or(&name);
                SIGNALS
                    .iter()
                    .find(|(_, known, _)| *known == short)
                    .map(|(number, ..)| Self(*number))
                    .ok_or_else(|| de::Error::custom(format!("unknown signal {name}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_e2b_name_by_short_name_and_by_number() {
        for text in ["\"SIGNAL_SIGKILL\"", "\"SIGKILL\"", "9"] {
            assert_eq!(serde_json::from_str::<SignalNumber>(text).unwrap().0, 9);
        }
        assert!(serde_json::from_str::<SignalNumber>("\"SIGNOTHING\"").is_err());
    }
}
