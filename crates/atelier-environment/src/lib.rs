//! Environments: isolated copies of a project, what changed in them, and the way back.
