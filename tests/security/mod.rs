//! Tries to get out of a sandbox by the known ways, and out of what a token opens.

mod copies;
mod files;
mod ingress;
mod kernel;
mod machines;
mod neighbours;

use crate::support::Lab;

/// A sandbox of a runtime.
fn sandbox(lab: &Lab, runtime: &str) -> String {
    lab.sandbox(&["--runtime", runtime, "--memory", "256MiB"])
}

/// Tests that hold for every runtime with images. Those of `in_qemu` boot a machine, and are of the
/// group `heavy`.
macro_rules! in_each_runtime {
    ($($test:ident),+) => {
        in_each_runtime!(@ in_oci "oci" $($test)+);
        in_each_runtime!(@ in_host "host" $($test)+);
        in_each_runtime!(@ in_gvisor "gvisor" $($test)+);
        in_each_runtime!(@ in_qemu "qemu" $($test)+);
    };
    (@ $module:ident $runtime:literal $($test:ident)+) => {
        mod $module { $(
            #[test]
            fn $test() { super::$test($runtime); }
        )+ }
    };
}
use in_each_runtime;
