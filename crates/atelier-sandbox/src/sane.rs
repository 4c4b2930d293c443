//! What no sandbox can be made with, of whatever kind it is. Nothing is looked up here.

use std::collections::BTreeMap;

use atelier_api::env::Resources;
use atelier_api::{ExitCode, Problem};

/// Checks limits and variables before anything is made.
///
/// # Errors
/// `options.invalid` with what is wrong.
pub fn check_options(
    limits: &Resources,
    variables: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    let bad = |detail: String| Err(Problem::new("options.invalid", ExitCode::Usage, detail));
    if limits.memory.is_some_and(|m| m < 8 << 20) {
        return bad("the memory limit is below 8 MiB, too little to start anything".into());
    }
    if limits.cpus.is_some_and(|c| !c.is_finite() || c <= 0.0) {
        return bad("the limit on cpus must be above 0, such as 0.5 or 2".into());
    }
    if limits.processes.is_some_and(|p| p < 4) {
        return bad("the limit on processes is below 4, too few to start anything".into());
    }
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) {
            return bad(format!("{name:?} can't be the name of a variable"));
        }
        if value.contains('\0') {
            return bad(format!("the value of {name} holds a zero byte"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_start_nothing_is_refused() {
        let limits = |memory, cpus, processes| Resources { memory, cpus, processes, disk: None };
        let refused = |limits: &Resources, name: &str| {
            let variables = BTreeMap::from([(name.to_owned(), "value".to_owned())]);
            check_options(limits, &variables).is_err()
        };
        assert!(!refused(&limits(Some(8 << 20), Some(0.1), Some(4)), "A"));
        assert!(refused(&limits(Some(1), None, None), "A"));
        assert!(refused(&limits(None, Some(f64::NAN), None), "A"));
        assert!(refused(&limits(None, Some(0.0), None), "A"));
        assert!(refused(&limits(None, None, Some(3)), "A"));
        for name in ["", "A=B", "A\0"] {
            assert!(refused(&Resources::default(), name), "{name:?}");
        }
    }
}
