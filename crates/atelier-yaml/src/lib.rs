//! YAML as a tree that knows where each of its nodes stood, for readers that have to say in which
//! line a mistake is. What the nodes mean is their readers' business.

mod tree;

pub use tree::{Booleans, Key, Mistake, Node, Place, Yaml, parse};
