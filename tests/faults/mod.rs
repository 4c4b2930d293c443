//! Bad input and bad days: each ends with what failed, why, and what to do.

mod chaos;
mod clock;
mod disk;
mod names;
mod races;
mod scale;
mod trees;
