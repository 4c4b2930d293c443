//! Sandboxes: isolated machines, the runtimes that make them, and the way into them.
