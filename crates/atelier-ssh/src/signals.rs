//! Signals: SSH has names for them (RFC 4254, section 6.10), the guest numbers.

use russh::Sig;

/// Names that the standard leaves out and OpenSSH sends all the same.
const FURTHER: [(i32, &str); 8] = [
    (5, "TRAP"),
    (7, "BUS"),
    (12, "USR2"),
    (18, "CONT"),
    (19, "STOP"),
    (20, "TSTP"),
    (24, "XCPU"),
    (28, "WINCH"),
];

/// The hang-up of a terminal.
pub(crate) const HANGUP: i32 = 1;
/// Writing to nobody.
pub(crate) const PIPE: i32 = 13;

/// The number of a signal that a client sends.
pub(crate) fn number(signal: &Sig) -> Option<i32> {
    Some(match signal {
        Sig::HUP => HANGUP,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => PIPE,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(name) => {
            let name = name.split('@').next().unwrap_or(name);
            return FURTHER.iter().find(|(_, known)| *known == name).map(|(number, _)| *number);
        }
    })
}

/// The signal that ended a process, as a client is told.
pub(crate) fn name(number: i32) -> Sig {
    match number {
        HANGUP => Sig::HUP,
        2 => Sig::INT,
        3 => Sig::QUIT,
        4 => Sig::ILL,
        6 => Sig::ABRT,
        8 => Sig::FPE,
        9 => Sig::KILL,
        10 => Sig::USR1,
        11 => Sig::SEGV,
        PIPE => Sig::PIPE,
        14 => Sig::ALRM,
        15 => Sig::TERM,
        _ => {
            let further = FURTHER.iter().find(|(known, _)| *known == number);
            let name = further.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned());
            // What is not in the standard carries whose name it is.
            Sig::Custom(format!("{name}@atelier"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_name_that_is_read_as_the_number() {
        for known in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, 20, 24, 28] {
            assert_eq!(number(&name(known)), Some(known));
        }
        assert_eq!(number(&Sig::Custom("INFO@openssh.com".into())), None);
        assert!(matches!(name(42), Sig::Custom(name) if name == "42@atelier"));
    }
}
