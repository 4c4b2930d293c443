//! The table of every operation, written once: whoever needs all of them visits it.

use crate::Operation;
use crate::env::{
    EnvApply, EnvCreate, EnvDiff, EnvExport, EnvList, EnvLogs, EnvRecreate, EnvRemove, EnvShow,
    EnvStop, EnvSync, EnvUnapplied,
};
use crate::far::FarLink;
use crate::gc::SystemGc;
use crate::hostname::{DnsStatus, HostnamesAdd, HostnamesList, HostnamesRemove};
use crate::image::{
    ImageBuild, ImageImport, ImageList, ImagePrune, ImagePull, ImageRemove, TemplateBuild,
    TemplateCommit, TemplateList, TemplateRemove,
};
use crate::inside::{
    SandboxDelete, SandboxExec, SandboxFiles, SandboxMakeFolder, SandboxMove, SandboxProcesses,
    SandboxRead, SandboxSignal, SandboxWrite,
};
use crate::sandbox::{
    RuntimeList, SandboxCreate, SandboxExtend, SandboxFork, SandboxList, SandboxMetrics,
    SandboxNetwork, SandboxPause, SandboxRemove, SandboxRename, SandboxRestore, SandboxResume,
    SandboxShow, SandboxSnapshot, SandboxStart, SandboxStop, SnapshotList, SnapshotRemove,
};
use crate::secret::{SecretCreate, SecretList, SecretRemove, SecretShow, SecretUpdate};
use crate::seed::{SeedList, SeedRemove, SeedSave};
use crate::service::{
    EnvDown, EnvRestart, EnvServiceLogs, EnvStatus, EnvUp, EnvUrl, NetworkInfo, NetworkRecreate,
};
use crate::system::{AuditList, SystemDoctor, SystemStatus, SystemStop};
use crate::token::{TokenCreate, TokenList, TokenRevoke};
use crate::volume::{VolumeCreate, VolumeList, VolumeRemove, VolumeShow};

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
        SystemGc,
        AuditList,
        EnvCreate,
        EnvList,
        EnvShow,
        EnvDiff,
        EnvApply,
        EnvUnapplied,
        EnvSync,
        EnvRecreate,
        EnvExport,
        EnvStop,
        EnvRemove,
        EnvLogs,
        EnvUp,
        EnvDown,
        EnvRestart,
        EnvStatus,
        EnvUrl,
        EnvServiceLogs,
        SeedSave,
        SeedList,
        SeedRemove,
        NetworkInfo,
        NetworkRecreate,
        HostnamesAdd,
        HostnamesRemove,
        HostnamesList,
        DnsStatus,
        FarLink,
        SandboxCreate,
        SandboxList,
        SandboxShow,
        SandboxStart,
        SandboxStop,
        SandboxPause,
        SandboxResume,
        SandboxExtend,
        SandboxRename,
        SandboxNetwork,
        SandboxSnapshot,
        SandboxRestore,
        SandboxFork,
        SandboxMetrics,
        SandboxRemove,
        SandboxExec,
        SandboxFiles,
        SandboxRead,
        SandboxWrite,
        SandboxDelete,
        SandboxMakeFolder,
        SandboxMove,
        SandboxProcesses,
        SandboxSignal,
        SnapshotList,
        SnapshotRemove,
        VolumeCreate,
        VolumeList,
        VolumeShow,
        VolumeRemove,
        SecretCreate,
        SecretUpdate,
        SecretList,
        SecretShow,
        SecretRemove,
        RuntimeList,
        ImageList,
        ImagePull,
        ImageImport,
        ImageBuild,
        ImageRemove,
        ImagePrune,
        TemplateBuild,
        TemplateCommit,
        TemplateList,
        TemplateRemove,
        TokenCreate,
        TokenList,
        TokenRevoke,
    );
}
