//! The table of every operation, written once: whoever needs all of them visits it.

use crate::Operation;
use crate::env::{EnvApply, EnvCreate, EnvDiff, EnvList, EnvLogs, EnvRemove, EnvShow, EnvStop};
use crate::system::{AuditList, SystemDoctor, SystemStatus, SystemStop};

/// Sees each operation once.
pub trait Visitor {
    /// One operation.
    fn visit<O: Operation>(&mut self);
}

/// Shows every operation to a visitor, in the order of the reference.
pub fn visit_all(visitor: &mut impl Visitor) {
    macro_rules! each { ($($op:ty),+ $(,)?) => { $(visitor.visit::<$op>();)+ } }
    each!(
        SystemStatus,
        SystemDoctor,
        SystemStop,
        AuditList,
        EnvCreate,
        EnvList,
        EnvShow,
        EnvDiff,
        EnvApply,
        EnvStop,
        EnvRemove,
        EnvLogs,
    );
}
