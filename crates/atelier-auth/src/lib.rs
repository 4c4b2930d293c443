//! Who may do what, and who did: peers, policy and the audit log.
